"""Real programs in the real sandbox: HumanEval's references, and programs that try to get around their tests."""

import json
import os
import re
import shutil
import subprocess
import sys
import time

import psutil
import pytest
from conftest import shared

from ded_ray.recipe import Code, Container
from ded_ray.verify.code import sandbox
from ded_ray.verify.code.sandbox import find_walls
from ded_ray.verify.code.server import decode, encode
from ded_ray.verify.code.verifier import CodeVerifier

needs_walls = pytest.mark.skipif(find_walls(Code()) is None, reason="this machine cannot isolate programs")


@pytest.fixture(scope="module")
def verifier():
    made = CodeVerifier(Code(timeout_seconds=3, memory_bytes=512 << 20, disk_bytes=16 << 20))
    yield made
    made.close()


DOUBLE = json.dumps({"cases": [{"input": "2\n", "output": "4"}, {"input": "5\n", "output": "10\n"}]})
TESTS = "def check(candidate):  # c0ffee-tests\n    assert candidate(2) == 4\n    assert candidate(5) == 10\n"
CHECK = json.dumps({"test": TESTS, "entry_point": "double", "prompt": "def double(x):\n"})


def fenced(program: str) -> str:
    return f"Here:\n```python\n{program}\n```\nDone."


@pytest.mark.parametrize("value", [None, True, -7, 1 << 20000, 1.5, "é\x00", [1, (2, "3")], {1: {2}, "k": frozenset([3])}],
                         ids=lambda value: type(value).__name__)  # fmt: skip
def test_plain_data_survives_and_keeps_its_types(value):
    back = decode(json.loads(json.dumps(encode(value))))
    assert back == value
    assert type(back) is type(value)


def test_anything_else_is_refused():
    with pytest.raises(TypeError):
        encode(object())


@needs_walls
@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("print(int(input()) * 2)", "correct"),
        ("print(4)", "wrong"),
        ("print(int(input()) * 2); raise SystemExit(1)", "wrong"),
        ("print('4' if", "wrong"),
        ("import sys\nprint(int(sys.stdin.read()) * 2.0)", "correct"),
    ],
)
def test_standard_input_and_output(verifier, program, status):
    assert verifier.verify(fenced(program), DOUBLE, []).status == status


@needs_walls
@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("def double(x):\n    return x * 2", "correct"),
        ("def double(x):\n    print('noise')\n    return x * 2", "correct"),
        ("def double(x):\n    return 4", "wrong"),
        ("def other(x):\n    return x * 2", "wrong"),
        ("def double(x):\n    raise KeyError", "wrong"),
        ("def double(x):\n    return lambda: 4", "wrong"),
    ],
)
def test_functions(verifier, program, status):
    assert verifier.verify(fenced(program), CHECK, []).status == status
    assert verifier.verify("    return x * 2\n", CHECK, []).status == "correct"


@needs_walls
@pytest.mark.skipif(os.getuid() != 0, reason="mounts something below /usr, as root of its own mounts")
def test_what_is_mounted_below_the_system_is_read_only_too(tmp_path):
    code = (
        "from ded_ray.recipe import Code; from ded_ray.verify.code.verifier import CodeVerifier\n"
        'p = \'```python\\nopen("/usr/share/man/forged", "w")\\nprint(4)\\n```\'\n'
        'print(CodeVerifier(Code()).verify(p, \'[{"input": "", "output": "4"}]\', []).status)'
    )
    mounts = 'mount -t tmpfs none /usr/share/man && exec "$@"'
    below = ["unshare", "-m", "sh", "-c", mounts, "sh"]
    if shutil.which("unshare") is None or subprocess.run([*below, "true"], capture_output=True, timeout=60).returncode:
        pytest.skip("this user may not mount")
    done = subprocess.run([*below, sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "wrong\n", done.stderr


@needs_walls
def test_walls_that_cannot_be_built_are_a_crash_and_not_a_wrong_answer(verifier, monkeypatch):
    monkeypatch.setattr(verifier, "_walls", sandbox.Walls("namespaces", python="/bin/false"))
    assert verifier.verify(fenced("print(int(input()) * 2)"), DOUBLE, []).status == "crashed"


CALLS = json.dumps({"fn_name": "double", "inputs": [[2], [5]], "outputs": [4, 10]})


@needs_walls
@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("def double(x):\n    return x * 2", "correct"),
        ("class Solution:\n    def double(self, x):\n        return x * 2", "correct"),
        ("def double(x):\n    return 4", "wrong"),
        ("class Solution:\n    pass", "wrong"),
        ("import os; os._exit(0)", "wrong"),
    ],
)
def test_calls_of_functions_and_methods(verifier, program, status):
    assert verifier.verify(fenced(program), CALLS, []).status == status


