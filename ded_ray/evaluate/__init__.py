"""Endpoint -> scores: asks what is served, verifies, and reports pass@1 with intervals and the cut-off rate."""
