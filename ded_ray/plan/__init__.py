"""What a run will take, before it is begun: work -> tokens -> seconds, GPU-hours, money; memory; disk. No weights, no Ray.

    work.py       the recipe as a list of work: who answers what how often, what is trained on
    interval.py   numbers of which only a low, a middle and a high value are known
    shape.py      a model's parameters and its keys and values per token, from its configuration
    speed.py      tokens per second of a GPU
    cost.py       seconds, GPU-hours and money of each step
    fit.py        memory of a GPU, and the smallest change by which what does not fit would
    disk.py       bytes that a run leaves
    plan.py       all of it in one record

`stages/plan.py` puts a plan together; README.md says how far its numbers can be trusted.
"""
