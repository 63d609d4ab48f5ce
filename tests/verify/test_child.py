import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from ded_ray.verify.child import Child, ChildCrashed, ChildTimedOut


def child(code: str, tmp_path, monkeypatch, memory_bytes: int = 1 << 30, cpu_seconds: int = 60) -> Child:
    (tmp_path / "made_child.py").write_text(
        f"import os, sys, time\nfrom ded_ray.verify.child import serve\ndef answer(q):\n    {code}\nserve(answer)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return Child("made_child", memory_bytes, cpu_seconds)


def test_a_hanging_child_is_killed_with_all_that_it_started(tmp_path, monkeypatch):
    made = child(f"os.system('sleep 300 & echo $! > {tmp_path}/pid'); time.sleep(300)", tmp_path, monkeypatch)
    with pytest.raises(ChildTimedOut):
        made.ask({}, 2)
    assert gone(int((tmp_path / "pid").read_text())), "the child's own child is still there"


@pytest.mark.parametrize(
    "code", ["os._exit(0)", "raise KeyboardInterrupt", "x = bytearray(8 << 30)", "return answer(answer)", "os.abort()"]
)
def test_a_child_that_breaks_has_crashed_and_a_new_one_serves(code, tmp_path, monkeypatch):
    made = child(f"if q.get('ok'): return 1\n    {code}", tmp_path, monkeypatch)
    with pytest.raises(ChildCrashed):
        made.ask({}, 20)
    assert made.ask({"ok": True}, 20) == 1
    made.stop()


def test_a_child_that_prints_does_not_disturb_its_answers(tmp_path, monkeypatch):
    made = child("print('{\"answer\": 2}'); os.write(1, b'noise'); return 1", tmp_path, monkeypatch)
    assert [made.ask({}, 20), made.ask({}, 20)] == [1, 1]
    made.stop()


def gone(pid: int) -> bool:
    for _ in range(600):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


def test_an_answer_is_never_taken_for_that_of_another_question(tmp_path, monkeypatch):
    """Also when the kernel kills the worker between two questions, or just as one was asked."""
    made = child("return q['n']", tmp_path, monkeypatch)
    assert made.ask({"n": 0}, 20) == 0
    for pause in (0.2, 0.0):
        os.kill(made._worker, signal.SIGKILL)
        time.sleep(pause)
        for n in range(1, 6):
            try:
                assert made.ask({"n": n}, 20) == n
            except ChildCrashed:
                assert n == 1
    made.stop()


def test_what_takes_too_much_cpu_has_timed_out(tmp_path, monkeypatch):
    made = child("while not q.get('ok'): pass\n    return 1", tmp_path, monkeypatch, cpu_seconds=1)
    with pytest.raises(ChildTimedOut):
        made.ask({}, 60)
    assert made.ask({"ok": True}, 20) == 1
    assert made.ask({"ok": True}, 20) == 1
    made.stop()


def test_a_new_worker_does_not_wait_for_imports_and_forgets_the_question_of_the_old_one(tmp_path, monkeypatch):
    made = child("time.sleep(q['sleep']); return q['sleep']", tmp_path, monkeypatch)
    text, imports = (tmp_path / "made_child.py").read_text(), tmp_path / "imports"
    (tmp_path / "made_child.py").write_text(f"print('once', file=open({str(imports)!r}, 'a'))\n{text}")
    made.stop()
    assert made.ask({"sleep": 0}, 1) == 0
    for _ in range(5):
        with pytest.raises(ChildTimedOut):
            made.ask({"sleep": 100}, 0.05)
        assert made.ask({"sleep": 0}, 1) == 0
    made.stop()
    assert imports.read_text() == "once\n"


def test_nothing_is_left_when_the_parent_is_killed_while_the_child_hangs(tmp_path):
    (tmp_path / "hanging.py").write_text(
        "import os, sys, time\nfrom ded_ray.verify.child import serve\n"
        "def answer(q):\n    print(os.getpid(), os.getppid(), file=open(sys.path[0] + '/pids', 'w'), flush=True)\n"
        "    while True: pass\nserve(answer)\n"
    )
    (tmp_path / "parent.py").write_text(
        "from ded_ray.verify.child import Child\nChild('hanging', 1 << 30, 600).ask({}, 600)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "parent.py"], cwd=tmp_path, env=environment)
    deadline = time.monotonic() + 60
    while not (tmp_path / "pids").exists() or not (tmp_path / "pids").read_text().endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert all(gone(int(pid)) for pid in (tmp_path / "pids").read_text().split())
