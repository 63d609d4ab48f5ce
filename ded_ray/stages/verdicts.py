"""A judge for verdicts that rules cannot give: its engine comes from `generate/`, its questions from `verify/`."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ded_ray.generate.identity import GenerateJob
from ded_ray.recipe import Verify

if TYPE_CHECKING:
    from ded_ray.verify.worker import JudgeActor


@contextmanager
def open_judge(config: Verify, seed: int, replies: Path) -> "Iterator[JudgeActor | None]":
    """While the block runs, on a Ray that is there: how the judge's actor is made; None if the recipe has no judge.

    Its replies are saved in a folder of their own, so that none is paid for twice. Its monitor is the driver's: it
    outlives the engines that it counts. Raises Stopped when the judge is what stops the run.
    """
    if config.judge is None:
        yield None
        return
    import ray

    from ded_ray.generate.load_engine import key_of
    from ded_ray.generate.monitor import EngineMonitor, max_deaths
    from ded_ray.generate.ray_data import stopped_by
    from ded_ray.generate.store import compact
    from ded_ray.generate.worker import BlockingGenerator
    from ded_ray.runtime.needs import engine_needs
    from ded_ray.verify.worker import JudgeActor

    judge, quarantine = config.judge, replies.with_name(f"{replies.name}.quarantine.jsonl")
    monitor = ray.remote(num_cpus=0)(EngineMonitor).remote(quarantine, max_deaths(judge.engine))
    with stopped_by(monitor):
        job = GenerateJob(judge, seed, replies, quarantine)
        make_answerer = partial(BlockingGenerator, job, monitor, key_of(judge), compact(replies))
        yield JudgeActor(judge, make_answerer, engine_needs(judge.engine).resources, config.think_tags)
