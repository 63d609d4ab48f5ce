"""Ray entry points of training: curated groups into tokens with Ray Data, then the worker loop on Ray Train.

    kept = tokenize(run.folder / "curated", recipe.student, recipe.train.max_length, folder / "tokens")
    with progress("train", total, "steps") as counts:
        curve = train(recipe, tokens=folder / "tokens", folder=folder, name="one", counts=counts, grading=grading)

The folder then holds `model/` in Hugging Face format, `curve.jsonl`, `steps.parquet` and `tensorboard/`. Nothing but file
names goes through the driver.
"""

from pathlib import Path
from typing import Any

import ray
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchConfig, TorchTrainer

from ded_ray.errors import BadInput, Stopped
from ded_ray.files.folders import dataset, make, plain_name, remove
from ded_ray.files.parts import read_records
from ded_ray.files.store_errors import full_disk
from ded_ray.files.whole_files import whole_files
from ded_ray.recipe import Generator, Recipe
from ded_ray.records import Group
from ded_ray.runtime.map_groups import map_groups, read_parquet
from ded_ray.runtime.needs import TOKENIZE, train_needs
from ded_ray.train.checkpoints import IMPROVED, STORAGE
from ded_ray.train.history import BOARD_FOLDER, STEPS_FOLDER, History
from ded_ray.train.pass_rate import Grading
from ded_ray.train.tokens import TokenFile, write_tokens
from ded_ray.train.worker import train_worker

GROUPS_PER_FILE = 4096
GROUPS_AT_HOME = 2048
"""So few are tokenised in this process, before Ray has started another one."""


def tokenize(curated: Path, student: Generator, max_length: int, folder: Path) -> list[TokenFile]:
    """Write the kept rollouts of a folder of curated groups as tokens; what became of them, by file."""
    remove(folder)
    make(folder)
    if dataset(curated).count_rows() <= GROUPS_AT_HOME:
        return write_tokens(list(read_records(curated, Group)), student, max_length, folder)
    files = map_groups(
        read_parquet(curated), write_tokens, (student, max_length, folder),
        record=TokenFile, batch_size=GROUPS_PER_FILE, **TOKENIZE.resources,
    )  # fmt: skip
    return [TokenFile.from_row(row) for row in files.take_all()]


def train(
    recipe: Recipe, *, tokens: Path, folder: Path, name: str, counts: Any, grading: Grading | None = None
) -> list[dict[str, float]]:
    """Train the student; leaves `folder/model` (Hugging Face format) and `folder/curve.jsonl`; returns the curve.

    `name` identifies this very training: calling again with the same name goes on from its last checkpoint, which is in
    `folder/STORAGE` until the caller, who knows when what came of it is safe, deletes that. `counts` is the handle of a
    Counts actor; `grading` is needed where a pass rate is asked for. Raises Stopped when a step goes wrong or a disk is
    full, BadInput for a student that cannot be trained so.
    """
    config, needs, storage = recipe.train, train_needs(recipe.train), folder / STORAGE
    if not (storage / name).exists():  # nothing to go on from, but perhaps an interrupted training of another recipe
        for other in (storage, folder / STEPS_FOLDER, folder / BOARD_FOLDER):
            remove(other)
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={
            "train": config,
            "student": recipe.student,
            "tokens": tokens,
            "folder": folder,
            "name": name,
            "seed": recipe.seed,
            "counts": counts,
            "grading": grading,
        },
        torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if config.use_gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=needs.most,
            use_gpu=config.use_gpu,
            resources_per_worker={"CPU": needs.num_cpus} | ({"GPU": needs.num_gpus} if needs.num_gpus else {}),
            label_selector=needs.label_selector or None,
        ),
        run_config=RunConfig(
            name=name,
            storage_path=plain_name(storage),
            storage_filesystem=whole_files(storage),
            failure_config=FailureConfig(max_failures=config.max_failures),
            checkpoint_config=CheckpointConfig(
                num_to_keep=2, checkpoint_score_attribute=IMPROVED if config.held_out else None
            ),
        ),
    )
    try:
        stopped = trainer.fit().return_value
    except TrainingFailedError as error:
        if why := ray.get(counts.why_stopped.remote()):  # that much is known also where no worker could be started again
            raise Stopped(why) from error
        with full_disk(folder):  # Ray Train's own controller writes there, too
            raise
    if stopped is not None:
        reason, bad_input = stopped
        raise (BadInput if bad_input else Stopped)(reason)
    return History.read(folder)
