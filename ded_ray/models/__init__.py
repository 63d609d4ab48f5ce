"""A model by name: where it is, how text becomes its tokens, how it answers a token at a time, what it finds surprising."""
