"""The terms of the reward, a file each, and their weighted sum (total.py). Plain functions of groups."""
