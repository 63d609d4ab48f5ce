"""The quickstart on little, once, as a user runs it; then everything that should be true of its folder."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import DED_RAY, PROJECT, SHORT_COMMAND, run_cli

from ded_ray.files.parts import read_records
from ded_ray.records import Group, Problem
from ded_ray.run import Run

STAGES = ["problems", "student_rollouts", "student_verdicts", "questions", "teacher_rollouts", "teacher_verdicts", "curated",
          "checkpoint", "evaluate_base", "evaluate_student", "evaluate_teacher", "report"]  # fmt: skip


def scores(folder: Path) -> dict[tuple[str, str], dict]:
    return {(row["model"], row["benchmark"]): row for row in json.loads((folder / "scores.json").read_text())}


def tokens(folder: Path) -> dict[str, str]:
    return {name: json.loads((folder / name / "_manifest.json").read_text())["token"] for name in STAGES}


def test_rows_in_are_rows_kept_plus_rows_dropped(quickstart):
    ledger = Run.open(quickstart).ledger()
    assert [line["stage"] for line in ledger] == STAGES
    for line in ledger:
        assert line["rows_in"] == line["rows_kept"] + sum(line["dropped"].values()), line
    by_stage = {line["stage"]: line for line in ledger}
    assert by_stage["problems"]["rows_kept"] == by_stage["student_rollouts"]["rows_in"]
    assert by_stage["questions"]["rows_kept"] == by_stage["teacher_rollouts"]["rows_in"]
    assert by_stage["curated"]["rows_kept"] == by_stage["checkpoint"]["rows_in"]
    assert by_stage["questions"]["dropped"]["student_pass_rate"] > 0


def test_checkpoints_of_a_training_that_is_over_are_gone(quickstart):
    assert (quickstart / "checkpoint" / "model").exists()
    assert not (quickstart / "checkpoint" / "ray_train").exists()


def test_a_rollout_keeps_what_was_found_out_about_it(quickstart):
    groups = list(read_records(quickstart / "curated", Group))
    kept = [r for g in groups for r in g.rollouts if r.dropped_because is None]
    assert kept
    assert all(r.status == "correct" and r.weight > 0 and r.mean_logprob < 0 for r in kept)
    assert all(g.student_pass_rate <= 0.75 for g in groups)


def test_the_ledger_tells_how_many_equal_examples_the_weights_are_worth(quickstart):
    [line] = [line for line in Run.open(quickstart).ledger() if line["stage"] == "curated"]
    groups = read_records(quickstart / "curated", Group)
    weights = [r.weight for group in groups for r in group.rollouts if r.dropped_because is None]
    worth = sum(weights) ** 2 / sum(weight**2 for weight in weights)
    assert line["effective_examples"] == pytest.approx(worth, abs=0.1)
    assert 0.3 * len(weights) < worth < len(weights)


def test_what_may_take_longest_is_asked_first(quickstart):
    lengths = [problem.student_mean_tokens for problem in read_records(quickstart / "questions", Problem)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > lengths[-1]


def test_the_terminal_is_quiet_and_ends_with_the_result(quickstart):
    output = (quickstart.parent / "output.txt").read_text()
    assert re.search(r"\d+ s, peak memory \d+\.\d GB", output)
    for noise in ("INFO", "WARNING", "Traceback", "(pid=", "ray.init", "it/s]"):
        assert noise not in output, output


def test_the_same_command_again_does_nothing_and_says_so(quickstart, ray_cluster):
    before = {path: path.stat().st_mtime_ns for path in quickstart.rglob("*") if path.name != "recipe.yaml"}
    again = run_cli(*SHORT_COMMAND, "--out", quickstart, address=ray_cluster)
    assert "already done" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_report_is_whole_offline_and_safe(quickstart):
    page = (quickstart / "report.html").read_text()
    assert page.count("<svg") == 6
    assert "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"|<!DOCTYPE[^>]*>|rdf:resource="[^"]*"', "", page)
    assert "<script" not in page
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium to open the page in a real browser")
    dom = subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
         f"--user-data-dir={quickstart.parent / 'chromium'}", "--dump-dom", (quickstart / "report.html").as_uri()],
        capture_output=True, text=True, timeout=120,
    ).stdout  # fmt: skip
    assert re.search(r": (better than|tied with|worse than) its base\.", dom)
    assert dom.count("<details") == 13


@pytest.mark.slow
def test_the_student_reasons_better_than_its_base(tmp_path):
    """The quickstart as the README has it: on a Ray of its own, with its own defaults."""
    finished = run_cli("quickstart", "--out", tmp_path / "run")
    assert "ETA" in finished.stderr
    found = scores(tmp_path / "run")
    base, student = found["base", "chain"], found["student", "chain"]
    assert student["ci95_low"] > base["ci95_high"]
    assert {row["domain"] for row in found.values()} == {"in", "out"}
    needed = {
        "model",
        "benchmark",
        "domain",
        "pass_at_1",
        "ci95_low",
        "ci95_high",
        "cut_off_rate",
        "num_problems",
        "num_samples",
    }
    assert all(needed <= row.keys() for row in found.values())
    assert {model for model, _ in found} == {"base", "student", "teacher"}


@pytest.mark.slow
def test_evaluate_report_and_show(copied_quickstart, ray_cluster):
    shown = run_cli("show", copied_quickstart)
    assert "teacher_rollouts" in shown.stdout
    (copied_quickstart / "report.html").unlink()
    run_cli("report", copied_quickstart)
    assert (copied_quickstart / "report.html").exists()
    few = "evaluate.benchmarks=[{name: chain, domain: in, problems: {kind: tiny, num_problems: 5}}]"
    config = ["--set", "evaluate.sampling.num_rollouts=1", "--set", few]
    run_cli("evaluate", copied_quickstart, *config, address=ray_cluster)
    assert scores(copied_quickstart)["student", "chain"]["num_samples"] == 5
    refused = run_cli("evaluate", copied_quickstart, "--set", "train.epochs=1", check=False)
    assert refused.returncode == 2


@pytest.mark.slow
def test_serve_answers_and_goes_when_told(quickstart):
    from openai import OpenAI

    process = subprocess.Popen(
        [*DED_RAY, "serve", str(quickstart), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # what runs behind nohup ignores it
    )
    try:
        line = process.stdout.readline()
        url = re.search(r"at (http://\S+/v1)", line).group(1)
        client = OpenAI(base_url=url, api_key="none")
        answer = client.chat.completions.create(
            model="student", messages=[{"role": "user", "content": "Left to right, mod 10: 7+5*3-8"}], seed=1, max_tokens=80
        )
        assert "\\boxed{" in answer.choices[0].message.content
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert process.returncode == 0


SMALL = [
    "problems.num_problems=24", "student.sampling.num_rollouts=2", "student.engine.batch_size=4",
    "teacher.engine.batch_size=4", "curate.compress.max_student_pass_rate=1.0", "train.epochs=4",
    "train.checkpoint_every_steps=2", "train.batch_size=8", "evaluate.sampling.num_rollouts=1",
    "evaluate.benchmarks=[{name: chain, domain: in, problems: {kind: tiny, num_problems: 4}}]",
]  # fmt: skip


@pytest.fixture(scope="module")
def killed_run(tmp_path_factory, ray_cluster):
    """Killed three times, each time as soon as another stage has left its first trace; finished by the fourth start."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    command = [*DED_RAY, "quickstart", "--out", str(folder), *[part for knob in SMALL for part in ("--set", knob)]]
    traces = ["teacher_rollouts/part-*", "checkpoint/ray_train/*/checkpoint_*", "evaluate_base/*.parquet"]
    paid: dict[str, set[str]] = {}
    for trace in traces:
        process = subprocess.Popen(command, env={**os.environ, "RAY_ADDRESS": ray_cluster}, cwd=PROJECT,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        deadline = time.monotonic() + 240
        while not list(folder.glob(trace)):
            assert process.poll() is None, f"ended before {trace}"
            assert time.monotonic() < deadline, f"never reached {trace}"
            time.sleep(0.05)
        process.kill()
        process.wait()
        for name in ("student_rollouts", "teacher_rollouts"):
            if paid.get(name):
                assert paid[name] <= {p.name for p in (folder / name).glob("part-*")}, "a paid rollout was lost"
            paid[name] = {p.name for p in (folder / name).glob("part-*")}
    run_cli(*command[3:], address=ray_cluster)
    return folder


@pytest.mark.slow
def test_kill_9_anywhere_and_again_finishes_it(killed_run):
    folder = killed_run
    for line in Run.open(folder).ledger():
        assert line["rows_in"] == line["rows_kept"] + sum(line["dropped"].values())
    ids = [g.group_id for g in read_records(folder / "teacher_rollouts", Group)]
    assert len(ids) == len(set(ids)) == 24
    steps = [json.loads(line)["step"] for line in (folder / "checkpoint" / "curve.jsonl").read_text().splitlines()]
    assert steps == list(range(1, len(steps) + 1))
    assert len(scores(folder)) == 3


@pytest.mark.slow
def test_deleting_a_stage_redoes_it_and_what_depends_on_it_only(killed_run, ray_cluster):
    before = tokens(killed_run)
    shutil.rmtree(killed_run / "curated")
    config = [part for knob in [*SMALL, "train.max_steps=2"] for part in ("--set", knob)]
    run_cli("quickstart", "--out", killed_run, *config, address=ray_cluster)
    after = tokens(killed_run)
    changed = {name for name in STAGES if before[name] != after[name]}
    assert changed == {"curated", "checkpoint", "evaluate_student", "report"}
