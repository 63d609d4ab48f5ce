"""A killable child that answers JSON lines: whatever happens in it, the parent has a verdict in time.

No alarms, no threads, no pickle. The child is a pair: a *forkserver* that has imported what is slow to import and
never touches a question, and its fork, the *worker*, that answers. The parent waits on a pipe and kills the worker's
process group when its time is spent (time_budget.py: a busy machine spends none of it); the forkserver has the next worker
ready within milliseconds. When the parent is gone, however it went, the forkserver ends its worker and itself.
"""

import contextlib
import json
import math
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ded_ray.verify.time_budget import TimeBudget, Watch

START_TIMEOUT_SECONDS = 60
"""Of its own time. Importing SymPy takes seconds, from a slow disk many; it is not a part of any verdict's time."""


class ChildTimedOut(Exception):
    """No answer within its time; that worker is gone."""


class ChildCrashed(Exception):
    """The worker died or failed (out of memory, recursion too deep, a bug of a library)."""


class Child:
    """`python -m MODULE MEMORY_BYTES CPU_SECONDS`, started at once and waited for when first asked; see `serve`.

    MEMORY_BYTES is the address space that a question may take on top of what the imports have; CPU_SECONDS is per
    question.
    """

    _forkserver: subprocess.Popen[bytes]
    _worker: int | None  # its process id, once it is known to be ready
    _received: bytearray  # of the child's output, what is not yet a whole line
    _number = 0  # of the last question: an answer to another one is never taken for its own

    def __init__(self, module: str, memory_bytes: int, cpu_seconds: float) -> None:
        self._command = [sys.executable, "-m", module, str(memory_bytes), str(math.ceil(cpu_seconds))]
        self._start()

    def ask(self, question: dict[str, Any], timeout_seconds: float) -> Any:
        """The worker's answer to one question. Raises ChildTimedOut or ChildCrashed; the next ask gets a new worker.

        `timeout_seconds` is time of the worker's own and of all that it starts: on a CPU or asleep.
        """
        if self._forkserver.poll() is not None:
            self.stop()
            self._start()
        self._note_what_happened()
        if self._worker is None:
            self._await_worker()
        budget = TimeBudget(timeout_seconds)
        self._watch = Watch(self._forkserver.pid)
        self._number += 1
        assert self._forkserver.stdin is not None
        try:
            self._forkserver.stdin.write(json.dumps([self._number, question]).encode() + b"\n")
            self._forkserver.stdin.flush()
        except OSError as error:
            self.stop()
            raise ChildCrashed("the child died") from error
        reply = self._read_reply(budget)
        while reply is not None and reply.get("number") != self._number and "died_of" not in reply:
            reply = self._read_reply(budget)  # somebody else's answer, late
        if reply is None:
            self._kill_worker()
            raise ChildTimedOut
        if "died_of" in reply:
            self._worker = None
            raise ChildTimedOut if reply["died_of"] == -signal.SIGXCPU else ChildCrashed("the worker died")
        if "error" in reply:
            raise ChildCrashed(reply["error"])
        return reply["answer"]

    def _note_what_happened(self) -> None:
        """A worker may have died since its last answer, by the kernel's hand."""
        while reply := self._read_reply(TimeBudget(0)):
            self._worker = reply.get("ready")

    def stop(self) -> None:
        """Kill the child and all that it started; it can be asked again, and then starts afresh."""
        self._kill_worker()
        if self._forkserver.returncode is None:  # once it was waited for its id may be another's
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._forkserver.pid, signal.SIGKILL)
            self._forkserver.wait()
        for pipe in (self._forkserver.stdin, self._forkserver.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def _start(self) -> None:
        self._worker = None
        self._received = bytearray()
        self._forkserver = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
        )
        self._watch = Watch(self._forkserver.pid)

    def _await_worker(self) -> None:
        budget = TimeBudget(START_TIMEOUT_SECONDS)
        while self._worker is None:  # before the next one is ready come the last words of, and about, a killed one
            reply = self._read_reply(budget)
            if reply is None:
                self.stop()
                raise ChildCrashed("the child did not start")
            self._worker = reply.get("ready")

    def _read_reply(self, budget: TimeBudget) -> dict[str, Any] | None:
        """The next line that is JSON; None when the budget is spent. Raises ChildCrashed when the forkserver is gone."""
        assert self._forkserver.stdout is not None
        output = self._forkserver.stdout.fileno()
        while True:
            line, newline, rest = self._received.partition(b"\n")
            if newline:
                self._received = rest
                with contextlib.suppress(ValueError):  # a killed worker may leave half a line
                    return json.loads(line)
            elif not budget.await_readable(output, self._watch):
                return None
            else:
                chunk = os.read(output, 1 << 16)
                if not chunk:
                    self.stop()
                    raise ChildCrashed("the child died")
                self._received += chunk

    def _kill_worker(self) -> None:
        if self._worker is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._worker, signal.SIGKILL)
        self._worker = None


def serve(answer_one: Callable[[dict[str, Any]], Any]) -> None:
    """The child's side, called once all imports are done: one worker after the other, until the parent goes away."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print never comes between the answers
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    events = select.poll()
    events.register(0, 0)  # only its end is waited for; the worker reads it
    events.register(woken, select.POLLIN)
    while True:
        worker = os.fork()
        if worker == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _work(answer_one, replies)
            os._exit(0)
        died, status = 0, 0
        while not died:
            happened = dict(events.poll())
            if woken in happened:
                os.read(woken, 4096)
            if 0 in happened:
                for kill in (os.kill, os.killpg):
                    with contextlib.suppress(ProcessLookupError):
                        kill(worker, signal.SIGKILL)
                os._exit(0)
            died, status = os.waitpid(worker, os.WNOHANG)
        print("\n" + json.dumps({"died_of": os.waitstatus_to_exitcode(status)}), file=replies)


def _work(answer_one: Callable[[dict[str, Any]], Any], replies: Any) -> None:
    """The worker: forget what was meant for an earlier one, say ready, then answer line by line."""
    os.setpgid(0, 0)
    memory_bytes, cpu_seconds = int(sys.argv[1]), int(sys.argv[2])
    _limit_memory(memory_bytes)
    os.set_blocking(0, False)
    with contextlib.suppress(BlockingIOError):
        while os.read(0, 1 << 16):
            pass
    os.set_blocking(0, True)
    print(json.dumps({"ready": os.getpid()}), file=replies)
    for line in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _lower_limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + cpu_seconds)
        number, question = json.loads(line)
        try:
            reply = {"answer": answer_one(question)}
        except BaseException as error:  # the boundary: whatever a hostile answer raises, TimeoutException included
            reply = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps({"number": number, **reply}), file=replies)


def _limit_memory(memory_bytes: int) -> None:
    if not sys.platform.startswith("linux"):
        return  # RLIMIT_AS cannot be relied on elsewhere; the deadline still holds
    with Path("/proc/self/statm").open() as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    _lower_limit(resource.RLIMIT_AS, used + memory_bytes)


def _lower_limit(which: int, value: int) -> None:
    """The soft limit, which is what counts and may be moved again; never above what the machine itself allows."""
    _, hard = resource.getrlimit(which)
    resource.setrlimit(which, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
