"""Clusters: trials as jobs of Slurm, of Ray, or of any launcher of Hydra."""
