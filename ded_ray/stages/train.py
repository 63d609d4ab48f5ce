"""The step that trains the student on what was kept."""

from typing import Any

from ded_ray.errors import NoExamples
from ded_ray.files.parts import read_records
from ded_ray.recipe import Recipe
from ded_ray.records import Group, examples_of
from ded_ray.run import Run, Stage


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

    Raises NoExamples when there is nothing to train on.
    """
    from ded_ray.runtime.connect import start_ray

    start_ray(recipe)
    from ded_ray.runtime.progress import progress
    from ded_ray.train.batches import num_steps
    from ded_ray.train.ray_train import fitting_examples, train

    config = recipe.train
    examples = [example for group in read_records(curated.folder, Group) for example in examples_of(group)]
    fitting, dropped = fitting_examples(examples, recipe)
    if not fitting:
        why = f"{dict(dropped)} of {len(examples)} examples" if examples else "curate kept none, the ledger says why"
        raise NoExamples(f"train: nothing is left to train on ({why}); loosen curate or train.max_length")
    total = num_steps(len(fitting), config.batch_size, config.epochs, config.max_steps)
    with progress("train", total, "steps") as counts:
        curve: list[dict[str, Any]] = train(
            fitting, recipe, folder=stage.begin(keep=True), name=stage.fingerprint, counts=counts
        )
    stage.seal("examples", len(examples), dropped, len(fitting), steps=len(curve), last_loss=curve[-1]["loss"])
