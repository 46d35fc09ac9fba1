"""What the numbers of a decoder mean: distributions over examples."""
