"""The embedded world: seeded synthetic problems, and the tiny real models that answer them.

`problems.py` makes the problems, `styles.py` writes solutions as the models' training text, `make.py` trains and
saves the shipped models, `models.py` finds them. Nothing here needs a network or a GPU.
"""
