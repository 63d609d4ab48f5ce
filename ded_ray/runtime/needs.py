"""What each step of a run asks of Ray: the one table. Scheduler calls, the deadlock guard, the plan
and the manifests of a cluster (`pools.py`) all read it.

    verify_needs(recipe.verify).resources   # {"num_cpus": 0.5}, for map_batches
    cpus_needed(recipe)                     # logical CPUs that the hungriest step holds at once

All operators of a streaming plan run at once; `cpus_needed` adds them up for a Ray that is started on this machine.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ded_ray.errors import BadInput
from ded_ray.recipe import (
    Curate,
    EngineConfig,
    Generator,
    OpenAIEngine,
    Reading,
    Recipe,
    ScriptedEngine,
    Serve,
    Train,
    TransformersEngine,
    Verify,
    VllmEngine,
)
from ded_ray.recipe.config import least_and_most


@dataclass(frozen=True)
class Needs:
    """A step's actors, or its tasks: how many at least and at most, and what each of them holds."""

    step: str
    num_cpus: float
    num_gpus: float = 0
    least: int = 1
    most: int = 1
    shards: int = 1  # GPUs that one engine is spread over, each in a bundle of its own placement group
    labels: Mapping[str, str] = field(default_factory=dict)  # of the nodes that will do

    @property
    def resources(self) -> dict[str, Any]:
        """Arguments for Ray. An engine over several GPUs holds none itself: its placement group does."""
        if self.shards > 1:
            return {"num_cpus": self.num_cpus, "num_gpus": 0}
        held = {"num_cpus": self.num_cpus, "num_gpus": self.num_gpus}
        return held | ({"label_selector": self.label_selector} if self.label_selector else {})

    @property
    def label_selector(self) -> dict[str, str]:
        """Of a cluster's nodes; a Ray that was started on this machine has no others to choose from."""
        return dict(self.labels) if os.environ.get("RAY_ADDRESS") else {}

    @property
    def all_cpus(self) -> float:
        """Of as many as there may be."""
        return self.most * self.num_cpus

    @property
    def least_gpus(self) -> float:
        """Of as many as there must be; with fewer the step never begins."""
        return self.least * self.num_gpus * self.shards

    @property
    def most_gpus(self) -> float:
        """Of as many as there may be."""
        return self.most * self.num_gpus * self.shards


READ_OR_WRITE = Needs("reading or writing Parquet", 1)
SELECT = Needs("selecting what is stored or missing", 0.5)
COMPRESS = Needs("compressing questions", 0.5)
REWARD = Needs("rewards", 0.25)
TOKENIZE = Needs("examples into tokens", 0.5)
WAITING_ENGINE = Needs("an engine that waits for an endpoint or reads a file", 0.5)
GATEWAY = Needs("an endpoint in front of models", 0.5)
CONTROLLER = Needs("the controller of Train or Serve, and its proxy", 1)


def engine_needs(engine: EngineConfig) -> Needs:
    """Of the actors with this engine."""
    match engine:
        case TransformersEngine():
            least, most = least_and_most(engine.workers)
            return Needs("engines", engine.num_cpus, engine.num_gpus, least, most, labels=engine.label_selector)
        case VllmEngine():
            least, most = least_and_most(engine.workers)
            shards = engine.tensor_parallel * engine.pipeline_parallel if engine.device == "gpu" else 1
            gpus = 1 if engine.device == "gpu" else 0
            return Needs("engines", engine.num_cpus, gpus, least, most, shards, engine.label_selector)
        case ScriptedEngine():
            least, most = least_and_most(engine.workers)
            return Needs("engines", WAITING_ENGINE.num_cpus, engine.num_gpus, least, most)
    return WAITING_ENGINE


def verify_needs(config: Verify) -> Needs:
    least, most = least_and_most(config.workers)
    return Needs("verifiers", config.num_cpus, 0, least, most)


def curate_needs(config: Curate) -> Needs:
    least, most = least_and_most(config.workers)
    return Needs("curation", 0.5, 0, least, most)


def reading_needs(config: Reading) -> Needs:
    """Of the student that reads what others wrote."""
    least, most = least_and_most(config.workers)
    return Needs("reading with the student", config.num_cpus, config.num_gpus, least, most)


def train_needs(config: Train) -> Needs:
    gpus, workers = 1 if config.use_gpu else 0, config.workers
    return Needs("training", config.num_cpus, gpus, workers, workers, labels=config.label_selector)


