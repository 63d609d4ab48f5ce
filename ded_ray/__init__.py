"""ded_ray: reward-guided, data-efficient reasoning distillation on Ray. A map of the rooms:

pipeline.py   the whole story in order; read this first        stages.py   what its steps do
inputs.py     what comes from outside, checked                 smoke.py    the stages that choose a teacher
judging.py    verdicts by the rules and by a judge             tally.py    what a folder holds, counted
records.py    every row that travels                           recipe/     every knob (knobs.py, recipe_file.py)
run.py        a run's folder, manifests, ledger                progress.py, machine.py, user_files.py, thinking.py
surprisal.py  what a model finds surprising in others' texts   tiny/       the embedded world: problems and tiny models
sources/      -> Problem          generate/  Problem -> Group         verify/    Group -> Group with verdicts
curate/       Group -> Examples   train/     Example -> checkpoint    serve/     checkpoint -> endpoint
teachers/     candidates -> one   evaluate/  endpoint -> scores       report/    run -> page, terminal
cli.py        `ded-ray`
"""
