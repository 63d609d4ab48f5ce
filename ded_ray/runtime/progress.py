"""Progress with an ETA: actors count, only the driver draws. A bar on a terminal, else a line now and then."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


class Counts:
    """Adds up what the workers of one step report; runs as an actor, see `start_actor`."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._started: float | None = None
        self._why_stopped: str | None = None

    def stop(self, why: str) -> None:
        """Note why the work cannot go on; the first reason counts. On its way to the driver an exception loses its type and
        its cause."""
        self._why_stopped = self._why_stopped or why

    def why_stopped(self) -> str | None:
        return self._why_stopped

    def add(self, **counts: int) -> None:
        self._counts.update(counts)
        self._start_at_first()

    def start(self) -> None:
        """Work begins now: speed and ETA are measured from here. Without it, from when the first unit is done: what came
        before that, such as loading a model, says nothing about the others."""
        self._started = self._started or time.monotonic()

    def set(self, **counts: int) -> None:
        self._counts |= Counter(counts)
        self._start_at_first()

    def _start_at_first(self) -> None:
        if self._started is None and self._counts["done"] > self._counts["found"]:
            self._counts["found"] = self._counts["done"]
            self.start()

    def read(self) -> dict[str, float]:
        """The counts; and `working`, the seconds since `start`, if work has begun."""
        return dict(self._counts) | ({"working": time.monotonic() - self._started} if self._started else {})

    def stall_message(self) -> str | None:
        """What is wrong, in one line, when something is."""
        return None


def start_actor(counts: type[Counts], *arguments: Any) -> Any:
    """An actor that counts, on the driver's own node: a step that lost its counts with another node would be lost whole."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=here)(counts).remote(*arguments)


@contextmanager
def progress(
    what: str, total: int, unit: str, counts: Any = None, *, why_over: Callable[[], str | None] = lambda: None
) -> Iterator[Any]:
    """Draw `what` until the block ends; yields the handle of the `Counts` actor whose `done` is measured against total.

    Other counts are shown in the same line: `tokens` per second, `cut_off` as a share of `rollouts`, `engines` alive, how
    many are `quarantined`. `found` is the part of `done` that was there when work began. The actor ends with the block. It
    is told to stop when `why_over`, which is asked now and then, gives a reason.

        with progress("train", 120, "steps") as counts:
            counts.set.remote(done=1)
    """
    counts = counts or start_actor(Counts)
    finished = threading.Event()
    drawer = threading.Thread(target=_draw, args=(what, total, unit, counts, finished, why_over), daemon=True)
    drawer.start()
    try:
        yield counts
    finally:
        finished.set()
        drawer.join(timeout=10)
        ray.kill(counts)


def _draw(
    what: str, total: int, unit: str, counts: Any, finished: threading.Event, why_over: Callable[[], str | None]
) -> None:
    started, last_line = time.monotonic(), 0.0
    on_terminal = sys.stderr.isatty()
    while True:
        over = finished.wait(0.5 if on_terminal else 2)
        if why := why_over():
            counts.stop.remote(why)
        try:
            read, stall_message = ray.get([counts.read.remote(), counts.stall_message.remote()], timeout=5)
        except ray.exceptions.GetTimeoutError:
            if over:
                return
            continue
        except ray.exceptions.RayError:
            return
        line = _line(what, total, unit, read, time.monotonic() - started)
        if stall_message:
            print(f"{what}: {stall_message}", file=sys.stderr, flush=True)
        if on_terminal:
            print(f"\r\033[K{line}", end="\n" if over else "", file=sys.stderr, flush=True)
        elif over or time.monotonic() - last_line >= 15:
            last_line = time.monotonic()
            print(line, file=sys.stderr, flush=True)
        if over:
            return


def _line(what: str, total: int, unit: str, read: dict[str, float], elapsed: float) -> str:
    done, working = int(read.get("done", 0)), read.get("working", elapsed)
    parts = [f"{what:<18} {done}/{total} {unit}"]
    if rollouts := read.get("rollouts"):
        cut_off = read["cut_off"] / rollouts
        parts.append(f"{rollouts:.0f} rollouts, {read['tokens'] / max(working, 0.001):.0f} tokens/s, {cut_off:.0%} cut off")
    if "engines" in read:
        parts.append(f"{read['engines']:.0f} engines")
    if read.get("quarantined"):
        parts.append(f"{read['quarantined']:.0f} in quarantine")
    parts.append(f"{elapsed:.0f} s")
    just_done = done - read.get("found", 0)
    if just_done > 0 and done < total:
        parts.append(f"ETA {working / just_done * (total - done):.0f} s")
    return " · ".join(parts)
