"""Maps from features to integer codes and back."""
