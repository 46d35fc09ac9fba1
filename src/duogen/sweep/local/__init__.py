"""This machine: its slots, and the pool of trials on them."""
