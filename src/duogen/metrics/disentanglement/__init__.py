"""How well the dimensions of a code separate the factors that made the examples: pure functions over arrays."""
