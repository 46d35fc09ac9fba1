"""Many trials: planned, placed on slots, watched, continued."""
