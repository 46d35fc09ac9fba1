"""Searches: spaces, studies, pruning, and protocols of them."""
