"""How long work in another process may take, however busy the machine is.

Time on a CPU counts, and so does time asleep; time in line for a CPU does not, nor does an uninterruptible wait: on a busy
machine a process waits seconds for locks of the kernel that starved ones hold, when it starts, builds its walls and ends.
What computes is thus charged its CPU time, and what sleeps the wall clock. Linux tells which of the two it is
(/proc/PID/task/TID/stat); elsewhere all of the wall clock counts. It is looked at once per tick, so a charge is an
estimate, good to a tick or so.
"""

import os
import select
import time
from itertools import islice
from pathlib import Path

TICK_SECONDS = 0.05
MAX_THREADS = 64
"""Of a process, so many threads are looked at: model code may start thousands."""

WAITING_FOR_THE_MACHINE = {"R", "D"}
"""States of proc(5): on a CPU or in line for one; and uninterruptible, which model code cannot bring about for long."""


def wall_limit(seconds: float) -> float:
    """The backstop: seconds of the wall clock after which work is given up that may take `seconds` of its own."""
    return 30 * seconds + 60


class Watch:
    """The own time of one process and all its descendants, from now on."""

    def __init__(self, pid: int) -> None:
        self._pid, self._wall = pid, time.monotonic()
        self.cpu_seconds, _ = usage(pid)

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._wall >= TICK_SECONDS

    def elapsed(self) -> float:
        """Own seconds since this was last asked."""
        wall, (cpu_seconds, is_busy) = time.monotonic(), usage(self._pid)
        on_cpu = max(0.0, cpu_seconds - self.cpu_seconds)
        # A longer pause between two looks is the observer's own wait for a CPU, of which the observed one is innocent.
        asleep = 0.0 if is_busy else min(wall - self._wall, 2 * TICK_SECONDS)
        self._wall, self.cpu_seconds = wall, max(cpu_seconds, self.cpu_seconds)
        return max(on_cpu, asleep)


class TimeBudget:
    """Seconds of own time that some work may still take, and the backstop behind them."""

    def __init__(self, seconds: float) -> None:
        self._left, self._wall_deadline = seconds, time.monotonic() + wall_limit(seconds)

    @property
    def is_spent(self) -> bool:
        return self._left <= 0 or time.monotonic() >= self._wall_deadline

    def charge(self, seconds: float) -> None:
        self._left -= seconds

    def await_readable(self, descriptor: int, watch: Watch) -> bool:
        """Whether `descriptor` can be read, or has ended, before what is watched has spent the budget."""
        arrived = select.poll()
        arrived.register(descriptor, select.POLLIN)
        while True:
            if watch.is_due:
                self.charge(watch.elapsed())
            is_spent = self.is_spent
            if arrived.poll(0 if is_spent else 1000 * min(TICK_SECONDS, self._left)):
                return True
            if is_spent:
                return False


def usage(pid: int) -> tuple[float, bool]:
    """(CPU seconds of a process and its descendants; whether one of them waits for the machine, or has it).

    Children that were waited for count; nothing does of what is gone or cannot be read.
    """
    process = Path(f"/proc/{pid}")
    ticks, is_busy, children = 0, False, set[int]()
    try:
        ticks = sum(map(int, _stat(process)[11:15]))  # utime, stime, and those of children that were waited for
        for thread in islice((process / "task").iterdir(), MAX_THREADS):
            is_busy = is_busy or _stat(thread)[0] in WAITING_FOR_THE_MACHINE
            children.update(map(int, (thread / "children").read_text().split()))
    except (OSError, IndexError):
        pass
    below = [usage(child) for child in children]
    return ticks / os.sysconf("SC_CLK_TCK") + sum(cpu for cpu, _ in below), is_busy or any(busy for _, busy in below)


def _stat(folder: Path) -> list[str]:
    """The fields of proc(5)'s stat from the third on: the second is a name that may hold anything."""
    return (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
