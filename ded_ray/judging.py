"""Verdicts by the rules and by a judge: the two rooms that it takes, put together."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ded_ray.recipe import Verify
from ded_ray.run import Run

if TYPE_CHECKING:
    from ray.data import Dataset

    from ded_ray.verify.plan import Answerer


@contextmanager
def verifying(run: Run) -> "Iterator[Callable[[Dataset, Path | None], Dataset]]":
    """While the block runs: what gives groups their verdicts, the rules' first and then, where there is one, the judge's.

    Lazy; with a folder, every batch is also written there as it passes.
    """
    from ded_ray.verify.plan import judge, verify

    knobs = run.recipe.verify
    with judge_of(knobs, run.recipe.seed, run.folder / "judge_rollouts") as (make_answerer, resources):

        def verified(groups: "Dataset", save_to: Path | None) -> "Dataset":
            if knobs.judge is None or make_answerer is None:
                return verify(groups, knobs, save_to)
            return judge(verify(groups, knobs), knobs.judge, make_answerer, resources, save_to)

        yield verified


@contextmanager
def judge_of(knobs: Verify, seed: int, replies: Path) -> "Iterator[tuple[Callable[[], Answerer] | None, dict[str, float]]]":
    """While the block runs, on a Ray that is there: what makes the judge's answerer, and the resources it needs; (None, {})
    without a judge.

    Its replies are saved in a folder of their own, so that none is paid for twice. Its watch is the driver's: it outlives
    the engines that it counts. Raises Stopped when it is what stops the run.
    """
    if knobs.judge is None:
        yield None, {}
        return
    import ray

    from ded_ray.generate.answering import Asking
    from ded_ray.generate.engine import key_of
    from ded_ray.generate.plan import engine_resources, stopped_by
    from ded_ray.generate.saved import settle
    from ded_ray.generate.watch import Watch, max_deaths

    quarantine = replies.with_name(f"{replies.name}.quarantine.jsonl")
    watch = ray.remote(num_cpus=0)(Watch).remote(quarantine, max_deaths(knobs.judge.engine))
    with stopped_by(watch):
        make_answerer = partial(Asking, knobs.judge, seed, replies, watch, key_of(knobs.judge), settle(replies))
        yield make_answerer, engine_resources(knobs.judge.engine)
