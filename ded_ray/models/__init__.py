"""A model by name: where it is, how text becomes its tokens, and what it finds surprising."""
