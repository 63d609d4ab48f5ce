"""Watches the memory that a local run takes, and gives back what is freed."""

import ctypes
import ctypes.util
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


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


def measured(work: Callable[[], T]) -> tuple[T, str]:
    """The result of some work, and one line that says how long it took and how much memory."""
    started = time.monotonic()
    with peak_memory() as memory:
        result = work()
    return result, f"{time.monotonic() - started:.0f} s, peak memory {memory.peak_bytes / 1e9:.1f} GB"


@contextmanager
def freed_at_once() -> Iterator[None]:
    """Large tensors that are freed in the block go back to the system at once.

    The C library keeps them otherwise, in case that others of their size follow; of a model that is divided as it is
    built a worker would hold twice its share. Nothing happens where the C library is another one.
    """
    mallopt = getattr(ctypes.CDLL(ctypes.util.find_library("c")), "mallopt", None)
    if mallopt is None:
        yield
        return
    mallopt(_MMAP_THRESHOLD, _LARGE)
    try:
        yield
    finally:
        mallopt(_MMAP_THRESHOLD, _LARGEST)


_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of malloc.h
_LARGE, _LARGEST = 1 << 20, 32 << 20  # bytes; the second is where glibc's own, growing threshold ends
