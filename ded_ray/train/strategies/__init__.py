"""A file per strategy; `train/strategy.py` has their interface and chooses."""
