"""Models that are fitted to the codes of a trained autoencoder, to draw from in place of its prior."""