@pytest.mark.skipif(find_walls(Code(isolation="limits")) is None, reason="this machine cannot isolate programs")
def test_the_weaker_tier_is_a_choice_and_cannot_send_signals(monkeypatch):
    monkeypatch.setattr(sandbox, "_stand", lambda walls: walls.tier == "limits")
    assert CodeVerifier(Code()).verify(fenced("print(int(input()) * 2)"), DOUBLE, []).status == "unverifiable"
    verifier = CodeVerifier(Code(isolation="limits"))
    verdict = verifier.verify(fenced("print(int(input()) * 2)"), DOUBLE, [])
    assert (verdict.status, verdict.isolation) == ("correct", "limits")
    kill = f"import os\ntry: os.kill({os.getpid()}, 0)\nexcept PermissionError: print(int(input()) * 2)"
    assert verifier.verify(fenced(kill), DOUBLE, []).status == "correct"
    verifier.close()


# Not a container, but what the tier needs of one: a command that starts a python3 which sees no file of ours.
UNSHARE = (
    "unshare",
    "--user",
    "--map-root-user",
    "--net",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--wd={image}",
)


@pytest.mark.parametrize("tier", ["bubblewrap", "container"])
def test_the_other_walls(tier, tmp_path, monkeypatch):
    config = Code(timeout_seconds=3, memory_bytes=512 << 20, disk_bytes=16 << 20)
    if tier == "bubblewrap":
        stands = sandbox._stand
        monkeypatch.setattr(sandbox, "_stand", lambda walls: walls.tier == "bubblewrap" and stands(walls))
    else:
        container = Container(image=str(tmp_path), command=UNSHARE)
        config = config.model_copy(update={"isolation": "container", "container": container})
    if find_walls(config) is None:
        pytest.skip(f"this machine has no {tier}")
    verifier = CodeVerifier(config)
    verdict = verifier.verify(fenced("print(int(input()) * 2)"), DOUBLE, [])
    assert (verdict.status, verdict.isolation) == ("correct", tier)
    assert verifier.verify(fenced("def double(x): return 2 * x"), CHECK, []).status == "correct"
    assert verifier.verify(fenced("def double(x): return 4"), CHECK, []).status == "wrong"
    assert verifier.verify(fenced("import os; os.fork(); print(int(input()) * 2)"), DOUBLE, []).status == "wrong"
    assert verifier.verify(fenced("import socket; socket.socket(); print(int(input()) * 2)"), DOUBLE, []).status == "wrong"
    before = set(psutil.pids())
    assert verifier.verify(fenced("while True: pass"), DOUBLE, []).status == "timed_out"
    for _ in range(100):
        left = [p for p in psutil.process_iter(["cmdline"]) if "program.py" in (p.info["cmdline"] or [])]
        if not [p for p in left if p.pid not in before]:
            break
        time.sleep(0.1)
    else:
        pytest.fail("a program is left behind")
    verifier.close()


def test_a_container_that_cannot_be_started_is_unverifiable():
    broken = Code(isolation="container", container=Container(command=("no-such-engine", "{image}")))
    assert CodeVerifier(broken).verify(fenced("print(1)"), DOUBLE, []).status == "unverifiable"


def humaneval() -> list[dict]:
    return [json.loads(line) for line in shared("humaneval.jsonl").read_text().splitlines()]


def reference(row: dict) -> str:
    return json.dumps({key: row[key] for key in ("test", "entry_point", "prompt")})


@needs_walls
@pytest.mark.slow
def test_all_humaneval_references_pass():
    verifier = CodeVerifier(Code())
    rows = humaneval()
    failed = [r["task_id"] for r in rows if verifier.verify(r["canonical_solution"], reference(r), []).status != "correct"]
    verifier.close()
    assert len(rows) == 164
    assert failed == []


@needs_walls
@pytest.mark.slow
def test_all_humaneval_references_made_wrong_fail():
    """Each solution wrapped so that it answers the opposite, or something else."""
    verifier = CodeVerifier(Code())
    passed = []
    for r in humaneval():
        solution = re.sub(rf"\bdef {r['entry_point']}\b", "def _right", r["prompt"] + r["canonical_solution"], count=1)
        solution = re.sub(rf"\b{r['entry_point']}\(", "_right(", solution)
        wrong = (
            f"\n\ndef {r['entry_point']}(*a):\n    v = _right(*a)\n"
            "    return not v if isinstance(v, bool) else 'no' if v != 'no' else 'yes'\n"
        )
        if verifier.verify(fenced(solution + wrong), reference(r), []).status == "correct":
            passed.append(r["task_id"])
    verifier.close()
    assert passed == []
