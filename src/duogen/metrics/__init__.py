"""Metrics that carry their facts and their protocol."""
