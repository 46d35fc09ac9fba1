"""What an encoder says of a code: distributions over codes, given an example."""
