"""Progress with an ETA: actors count, only the driver draws. A bar on a terminal, else a line now and then."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray


class Counts:
    """An actor that adds up what the workers of one step report."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, **counts: int) -> None:
        self._counts.update(counts)

    def set(self, **counts: int) -> None:
        self._counts |= Counter(counts)

    def read(self) -> dict[str, int]:
        return dict(self._counts)


@contextmanager
def progress(what: str, total: int, unit: str) -> Iterator[Any]:
    """Draw `what` until the block ends; yields the handle of a `Counts` actor whose `done` is measured against total.

    Other counts are shown beside the bar: `tokens` per second, `cut_off` as a share of `rollouts`.
    """
    counts = ray.remote(num_cpus=0)(Counts).remote()
    finished = threading.Event()
    drawer = threading.Thread(target=_draw, args=(what, total, unit, counts, finished), daemon=True)
    drawer.start()
    try:
        yield counts
    finally:
        finished.set()
        drawer.join(timeout=10)
        ray.kill(counts)


def _draw(what: str, total: int, unit: str, counts: Any, finished: threading.Event) -> None:
    started, last_line = time.monotonic(), 0.0
    on_terminal = sys.stderr.isatty()
    while True:
        over = finished.wait(0.5 if on_terminal else 2)
        try:
            read = ray.get(counts.read.remote(), timeout=5)
        except (ray.exceptions.RayError, ray.exceptions.GetTimeoutError):
            return
        elapsed = time.monotonic() - started
        if on_terminal:
            print(
                f"\r\033[K{_line(what, total, unit, read, elapsed)}", end="\n" if over else "", file=sys.stderr, flush=True
            )
        elif over or elapsed - last_line >= 15:
            last_line = elapsed
            print(_line(what, total, unit, read, elapsed), file=sys.stderr, flush=True)
        if over:
            return


def _line(what: str, total: int, unit: str, read: dict[str, int], elapsed: float) -> str:
    done = read.get("done", 0)
    parts = [f"{what:<18} {done}/{total} {unit}"]
    if rollouts := read.get("rollouts"):
        parts.append(
            f"{rollouts} rollouts, {read['tokens'] / elapsed:.0f} tokens/s, {read['cut_off'] / rollouts:.0%} cut off"
        )
    parts.append(f"{elapsed:.0f} s")
    if 0 < done < total:
        parts.append(f"ETA {elapsed / done * (total - done):.0f} s")
    return " · ".join(parts)
