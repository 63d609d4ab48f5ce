"""Ray Train entry point: the worker loop, resumed from its last checkpoint when it was interrupted.

    fitting, dropped = fitting_examples(examples, recipe)
    with progress("train", num_steps, "steps") as counts:
        curve = train(fitting, recipe, folder=folder, name="one", counts=counts)

The folder then holds `model/` in Hugging Face format and `curve.jsonl`.
"""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from ded_ray.models.chat import ChatTokenizer
from ded_ray.recipe import Recipe
from ded_ray.records import Example
from ded_ray.runtime.needs import train_needs
from ded_ray.train.sequences import to_sequence
from ded_ray.train.worker import CURVE_FILE, HF_FOLDER, train_worker


def fitting_examples(examples: list[Example], recipe: Recipe) -> tuple[list[Example], Counter[str]]:
    """The examples that fit into `train.max_length`, in an order that depends on nothing but their ids; what was dropped."""
    chat = ChatTokenizer(recipe.student.model, recipe.student.chat)
    fitting = [e for e in examples if to_sequence(e, chat).length <= recipe.train.max_length]
    fitting.sort(key=lambda e: (e.problem_id, e.group_id, e.index))
    num_dropped = len(examples) - len(fitting)
    return fitting, Counter({"over_train_max_length": num_dropped} if num_dropped else {})


def train(examples: list[Example], recipe: Recipe, *, folder: Path, name: str, counts: Any) -> list[dict[str, float]]:
    """Train the student; leaves `folder/model` (Hugging Face format) and `folder/curve.jsonl`; returns the curve.

    `name` identifies this very training: calling again with the same name goes on from its last checkpoint. `counts` is
    the handle of a Counts actor.
    """
    config, needs = recipe.train, train_needs(recipe.train)
    storage = folder / "ray_train"
    shutil.rmtree(folder / "ray_train_done", ignore_errors=True)
    for other in storage.glob("*"):
        if other.name != name:  # an interrupted training of another recipe or on other examples
            shutil.rmtree(other)
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={
            "train": config,
            "student": recipe.student,
            "examples": examples,
            "seed": recipe.seed,
            "counts": counts,
        },
        torch_config=TorchConfig(backend="nccl" if config.use_gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=needs.most,
            use_gpu=config.use_gpu,
            resources_per_worker={"CPU": needs.num_cpus} | ({"GPU": needs.num_gpus} if needs.num_gpus else {}),
        ),
        run_config=RunConfig(
            name=name,
            storage_path=str(storage),
            failure_config=FailureConfig(max_failures=config.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
        ),
    )
    result = trainer.fit()
    if result.checkpoint is None:
        raise RuntimeError("Ray Train returned no checkpoint")
    with result.checkpoint.as_directory() as checkpoint:
        shutil.rmtree(folder / "model", ignore_errors=True)
        shutil.copytree(Path(checkpoint) / HF_FOLDER, folder / "model")
        shutil.copy(Path(checkpoint) / CURVE_FILE, folder / CURVE_FILE)
    # Out of the way in one step: a half-deleted storage under this name could not be resumed.
    shutil.rmtree(storage.rename(folder / "ray_train_done"))
    return [json.loads(line) for line in (folder / CURVE_FILE).read_text().splitlines()]
