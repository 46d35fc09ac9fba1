"""Run records as numbers with intervals."""
