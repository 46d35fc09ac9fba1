"""duogen: pairs of networks that learn in turns."""
