"""Ends what an engine's process started when that process is gone, however it went: `python -m ded_ray.generate.reaper PID`.

vLLM computes in processes of its own; when the one that started them is killed they stay, and hold the GPU's memory.
"""

import contextlib
import os
import sys
import time

import psutil

LOOK_SECONDS, CHILDREN_EVERY = 0.5, 6
"""How often it looks for the process itself, and after how many looks for its children."""


def reap_after(pid: int) -> None:
    """Returns when process `pid`, our parent, has ended, and with it all that it had started."""
    children: dict[int, psutil.Process] = {}
    looks = 0
    while os.getppid() == pid:
        if looks % CHILDREN_EVERY == 0:
            with contextlib.suppress(psutil.Error):
                children |= {child.pid: child for child in psutil.Process(pid).children(recursive=True)}
        looks += 1
        time.sleep(LOOK_SECONDS)
    for child in children.values():
        if child.pid != os.getpid():
            with contextlib.suppress(psutil.Error):
                child.kill()  # psutil looks at the time of its start: a number that was given again is left alone


if __name__ == "__main__":
    reap_after(int(sys.argv[1]))
