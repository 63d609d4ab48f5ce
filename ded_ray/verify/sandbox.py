"""Runs a program of a model behind walls (isolate.py) and captures what it prints, up to limits that it cannot move.

Nothing that the program writes, exits with or leaves behind is a verdict: it yields bytes, which others compare.
"""

import contextlib
import functools
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ded_ray.verify import isolate

Tier = Literal["namespaces", "limits"]
PYTHON = str(Path(sys.executable).resolve())
"""The bare interpreter, without this environment's packages: model code gets the standard library."""

MAX_OUTPUT_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    cpu_seconds: int
    memory_bytes: int  # address space
    disk_bytes: int  # per file; in the tier `namespaces` of all files together


class ProgramTimedOut(Exception):
    """Still running at the deadline; it is gone now."""


class WallsFailed(Exception):
    """The walls could not be built, so the program was never started."""


class Program:
    """One program, started; `files` are written to its folder and `argv` are the arguments of a bare Python.

    Its standard input is `stdin`, or `send` where that is None. `scratch` is the host's folder for its folder.
    """

    def __init__(
        self,
        files: Mapping[str, str],
        argv: list[str],
        stdin: bytes | None,
        limits: Limits,
        tier: Tier,
        scratch: str | None = None,
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="program-", dir=scratch))
        (self._folder / "root").mkdir()
        spec = {
            "root": str(self._folder / "root"),
            "python_prefix": sys.base_prefix,
            "files": dict(files),
            "argv": [PYTHON, "-I", *argv],
            "parent": os.getpid(),
            "cpu_seconds": limits.cpu_seconds,
            "memory_bytes": limits.memory_bytes,
            "disk_bytes": limits.disk_bytes,
        }
        self._walls_stood = False
        self._walls_stand, walls_stand = os.pipe()
        spec["walls_stand"] = walls_stand
        (self._folder / "spec.json").write_text(json.dumps(spec))
        (self._folder / "stdin").write_bytes(stdin or b"")
        with (self._folder / "stdin").open("rb") as given:
            self._process = subprocess.Popen(
                [PYTHON, "-I", isolate.__file__, str(self._folder / "spec.json"), tier],
                stdin=subprocess.PIPE if stdin is None else given,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                pass_fds=(walls_stand,),
                start_new_session=True,
            )
        os.close(walls_stand)

    def send(self, line: bytes) -> None:
        """Write to the program's standard input (only without a given `stdin`). Raises OSError when it is gone."""
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def read(self, deadline: float, *, line: bool = False) -> bytes:
        """What it prints, up to its end or one newline, at most MAX_OUTPUT_BYTES. Raises ProgramTimedOut."""
        assert self._process.stdout is not None
        received = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while len(received) < MAX_OUTPUT_BYTES and not (line and received.endswith(b"\n")):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise ProgramTimedOut
                chunk = os.read(self._process.stdout.fileno(), 1 << 16)
                if not chunk:
                    self._check_walls()
                    break
                received += chunk
        return bytes(received)

    def _check_walls(self) -> None:
        """Raise WallsFailed when the program ended without ever having begun."""
        if not self._walls_stood and os.read(self._walls_stand, 1) == b"":
            raise WallsFailed
        self._walls_stood = True

    def exit_code(self, deadline: float) -> int:
        """How it ended, once its output has. Raises ProgramTimedOut."""
        try:
            return self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise ProgramTimedOut from error

    def stop(self) -> None:
        """Kill it and remove its folder. Its own children cannot be: it was never able to start one."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._walls_stand)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()


@functools.cache
def best_tier(weakest: Tier = "namespaces") -> Tier | None:
    """The strongest isolation that works on this machine, tried once; None where there is not even the `weakest`."""
    limits = Limits(cpu_seconds=20, memory_bytes=1 << 30, disk_bytes=1 << 20)
    tiers: tuple[Tier, ...] = ("namespaces", "limits") if weakest == "limits" else ("namespaces",)
    for tier in tiers if sys.platform == "linux" else ():
        with (
            Program({"p.py": "print('inside')"}, ["p.py"], b"", limits, tier) as program,
            contextlib.suppress(ProgramTimedOut, WallsFailed),
        ):
            if program.read(time.monotonic() + 20) == b"inside\n":
                return tier
    return None
