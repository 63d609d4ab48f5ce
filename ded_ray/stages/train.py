"""The step that trains the student on what was kept."""

from collections import Counter
from functools import partial

from ded_ray.errors import NoExamples
from ded_ray.files.folders import remove
from ded_ray.recipe import Recipe
from ded_ray.run import Run, Stage
from ded_ray.stages.spending import spending


def train_student(run: Run, curated: Stage) -> Stage:
    """Reward-weighted fine-tuning of the student on the kept examples."""
    recipe = run.recipe
    parts = [recipe.train.identity(), recipe.student.model, recipe.seed, *recipe.student.chat.parts()]
    stage = run.stage("checkpoint", parts, [curated])
    if not stage.done:
        train_on(curated, stage, recipe)
    return stage


def train_on(curated: Stage, stage: Stage, recipe: Recipe) -> None:
    """Train on the curated groups' kept rollouts; goes on from the last checkpoint of an interrupted training.

    Raises NoExamples when there is nothing to train on, Stopped when a step goes wrong.
    """
    from ded_ray.runtime.connect import start_ray

    start_ray(recipe)
    from ded_ray.runtime.needs import train_needs
    from ded_ray.runtime.progress import progress
    from ded_ray.train.batches import num_steps
    from ded_ray.train.checkpoints import STORAGE
    from ded_ray.train.held_out import best_step, split
    from ded_ray.train.pass_rate import Grading
    from ded_ray.train.preflight import longest_sequence
    from ded_ray.train.ray_train import tokenize, train
    from ded_ray.train.tokens import Tokens
    from ded_ray.verify.worker import VerifyWorker

    config, folder = recipe.train, stage.begin(keep=True)
    tokens = folder / "tokens"
    files = tokenize(curated.folder, recipe.student, longest_sequence(recipe.student, config), tokens)
    num_kept, num_too_long = sum(file.num_kept for file in files), sum(file.num_too_long for file in files)
    dropped = Counter({"over_train_max_length": num_too_long} if num_too_long else {})
    if not num_kept:
        why = f"{dict(dropped)} of {num_too_long} examples" if num_too_long else "curate kept none, the ledger says why"
        raise NoExamples(f"train: nothing is left to train on ({why}); loosen curate or train.max_length")
    trained, held_out = split(Tokens(tokens), config.held_out)
    total = num_steps(len(trained), config.batch_size, config.epochs, config.max_steps)
    with (
        spending(stage.run, stage.name, [train_needs(config)]) as why_over,
        progress("train", total, "steps", why_over=why_over) as counts,
    ):
        grading = Grading(curated.folder, partial(VerifyWorker, recipe.verify))
        curve = train(recipe, tokens=tokens, folder=folder, name=stage.fingerprint, counts=counts, grading=grading)
    remove(tokens)
    best = (
        {"held_out": len(held_out), "best_step": best_step(curve, config.held_out)} if config.held_out and held_out else {}
    )
    stage.seal("examples", num_kept + num_too_long, dropped, num_kept, steps=len(curve), last_loss=curve[-1]["loss"], **best)
    remove(folder / STORAGE)
