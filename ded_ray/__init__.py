"""ded_ray: reward-guided, data-efficient reasoning distillation on Ray. A map, in the order in which data flows:

pipeline.py   the whole story in order; READ THIS FIRST
stages/       a file per step of the story: where a run's folder meets a room
recipe/       every knob, typed and explained, a file per room: `recipe/train.py: max_length` is the token limit of a
              training sequence, `recipe/verify.py: num_cpus` the CPUs of a verifier
records.py    every row that travels, what each status means, and the letters for sizes
run.py        a run's folder: stages, manifests, the ledger
errors.py     what a user reads when something is wrong, and the exit codes

sources/      files and the tiny world -> Problem
generate/     Problem -> Group: engines, and the journal that pays for nothing twice. `identity.py` makes a group's id
verify/       Group -> Group with verdicts and rewards. `worker.py` gives each status (`truncated`: cut off at the limit)
curate/       Group -> Group with weights and reasons to drop
teachers/     candidates -> the one that teaches best
train/        Example -> checkpoint
serve/        checkpoint -> OpenAI-compatible endpoint
evaluate/     verified groups -> scores with intervals. `stages/evaluate.py` asks the served model
plan/         recipe -> tokens, GPU-hours, money, memory and disk, before anything is spent
report/       run -> page, terminal

models/       a model by name: its files, its tokens (`chat.py`), how it goes on (`sampling.py`), what surprises it
files/        folders here or in a bucket (`folders.py`), who works on a run (`lease.py`), what users give, JSON lines
runtime/      joining Ray, what each step asks of it (`needs.py`, one table), pools and manifests for it, progress, memory
tiny/         the embedded world: problems and tiny models
cli.py        the command `ded-ray`

In a room `ray_data.py`, `ray_train.py` or `ray_serve.py` is the entry point that touches Ray, `worker.py` runs inside an
actor, and the rest are plain functions. Imports go one way: `tests/test_house.py` has the floors.
"""