def serve_needs(config: Serve, engine: EngineConfig | None = None) -> Needs:
    """Of the replicas of one model, which answers by `engine` where the recipe does not say how models are served."""
    least, most = least_and_most(config.replicas)
    form = config.engine or engine
    if isinstance(form, VllmEngine):
        own = engine_needs(form)
        return Needs("serving", own.num_cpus, own.num_gpus, least, most, own.shards, own.labels)
    return Needs("serving", config.num_cpus, config.num_gpus, least, most, labels=config.label_selector)


def streaming_needs(recipe: Recipe, engines: Sequence[EngineConfig], *, reads: bool = False) -> list[Needs]:
    """Every operator of the plan generate -> verify -> judge -> reward -> curate; all of them run at once.

    Where the student reads along (`reads`), its own too: only what teachers answer is curated so.
    """
    needs = [READ_OR_WRITE, SELECT, *map(engine_needs, engines), verify_needs(recipe.verify)]
    if recipe.verify.judge is not None:
        needs.append(engine_needs(recipe.verify.judge.engine))
    if reads and recipe.curate.diversity.pick == "lowest_rsr":
        needs.append(reading_needs(recipe.curate.reading))
    return [*needs, REWARD, curate_needs(recipe.curate), READ_OR_WRITE]


def evaluation_needs(recipe: Recipe) -> list[Needs]:
    """The replicas that hold base, student and teachers, on GPUs one model at a time, and the plan that asks them."""
    models = [recipe.student, recipe.student, *recipe.teachers.candidates]
    asking = streaming_needs(recipe, [OpenAIEngine()] * len(models))
    served = [serve_needs(recipe.serve, model.engine) for model in models]
    hungriest = max(served, key=lambda needs: (needs.most_gpus, needs.all_cpus))
    return [CONTROLLER, hungriest, *[SELECT] * len(models), *asking]


def models_at_once(config: Serve, models: Sequence[tuple[str, EngineConfig]]) -> int:
    """How many of these models (where it is, how it answers) are served at once: on GPUs one, on CPUs as many as the
    cluster's memory holds in float32. They are taken to be as large as the largest; 1 at least."""
    import ray

    replicas = serve_needs(config)
    if replicas.num_gpus or any(isinstance(config.engine or engine, VllmEngine) for _, engine in models):
        return 1
    there = ray.cluster_resources().get("memory", 0)
    return max(1, min(len(models), int(there / max(replicas.most * memory_of(path) for path, _ in models))))


def memory_of(model: str) -> float:
    """Bytes that a model served on the CPU takes at most, in float32; endless for what is not on this machine."""
    from ded_ray.models.load import model_path

    weights = sum(file.stat().st_size for file in Path(model_path(model)).glob("*.safetensors"))
    return 2 * weights + 2**30 if weights else math.inf


def step_needs(recipe: Recipe) -> dict[str, list[Needs]]:
    """The steps of a run that come one after the other, and what each of them holds at once."""
    return {
        "student answers": streaming_needs(recipe, [recipe.student.engine]),
        "teacher answers": streaming_needs(recipe, [each.engine for each in recipe.teachers.candidates], reads=True),
        "train": [CONTROLLER, train_needs(recipe.train)],
        "evaluate": evaluation_needs(recipe),
    }


def step_of(stage: str) -> str:
    """The step that leaves this stage in a run's folder; all of choosing a teacher is one, "smoke test"."""
    name, _, rest = stage.partition("_")
    if name in {"smoke", "evaluate"}:
        return "smoke test" if name == "smoke" else name
    return "train" if stage == "checkpoint" else f"{name} answers" if rest == "rollouts" else stage


def gpus_held(step: Sequence[Needs]) -> float:
    """GPUs that a step may hold at most."""
    return sum(needs.most_gpus for needs in step)


def cpus_needed(recipe: Recipe) -> float:
    """Logical CPUs that the hungriest step of a recipe holds at once."""
    return max(sum(needs.all_cpus for needs in step) for step in step_needs(recipe).values())


def check_gpus(models: Sequence[Generator], train: Train) -> None:
    """Raise BadInput for engines, or a training, that need GPUs which this machine lacks: they would never start.

    A cluster may yet grow.
    """
    import ray

    if os.environ.get("RAY_ADDRESS"):
        return
    there = ray.cluster_resources().get("GPU", 0)
    for model in models:
        if (needed := engine_needs(model.engine).least_gpus) > there:
            raise BadInput(
                f"{model.model}: its engines need {needed:g} GPUs, and this machine has {there:g}; submit the run "
                f"to a cluster, or change engine.workers or engine.device"
            )
    if (needed := train_needs(train).least_gpus) > there:
        raise BadInput(
            f"train: its {train.workers} workers need {needed:g} GPUs, and this machine has {there:g}; submit the run to a "
            f"cluster, or set train.use_gpu: false or fewer train.workers"
        )
