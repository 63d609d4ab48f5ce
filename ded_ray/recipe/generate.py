"""Knobs of the models that answer: engines, sampling, student and teacher."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from ded_ray.knobs import Knobs, Rate


class TransformersEngine(Knobs):
    """The embedded engine: batched, left-padded `transformers` generation, on the CPU or one GPU per worker."""

    SPEED = frozenset({"workers", "batch_size", "num_cpus", "num_gpus"})

    kind: Literal["transformers"] = "transformers"
    workers: PositiveInt = 1
    """Engine actors."""
    batch_size: PositiveInt = 16
    """Problems per batch; each is answered `num_rollouts` times at once."""
    num_cpus: PositiveFloat = 1
    """CPUs and computing threads per worker."""
    num_gpus: Annotated[float, Field(ge=0)] = 0


class ReplayEngine(Knobs):
    """Rollouts that you already have: a JSONL or Parquet file with one row per rollout, or with lists of them."""

    kind: Literal["replay"] = "replay"
    path: str
    problem_id_column: str | None = "problem_id"
    """null: rollouts find their problem by its prompt (`prompt_column`)."""
    prompt_column: str = "prompt"
    completion_column: str = "completion"
    """A text, a list of texts (OpenR1-style `generations`), or a list of chat messages (the last one is taken)."""
    finish_reason_column: str | None = None
    """'length' in this column means cut off. Left out: every rollout counts as finished."""


class ScriptedEngine(Knobs):
    """A fake for tests and scale runs: knows the answers, and errs and gets cut off at known rates."""

    SPEED = frozenset({"workers", "batch_size"})

    kind: Literal["scripted"] = "scripted"
    error_rate: Rate = 0.3
    cut_off_rate: Rate = 0.0
    workers: PositiveInt = 1
    batch_size: PositiveInt = 64


Engine = Annotated[TransformersEngine | ReplayEngine | ScriptedEngine, Field(discriminator="kind")]


class Sampling(Knobs):
    """How a model answers. Changing any of this makes other rollouts, so it is a part of every group's identity."""

    num_rollouts: PositiveInt = 8
    """G, completions per prompt. AdvDistill: 8 (Fig. 1). DED does not state its M."""
    temperature: PositiveFloat = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: PositiveInt = 512
    """Longer completions are cut off, and named `truncated`."""


class Model(Knobs):
    """A model and how it answers."""

    model: str
    """A hub name, a folder in Hugging Face format, or `tiny/NAME`; for the replay engine only a label."""
    engine: Engine = TransformersEngine()
    sampling: Sampling = Sampling()


class Student(Model):
    """Its sampling is for the pass rate that compresses the questions; DED does not state its own."""

    measure_pass_rate: bool = True
    """false: no student rollouts, and no question is dropped for being easy."""


class Teacher(Model):
    """Answers what the student is to learn."""
