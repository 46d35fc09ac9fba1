"""What a person sees of a sweep: the screen while it runs, the tables after."""
