"""Verdicts do not depend on how busy the machine is: what waits for a CPU is not charged for it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ded_ray.recipe import Code, Verify
from ded_ray.verify import time_budget
from ded_ray.verify.code.sandbox import find_walls
from ded_ray.verify.code.verifier import CodeVerifier
from ded_ray.verify.math.verifier import MathVerifier
from ded_ray.verify.time_budget import TimeBudget, Watch, usage

BUSY = "while True: pass"
LOAD = f"import os\nwhile os.getppid() == {os.getpid()}: pass"  # ends with the tests, however they end
LOOPS_PER_CPU = 10  # on a machine of two CPUs a load of 20

needs_linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs the /proc of Linux")
needs_walls = pytest.mark.skipif(find_walls(Code()) is None, reason="this machine cannot isolate programs")


def started(code: str) -> subprocess.Popen:
    """In a session of its own, as the verifiers' children are: the kernel may share CPUs out by session."""
    command = [sys.executable, "-c", f"import os; os.nice(19)\n{code}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)


@pytest.fixture
def make_load():
    """Keeps this process and what it starts on one CPU, and makes that one busy with niced loops; the others stay free."""
    cpus, loops = os.sched_getaffinity(0), []
    os.sched_setaffinity(0, {min(cpus)})

    def make() -> None:
        loops.extend(started(LOAD) for _ in range(LOOPS_PER_CPU))

    yield make
    os.sched_setaffinity(0, cpus)
    for loop in loops:
        loop.kill()
        loop.wait()


def seconds_until_spent(process: subprocess.Popen, seconds: float) -> tuple[float, float]:
    """(wall clock, CPU seconds of the process) when a budget is spent that nothing is ever printed in."""
    before, start = usage(process.pid)[0], time.monotonic()
    assert not TimeBudget(seconds).await_readable(process.stdout.fileno(), Watch(process.pid))
    wall, on_cpu = time.monotonic() - start, usage(process.pid)[0] - before
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return wall, on_cpu


@needs_linux
def test_what_sleeps_is_charged_the_wall_clock():
    process = started("import time; time.sleep(600)")
    time.sleep(0.5)
    wall, on_cpu = seconds_until_spent(process, 1)
    assert wall > 0.5
    assert on_cpu < 0.5


@needs_linux
def test_what_computes_is_charged_its_cpu_time(make_load):
    make_load()
    wall, on_cpu = seconds_until_spent(started(BUSY), 1)
    assert 0.5 < on_cpu < 2, "its own"
    assert wall > on_cpu


@needs_linux
def test_threads_and_children_count_too():
    for code in (
        f"import threading\ndef busy():\n    {BUSY}\nt = threading.Thread(target=busy); t.start(); t.join()",
        f"import os\nif os.fork():\n    os.wait()\n{BUSY}",
    ):
        assert seconds_until_spent(started(code), 1)[1] > 0.3


@needs_linux
def test_what_is_never_given_a_cpu_is_given_up_in_the_end(monkeypatch):
    monkeypatch.setattr(time_budget, "wall_limit", lambda seconds: seconds)
    monkeypatch.setattr(time_budget, "usage", lambda _: (0.0, True))
    wall, _ = seconds_until_spent(started(BUSY), 0.5)
    assert wall >= 0.5


def test_what_is_gone_has_used_nothing():
    process = started("pass")
    process.wait()
    assert usage(process.pid) == (0.0, False)


def test_output_that_is_there_is_read_however_late_it_is_looked_for():
    process = started("print(1)")
    process.wait()
    assert TimeBudget(0).await_readable(process.stdout.fileno(), Watch(process.pid))


def fenced(program: str) -> str:
    return f"```python\n{program}\n```"


DOUBLE = json.dumps({"cases": [{"input": "2\n", "output": "4"}, {"input": "5\n", "output": "10\n"}]})
CALLS = json.dumps({"fn_name": "double", "inputs": [[2], [5]], "outputs": [4, 10]})
WORK = "sum(range(3_000_000))"
ROWS = [
    ("math", r"\boxed{\frac{x^2-1}{x-1}}", "x + 1"),
    ("math", r"\boxed{x + 2}", "x + 1"),
    ("code", fenced(f"{WORK}\nprint(int(input()) * 2)"), DOUBLE),
    ("code", fenced("print(4)"), DOUBLE),
    ("code", fenced("import time; time.sleep(600)"), DOUBLE),
    ("code", fenced(BUSY), DOUBLE),
    ("code", fenced(f"def double(x):\n    {WORK}\n    return x * 2"), CALLS),
    ("code", fenced("def double(x): return 4"), CALLS),
    ("code", fenced("import time\ndef double(x): time.sleep(600)"), CALLS),
]


@needs_linux
@needs_walls
@pytest.mark.slow
def test_the_same_rows_get_the_same_verdicts_on_an_idle_and_on_a_busy_machine(make_load):
    verifiers = {
        "math": MathVerifier(Verify(timeout_seconds=2, cpu_seconds=2)),
        "code": CodeVerifier(Code(timeout_seconds=1.5, memory_bytes=512 << 20)),
    }
    idle = [verifiers[name].verify(completion, answer, []).status for name, completion, answer in ROWS]
    make_load()
    busy = [verifiers[name].verify(completion, answer, []).status for name, completion, answer in ROWS]
    for verifier in verifiers.values():
        verifier.close()
    assert idle == ["correct", "wrong", "correct", "wrong", "timed_out", "timed_out", "correct", "wrong", "timed_out"]
    assert busy == idle
