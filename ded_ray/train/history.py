"""What happened at every step, for people to look at: the curve, the rollouts of each step, TensorBoard, W&B.

`steps.parquet` has a row for each sequence of each step: step, rollout (as `ded-ray explain` takes it), weight, tokens,
and its mean loss. It answers which rollouts were in the step where the loss jumped.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa

from ded_ray.files.folders import dataset, make, upload, write_table
from ded_ray.files.parts import write_atomically
from ded_ray.train.step import Step
from ded_ray.train.tokens import Tokens
from ded_ray.train.weights_and_biases import end_wandb

CURVE_FILE, STEPS_FILE, STEPS_FOLDER, BOARD_FOLDER = "curve.jsonl", "steps.parquet", "steps", "tensorboard"

STEPS_SCHEMA = pa.schema(
    [
        ("step", pa.int32()),
        ("rollout", pa.dictionary(pa.int32(), pa.string())),
        ("weight", pa.float32()),
        ("num_tokens", pa.int32()),
        ("loss", pa.float32()),
    ]
)


class History:
    """The steps so far. Only the first worker writes; the curve is part of every checkpoint, so that it resumes too."""

    def __init__(self, folder: Path, curve: list[dict[str, float]], *, here: Path | None = None, wandb: Any = None) -> None:
        """`here`: where files are written that cannot be written to a store; None on all workers that write nothing.
        `wandb`: a run that gets every point too."""
        self.curve, self._folder, self._here, self._wandb = curve, folder, here, wandb
        self._rows: list[dict[str, Any]] = []
        self._board: Any = None
        if here is not None:
            for part in (folder / STEPS_FOLDER).glob("step-*.parquet"):
                if int(part.stem.removeprefix("step-")) > self.num_steps:  # written after the checkpoint that we go on from
                    part.unlink()
            from ded_ray.train.board import Board

            self._board = Board(here / BOARD_FOLDER, first_step=self.num_steps + 1)

    @staticmethod
    def read(folder: Path) -> list[dict[str, float]]:
        return [json.loads(line) for line in (folder / CURVE_FILE).read_text().splitlines()]

    @property
    def num_steps(self) -> int:
        return int(self.curve[-1]["step"]) if self.curve else 0

    @property
    def norms(self) -> list[float]:
        return [point["grad_norm"] for point in self.curve]

    def measured(self, **values: float) -> None:
        """Add to the point of the last step."""
        self.curve[-1] |= values
        if self._here is not None:
            self._show(values)

    def add(
        self, step: int, done: Step, *, rate: float, indices: list[int], tokens: Tokens, seconds: float, mfu: float | None
    ) -> None:
        """Note a step. What is not known (`mfu` where there is no GPU, or one without a known peak) is not in the curve."""
        point = {
            "step": step + 1, "loss": done.loss, "learning_rate": rate, "grad_norm": done.norm,
            "weighted_tokens": done.weighted_tokens, "effective_size": done.effective_size, "num_tokens": done.num_tokens,
            "tokens_per_second": done.num_tokens / seconds, "padding": done.padding,
        }  # fmt: skip
        if mfu is not None:
            point["mfu"] = mfu
        self.curve.append(point)
        if self._here is None:
            return
        self._show({name: value for name, value in point.items() if name != "step"})
        self._rows += [
            {"step": step + 1, "rollout": tokens.name(i), "weight": float(tokens.weights[i]),
             "num_tokens": int(tokens.num_trained[i]), "loss": loss}
            for i, loss in zip(indices, done.losses, strict=True)
        ]  # fmt: skip

    def _show(self, values: dict[str, float]) -> None:
        """Values of the last step, to those who look on."""
        self._board.add(self.num_steps, values)
        if self._wandb is not None:
            self._wandb.log({f"train/{name}": value for name, value in values.items()}, step=self.num_steps)

    def write(self, folder: Path) -> None:
        """The curve."""
        write_atomically(folder / CURVE_FILE, "".join(json.dumps(point) + "\n" for point in self.curve))

    def write_steps(self) -> None:
        """The rows since the last time, under the name of their first step: done again, they replace the old ones."""
        if self._rows:
            steps, name = make(self._folder / STEPS_FOLDER), f"step-{self._rows[0]['step']:09d}.parquet"
            write_table(pa.Table.from_pylist(self._rows, schema=STEPS_SCHEMA), steps / name)
            self._rows = []
            self._board.flush()
            self._publish_board()

    def finish(self) -> None:
        """All rows in one file."""
        if self._here is not None:
            self.write_steps()
            parts = dataset(self._folder / STEPS_FOLDER, STEPS_SCHEMA)
            write_table(parts.to_table(), self._folder / STEPS_FILE)
            self._board.close()
            if self._wandb is not None:
                end_wandb(self._wandb)
            self._publish_board()
            if self._here != self._folder:
                shutil.rmtree(self._here, ignore_errors=True)

    def _publish_board(self) -> None:
        """TensorBoard's writer knows files of this machine only, and so does wandb."""
        if self._here is not None and self._here != self._folder:
            upload(self._here, self._folder)
