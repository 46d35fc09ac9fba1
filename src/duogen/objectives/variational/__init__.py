"""Bounds on the likelihood of examples, and what takes their place."""
