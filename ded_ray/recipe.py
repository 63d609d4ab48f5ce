"""Every knob, typed and explained once; an unknown knob is refused. `recipe_file.py` reads recipes from YAML.

Where a paper is silent, the default below is our choice and says so. DED is arXiv 2508.09883, AdvDistill 2507.00054.
"""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from ded_ray.knobs import Knobs, Rate

# ---- problems ------------------------------------------------------------------------------------------------------


class TinyProblems(Knobs):
    """Synthetic problems of the tiny world."""

    kind: Literal["tiny"] = "tiny"
    family: Literal["chain", "reverse", "sort", "larger"] = "chain"
    num_problems: PositiveInt = 100
    difficulty: tuple[PositiveInt, PositiveInt] = (4, 10)
    """Closed range: number of operations (chain) or digits (the others)."""
    seed: int = 0


class FileProblems(Knobs):
    """Problems from a JSONL or Parquet file, one per row."""

    kind: Literal["file"] = "file"
    path: str
    """A .jsonl or .parquet file. A relative path is looked up from the recipe's folder."""
    id_column: str | None = None
    """Left out: a `problem_id` column where there is one, else a hash of the prompt."""
    prompt_column: str = "prompt"
    answer_column: str = "answer"
    choices_column: str | None = None
    """Multiple choice: the column with the list of options."""
    answer_after: str | None = None
    """Use only what follows the last occurrence of this text as the answer ('####' for GSM8K as published)."""
    verifier: Literal["math", "choice", "code"] = "math"
    limit: PositiveInt | None = None
    """Only the first so many rows."""
    one_row_per: Literal["problem", "rollout"] = "problem"
    """`rollout`: a file of rollouts that names each problem several times; its rows are folded into problems."""


Problems = Annotated[TinyProblems | FileProblems, Field(discriminator="kind")]

# ---- generate ------------------------------------------------------------------------------------------------------


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


class Student(Knobs):
    model: str
    """A hub name, a folder in Hugging Face format, or `tiny/NAME`."""
    engine: Engine = TransformersEngine()
    sampling: Sampling = Sampling()
    """For the pass rate that compresses the questions. DED does not state its own."""
    measure_pass_rate: bool = True
    """false: no student rollouts, and no question is dropped for being easy."""


class Teacher(Knobs):
    model: str
    """A hub name, a folder in Hugging Face format, or `tiny/NAME`; for the replay engine only a label."""
    engine: Engine = TransformersEngine()
    sampling: Sampling = Sampling()


# ---- verify --------------------------------------------------------------------------------------------------------


class Code(Knobs):
    """How programs are tested; they run only in the sandbox (verify/sandbox.py)."""

    isolation: Literal["namespaces", "limits"] = "namespaces"
    """The weakest isolation that may be used; where a machine has not even that, verdicts are `unverifiable`. `limits`
    has no walls around files and processes: only for machines that hold nothing worth having."""

    timeout_seconds: PositiveFloat = 20
    """Wall clock per answer, all of its tests together."""
    memory_bytes: PositiveInt = 1 << 30
    disk_bytes: PositiveInt = 64 << 20


class Verify(Knobs):
    SPEED = frozenset({"workers", "num_cpus", "batch_size"})

    workers: PositiveInt = 1
    """Verifier actors, each with one killable child for what the fast path cannot decide."""
    num_cpus: PositiveFloat = 0.5
    batch_size: PositiveInt = 16
    """Groups per batch; an actor waits until it has so many."""
    timeout_seconds: PositiveFloat = 10
    """Wall clock per answer; then the child is killed and the status is `timed_out`, never `wrong`."""
    memory_bytes: PositiveInt = 2 << 30
    """Address space that a child may take on top of what its libraries use."""
    answer_forms: tuple[Literal["boxed", "hashes", "phrase"], ...] = ("boxed", "hashes")
    """Where an answer may stand, first match wins: the last \\boxed{}, after '####', after 'the answer is'."""
    code: Code = Code()


# ---- curate --------------------------------------------------------------------------------------------------------


class Quality(Knobs):
    """DED's quality and correctness (Method, corpus filtering)."""

    max_tokens: PositiveInt | None = None
    """Drop longer completions, counted in the student's tokens. DED: 16k."""
    keep_wrong: bool = False
    """true: checked but wrong completions are trained on too, with the weight of their (low) advantage."""


class Compress(Knobs):
    """DED's question compression."""

    max_student_pass_rate: Rate = 0.75
    """Drop a question that the student already answers more often than this. DED states no threshold: our choice."""


