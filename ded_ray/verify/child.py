"""A killable child process that answers JSON lines: whatever happens in it, the parent has a verdict in time.

No signals, no threads, no pickle: the parent waits on a pipe with a deadline, kills the child's whole process group
when it passes, and starts a new child for the next question.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

START_TIMEOUT_SECONDS = 60
"""Importing SymPy takes seconds, on a busy machine many; it is not a part of any verdict's time."""


class ChildTimedOut(Exception):
    """No answer before the deadline; the child is gone."""


class ChildCrashed(Exception):
    """The child died or failed (out of memory, recursion too deep, a bug of a library)."""


class Child:
    """Runs `python -m MODULE MEMORY_BYTES` when first asked; see `serve` for the child's side."""

    def __init__(self, module: str, memory_bytes: int) -> None:
        self._command = [sys.executable, "-m", module, str(memory_bytes)]
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, question: dict[str, Any], timeout_seconds: float) -> Any:
        """The child's answer to one question. Raises ChildTimedOut or ChildCrashed; the next ask starts afresh."""
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(question).encode() + b"\n")
            process.stdin.flush()
        except OSError as error:
            self.stop()
            raise ChildCrashed(str(error)) from error
        reply = self._read_line(timeout_seconds)
        if "error" in reply:
            raise ChildCrashed(reply["error"])
        return reply["answer"]

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._read_line(START_TIMEOUT_SECONDS)
        return self._process

    def _read_line(self, timeout_seconds: float) -> dict[str, Any]:
        assert self._process is not None and self._process.stdout is not None
        deadline, received = time.monotonic() + timeout_seconds, b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not received.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    self.stop()
                    raise ChildTimedOut
                chunk = os.read(self._process.stdout.fileno(), 1 << 16)
                if not chunk:
                    self.stop()
                    raise ChildCrashed("the child died")
                received += chunk
        return json.loads(received)

    def stop(self) -> None:
        """Kill the child and all that it started."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        self._process = None


def serve(answer_one: Any) -> None:
    """The child's side: say ready, then answer one JSON line with one JSON line until the parent goes away.

    Limits its own memory first. What libraries print goes to standard error, never between the answers.
    """
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    _limit_memory(int(sys.argv[1]))
    print(json.dumps({"answer": "ready"}), file=replies)
    for line in sys.stdin:
        try:
            reply = {"answer": answer_one(json.loads(line))}
        except BaseException as error:  # the boundary: whatever a hostile answer raises, TimeoutException included
            reply = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps(reply), file=replies)


def _limit_memory(memory_bytes: int) -> None:
    if not sys.platform.startswith("linux"):
        return  # RLIMIT_AS cannot be relied on elsewhere; the deadline still holds
    import resource

    with Path("/proc/self/statm").open() as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory_bytes, used + memory_bytes))
