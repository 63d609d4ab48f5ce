"""Problem -> Group: a model answers every prompt many times, through one seam with several engines behind it."""
