"""The papers' claims in the tiny world, with the controls they lack: `python -m jobs.reproduce [--quick] --out DIR`.

`world.py` makes problems and answers, `learn.py` trains and measures one student, `experiments.py` says which corpora are
compared, `tables.py` what came out. Every answer and every trained student is kept in DIR: the same command goes on from
there.
"""
