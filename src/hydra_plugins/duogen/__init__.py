"""How Hydra finds the sweepers and launchers of duogen."""
