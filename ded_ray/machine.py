"""The machine under a run: joins or starts Ray, without Ray's noise, and watches the memory that a local run takes."""

import logging
import math
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ded_ray.knobs import BadInput, least_and_most
from ded_ray.recipe import Model, Recipe, TransformersEngine, VllmEngine

MIN_LOGICAL_CPUS = 8
"""A local Ray hands out at least so many: logical CPUs are tickets, and every stage of a streaming plan must hold one
at the same time, or the plan waits for itself for ever."""


def cpus_needed(recipe: Recipe) -> float:
    """Logical CPUs that the hungriest step of a recipe holds at once."""

    def engines(*models: Model) -> float:
        local = [who.engine for who in models if isinstance(who.engine, TransformersEngine | VllmEngine)]
        return sum(least_and_most(engine.workers)[1] * engine.num_cpus for engine in local)

    verifying = least_and_most(recipe.verify.workers)[1] * recipe.verify.num_cpus
    judge = recipe.verify.judge
    if judge is not None:
        verifying += judge.engine.num_cpus if isinstance(judge.engine, TransformersEngine | VllmEngine) else 0.5
    answering = max(1.0, engines(recipe.student), engines(*recipe.teachers.candidates))
    if recipe.curate.diversity.pick == "lowest_rsr":
        answering += least_and_most(recipe.curate.reading.workers)[1] * recipe.curate.reading.num_cpus
    curating = least_and_most(recipe.curate.workers)[1] * 0.5
    streaming = answering + verifying + curating + 2.5  # rewarding, reading, writing
    training = recipe.train.workers * recipe.train.num_cpus + 1
    serving = recipe.serve.replicas * recipe.serve.num_cpus + verifying + 2
    return max(streaming, training, serving)


def start_ray(recipe: Recipe | None = None, num_cpus: float = 0) -> None:
    """Join the cluster that RAY_ADDRESS names (a submitted job has it set), else start Ray on this machine. Idempotent.

    A Ray that is started here has as many logical CPUs as the recipe, or `num_cpus`, asks for.
    """
    # Ray Train looks at its workers, and takes their reports, once per interval; the default of 2 s is long for a laptop.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_worker_maximum_startup_concurrency", str(MIN_LOGICAL_CPUS))
    import ray

    if ray.is_initialized():
        return
    local: dict[str, Any] = {}
    if not os.environ.get("RAY_ADDRESS"):
        needed = math.ceil(cpus_needed(recipe) if recipe else num_cpus)
        tickets = max(MIN_LOGICAL_CPUS, os.cpu_count() or 1, needed)
        local = {"address": "local", "num_cpus": tickets, "include_dashboard": False}
    with _stderr_closed():  # Ray's core writes to it, past any Python logger, that its log level was set
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **local)
    quieten()


def check_gpus(models: Sequence[Model]) -> None:
    """Raise BadInput for engines that would wait for ever: GPUs that this machine lacks. A cluster may yet grow."""
    import ray

    if os.environ.get("RAY_ADDRESS"):
        return
    there = ray.cluster_resources().get("GPU", 0)
    for who in models:
        engine, needed = who.engine, 0.0
        if isinstance(engine, VllmEngine) and engine.device == "gpu":
            needed = least_and_most(engine.workers)[0] * engine.tensor_parallel * engine.pipeline_parallel
        elif isinstance(engine, TransformersEngine):
            needed = least_and_most(engine.workers)[0] * engine.num_gpus
        if needed > there:
            raise BadInput(f"{who.model}: its engines need {needed:g} GPUs, and this machine has {there:g}; submit the run "
                           f"to a cluster, or change engine.workers or engine.device")  # fmt: skip


@contextmanager
def _stderr_closed() -> Iterator[None]:
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def quieten() -> None:
    """Ray's libraries log to files in Ray's session folder; the terminal belongs to the run's own progress.

    Also the settings of Ray Data that every plan of a run shares.
    """
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # The one that watches memory calls what makes an actor's placement group, again and again: GPUs would be taken by none.
    context.issue_detectors_config.detectors = []
    context.use_datasource_v2 = False  # its Parquet reader takes 4 to 6 s to begin on two cores (2.60), the other 0.1 s
    context.memory_usage_poll_interval_s = None  # else a thread of every task in flight measures its process each second
    import ray.serve
    import ray.train  # noqa: F401  (importing them sets their log levels: it must have happened before)

    for name in ("ray", "ray.train", "ray.serve", "httpx", "httpx2", "openai"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what it logs as an error it also raises


class PeakMemory:
    """The largest sum of proportional set sizes of this process and all that it started, sampled every few seconds."""

    def __init__(self) -> None:
        self.peak_bytes = 0

    def sample(self) -> None:
        import psutil

        total = 0
        process = psutil.Process()
        for each in [process, *process.children(recursive=True)]:
            try:
                memory = each.memory_full_info()
            except psutil.Error:
                continue  # it ended meanwhile
            total += getattr(memory, "pss", memory.uss)
        self.peak_bytes = max(self.peak_bytes, total)


@contextmanager
def peak_memory(every_seconds: float = 3) -> Iterator[PeakMemory]:
    """Watch memory while the block runs."""
    watched, over = PeakMemory(), threading.Event()

    def watch() -> None:
        while not over.wait(every_seconds):
            watched.sample()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield watched
    finally:
        over.set()
        watcher.join()
