"""Pairs of networks that learn in turns, one LightningModule per family."""
