"""Distributions over codes before any example is seen."""
