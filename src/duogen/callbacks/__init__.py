"""What watches a run: pictures of what a network makes."""