class Diversity(Knobs):
    """DED's farthest-P: which completions of a question are kept."""

    num_kept: PositiveInt | None = 4
    """P, completions kept per question; null keeps all. DED's corpora have about 4 (its Tables 3 and 4: 965/237)."""


class Weights(Knobs):
    """AdvDistill's group-relative advantage, turned into loss weights: our declared reading (curate/weights.py)."""

    map: Literal["softmax", "relu", "none"] = "softmax"
    """softmax(A / temperature) x G; max(A, 0); or 1 for every completion."""
    temperature: PositiveFloat = 1.0
    """tau of the softmax. Our choice: the paper's text is not to be had."""
    uniform_group: Literal["one_if_correct", "one", "drop"] = "one_if_correct"
    """A group whose rewards are all equal (max - min <= 1e-6) has no advantages: weight 1 for every correct
    completion and no training on the others, weight 1 for all, or drop the group."""


class Curate(Knobs):
    compress: Compress = Compress()
    quality: Quality = Quality()
    diversity: Diversity = Diversity()
    weights: Weights = Weights()


# ---- train, serve, evaluate ----------------------------------------------------------------------------------------


class Ddp(Knobs):
    kind: Literal["ddp"] = "ddp"


class DeepSpeed(Knobs):
    kind: Literal["deepspeed"] = "deepspeed"
    zero_stage: Literal[1, 2, 3] = 2


class Train(Knobs):
    SPEED = frozenset({"num_cpus", "checkpoint_every_steps", "max_failures"})

    strategy: Annotated[Ddp | DeepSpeed, Field(discriminator="kind")] = Ddp()
    """How the model is wrapped."""
    workers: PositiveInt = 2
    num_cpus: PositiveFloat = 1
    """CPUs and computing threads per worker."""
    use_gpu: bool = False
    epochs: PositiveInt = 10
    """DED: 10."""
    max_steps: PositiveInt | None = None
    """Stop after so many optimiser steps, whatever the epochs say."""
    batch_size: PositiveInt = 48
    """Sequences per optimiser step, over all workers. DED: 48."""
    micro_batch_size: PositiveInt = 16
    """Sequences per forward pass of one worker."""
    learning_rate: PositiveFloat = 1e-5
    """Peak of a cosine after warm-up. DED: 1e-5; scheduler and warm-up not stated."""
    warmup_fraction: Rate = 0.05
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: PositiveFloat = 1.0
    max_length: PositiveInt = 2048
    """Longest sequence in tokens, prompt included; a longer example is dropped as `too_long`, never cut."""
    checkpoint_every_steps: PositiveInt = 50
    max_failures: Annotated[int, Field(ge=0)] = 3
    """Worker failures that are answered by a restart from the last checkpoint."""


class Serve(Knobs):
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """0 takes a free port."""
    replicas: PositiveInt = 1
    num_cpus: PositiveFloat = 1
    num_gpus: Annotated[float, Field(ge=0)] = 0
    max_batch_size: PositiveInt = 64
    """Completions that one replica generates at once."""


class Benchmark(Knobs):
    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    """Also the name of its file: letters, digits, '.', '_' and '-'."""
    domain: Literal["in", "out"]
    """in-domain: what is distilled; out-of-domain: what should not be forgotten."""
    problems: Problems


class Evaluate(Knobs):
    SPEED = frozenset({"concurrency"})

    benchmarks: tuple[Benchmark, ...] = ()
    sampling: Sampling = Sampling(num_rollouts=4)
    """`num_rollouts` samples per problem."""
    concurrency: PositiveInt = 64
    """Requests in flight at the endpoint."""
    bootstrap_resamples: PositiveInt = 10_000


class Recipe(Knobs):
    name: str
    seed: int = 0
    """Seeds sampling, training order and bootstrap."""
    problems: Problems
    student: Student
    teacher: Teacher
    verify: Verify = Verify()
    curate: Curate = Curate()
    train: Train = Train()
    serve: Serve = Serve()
    evaluate: Evaluate = Evaluate()

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        names = [b.name for b in self.evaluate.benchmarks]
        if len(names) != len(set(names)):
            raise ValueError("evaluate.benchmarks: each needs a name of its own")
        if isinstance(self.student.engine, ReplayEngine):
            raise ValueError("student.engine: the student answers itself, it cannot be replayed")
        if self.train.batch_size % self.train.workers:
            raise ValueError("train.batch_size: must be a multiple of train.workers")
        return self
