"""Watches the memory that a local run takes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class PeakMemory:
    """The largest sum of proportional set sizes of this process and all that it started, sampled every few seconds."""

    def __init__(self) -> None:
        self.peak_bytes = 0

    def sample(self) -> None:
        import psutil

        total = 0
        process = psutil.Process()
        for member in [process, *process.children(recursive=True)]:
            try:
                memory = member.memory_full_info()
            except psutil.Error:
                continue  # it ended meanwhile
            total += getattr(memory, "pss", memory.uss)
        self.peak_bytes = max(self.peak_bytes, total)


@contextmanager
def peak_memory(every_seconds: float = 3) -> Iterator[PeakMemory]:
    """Sample memory while the block runs."""
    peak, over = PeakMemory(), threading.Event()

    def sample_until_over() -> None:
        while not over.wait(every_seconds):
            peak.sample()

    sampler = threading.Thread(target=sample_until_over, daemon=True)
    sampler.start()
    try:
        yield peak
    finally:
        over.set()
        sampler.join()
