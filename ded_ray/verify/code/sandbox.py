"""Runs a program of a model behind walls and captures what it prints, up to limits that it cannot move.

Nothing that the program writes, exits with or leaves behind is a verdict: it yields bytes, which others compare. The
walls are the kernel's namespaces (isolate.py), or a command of the recipe's that starts a container, or bubblewrap;
inside those two isolate.py sets the limits as well.
"""

import contextlib
import fcntl
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ded_ray.recipe import Code, Container
from ded_ray.verify.code import isolate
from ded_ray.verify.time_budget import TimeBudget, Watch

Tier = Literal["container", "namespaces", "bubblewrap", "limits"]
PYTHON = str(Path(sys.executable).resolve())
"""The bare interpreter, without this environment's packages: model code gets the standard library."""

MAX_OUTPUT_BYTES = 16 << 20
PROBE_SECONDS = 300
"""For the first program behind some walls, which shows whether they can be built: an image may have to be fetched."""

READ_ISOLATE = (
    "import os\ndef read(n):\n b=b''\n while len(b)<n: b+=os.read(0,n-len(b)) or os._exit(125)\n return b\n"
    "exec(compile(read(int(read(16))),'isolate.py','exec'))"
)
"""For an interpreter that sees none of our files: isolate.py itself comes first on its standard input."""


@dataclass(frozen=True, slots=True)
class Limits:
    cpu_seconds: int  # the kernel's own guard, behind the caller's budget
    memory_bytes: int  # address space
    disk_bytes: int  # per file; in the tier `namespaces` of all files together
    wall_seconds: float  # in a container: it ends itself then, because killing the command that started it may not


@dataclass(frozen=True, slots=True)
class Walls:
    """One way to isolate a program on this machine. An empty command: by isolate.py itself."""

    tier: Tier
    command: tuple[str, ...] = ()
    python: str = PYTHON


class ProgramTimedOut(Exception):
    """Its time is spent."""


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
        walls: Walls,
        scratch: str | None = None,
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="program-", dir=scratch))
        self._walls_stand = False
        spec = {
            "root": "." if walls.command else str(self._folder),
            "python_prefix": sys.base_prefix,
            "files": dict(files),
            "argv": ["-I", "-X", "int_max_str_digits=0", *argv],  # long integers are slow, and time has its own limit
            "parent": os.getpid(),
            **{name: getattr(limits, name) for name in Limits.__slots__},
        }
        head = _framed(json.dumps(spec).encode())
        if walls.command:
            command = [*walls.command, walls.python, "-I", "-c", READ_ISOLATE, "inside"]
            head = _framed(Path(isolate.__file__).read_bytes()) + head
        else:
            command = [walls.python, "-I", isolate.__file__, walls.tier]
        given = subprocess.PIPE if stdin is None else _sealed(head + stdin)
        self._process = subprocess.Popen(
            command,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_engine_environment() if walls.tier == "container" else {},
            start_new_session=True,
        )
        self._watch = Watch(self._process.pid)
        if stdin is None:
            with contextlib.suppress(OSError):  # an early end shows when its output is read
                self._write(head)
        else:
            os.close(given)

    def _write(self, text: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def send(self, line: bytes, budget: TimeBudget) -> None:
        """Write to the program's standard input (only without a given `stdin`). Raises OSError when it is gone."""
        self._await_walls(budget)
        self._write(line)

    def read(self, budget: TimeBudget, *, line: bool = False, most: int = MAX_OUTPUT_BYTES) -> bytes:
        """What it prints, up to its end or one newline, or `most` bytes; it may be one chunk more.

        Raises ProgramTimedOut and WallsFailed.
        """
        self._await_walls(budget)
        received = bytearray()
        while len(received) < most and not (line and received.endswith(b"\n")):
            chunk = self._read_chunk(budget, 1 << 16)
            if not chunk:
                break
            received += chunk
        return bytes(received)

    def _await_walls(self, budget: TimeBudget) -> None:
        """isolate.py writes one byte just before it becomes the program, which therefore cannot write it."""
        if not self._walls_stand and self._read_chunk(budget, 1) != isolate.WALLS_STAND:
            raise WallsFailed
        self._walls_stand = True

    def _read_chunk(self, budget: TimeBudget, most: int) -> bytes:
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        if budget.is_spent or not budget.await_readable(output, self._watch):  # it may write faster than it can be read
            raise ProgramTimedOut
        return os.read(output, most)

    def exited_well(self, budget: TimeBudget) -> bool:
        """Whether it ended with exit code 0, once its output has ended. Raises ProgramTimedOut."""
        ended = os.pidfd_open(self._process.pid)
        try:
            if not budget.await_readable(ended, self._watch):
                raise ProgramTimedOut
        finally:
            os.close(ended)
        self._kill_group()
        _, status, used = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        budget.charge(used.ru_utime + used.ru_stime - self._watch.cpu_seconds)
        if self._process.returncode == isolate.EXIT_NO_TIME:
            raise ProgramTimedOut
        return self._process.returncode == 0

    def stop(self) -> None:
        """Kill it and remove its folder. Its own children cannot be: it was never able to start one."""
        if self._process.returncode is None:
            self._kill_group()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _kill_group(self) -> None:
        """Only before it is waited for: afterwards its id may be another's."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()


def _engine_environment() -> dict[str, str]:
    """What the command of a container needs to find its engine, and nothing that might be a secret."""
    names = ("PATH", "HOME", "USER", "TMPDIR", "XDG_RUNTIME_DIR", "DOCKER_HOST", "DOCKER_CONTEXT", "CONTAINER_HOST")
    return {name: os.environ[name] for name in names if name in os.environ}


def _framed(text: bytes) -> bytes:
    return b"%16d" % len(text) + text


def _sealed(text: bytes) -> int:
    """A file in memory that nobody can write to any more, at its beginning."""
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(text)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def find_walls(config: Code) -> Walls | None:
    """The strongest walls that the recipe allows and this machine can build, tried once; None where there are none."""
    if sys.platform != "linux":
        return None
    if config.isolation == "container":
        candidates = [_container(config.container)]
    else:
        candidates = [Walls("namespaces"), _bubblewrap(config.disk_bytes)]
    if config.isolation == "limits":
        candidates.append(Walls("limits"))
    return next((walls for walls in candidates if _stand(walls)), None)


@functools.cache
def _stand(walls: Walls) -> bool:
    """Whether a program runs behind these walls on this machine."""
    limits = Limits(cpu_seconds=20, memory_bytes=1 << 30, disk_bytes=1 << 20, wall_seconds=PROBE_SECONDS)
    try:
        with Program({"p.py": "print('inside')"}, ["p.py"], b"", limits, walls) as program:
            return program.read(TimeBudget(PROBE_SECONDS)) == b"inside\n"
    except (OSError, ProgramTimedOut, WallsFailed):
        return False


def _container(config: Container) -> Walls:
    return Walls("container", tuple(part.replace("{image}", config.image) for part in config.command), "python3")


def _bubblewrap(disk_bytes: int) -> Walls:
    """The same walls as `namespaces`, for machines that allow them to this program only."""
    shown = [path for path in (*isolate.SYSTEM_FOLDERS, sys.base_prefix) if Path(path).exists()]
    binds = [part for path in dict.fromkeys(shown) for part in ("--ro-bind", path, path)]
    command = ("bwrap", "--unshare-all", "--die-with-parent", "--clearenv", "--cap-drop", "ALL", "--dev", "/dev", *binds)
    return Walls("bubblewrap", (*command, "--size", str(disk_bytes), "--tmpfs", "/program", "--chdir", "/program"))
