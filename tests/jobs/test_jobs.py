"""Recipes of `jobs/`, run for real: one submitted as a Ray job, one over real rollouts."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import ray
from conftest import PROJECT, run_cli, shared

from ded_ray.files.parts import read_records
from ded_ray.recipe.load import load_recipe
from ded_ray.records import Group
from ded_ray.run import Run

SMALL = """
name: small
problems: {kind: tiny, num_problems: 12, difficulty: [3, 5]}
student: {model: tiny/student, measure_pass_rate: false}
teacher: {model: known, engine: {kind: scripted, batch_size: 4}, sampling: {num_rollouts: 4}}
train: {max_steps: 2, batch_size: 4, micro_batch_size: 2}
serve: {port: 0}
evaluate:
  sampling: {num_rollouts: 1, max_tokens: 60}
  benchmarks: [{name: chain, domain: in, problems: {kind: tiny, num_problems: 4, difficulty: [3, 5], seed: 9}}]
"""


@pytest.mark.slow
def test_a_submitted_job_is_the_same_as_run(ray_cluster: str, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    dashboard = f"http://{ray._private.worker.global_worker.node.webui_url}"
    submit = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "job",
        "submit",
        "--address",
        dashboard,
        "--working-dir",
        str(PROJECT),
    ]
    command = [sys.executable, "jobs/pipeline.py", str(tmp_path / "small.yaml"), "--out", str(tmp_path / "out")]
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    excludes = json.dumps({"excludes": [".git", ".venv", "runs"]})
    done = subprocess.run(
        [*submit, "--runtime-env-json", excludes, "--", *command],
        capture_output=True,
        text=True,
        timeout=400,
        env=environment,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert {row["model"] for row in json.loads((tmp_path / "out" / "scores.json").read_text())} == {"base", "student"}
    again = run_cli("run", tmp_path / "small.yaml", "--out", tmp_path / "out")
    assert "already done" in again.stdout
    bad = subprocess.run([*submit, "--runtime-env-json", excludes, "--", *command, "--set", "train.epoch=1"],
                         capture_output=True, text=True, timeout=200, env=environment)  # fmt: skip
    assert bad.returncode == 1
    assert "did you mean `epochs`" in bad.stdout


@pytest.mark.slow
def test_replay_of_real_rollouts_end_to_end(ray_cluster: str, tmp_path: Path) -> None:
    shared("gsm8k_train.jsonl")
    labels = {}
    for line in shared("gsm8k_rollouts.jsonl").read_text().splitlines():
        row = json.loads(line)
        labels[row["problem_id"], row["completion"]] = row["is_correct"]
    recipe = PROJECT / "jobs" / "recipes" / "replay_gsm8k.yaml"
    run_cli("run", recipe, "--out", tmp_path / "out", "--set", "student.measure_pass_rate=false", address=ray_cluster)
    groups = list(read_records(tmp_path / "out" / "curated", Group))
    verdicts = [(labels[g.problem_id, r.completion], r.status == "correct") for g in groups for r in g.rollouts]
    assert len(verdicts) == 1600
    assert sum(label == verdict for label, verdict in verdicts) / 1600 >= 0.999
    for line in Run.open(tmp_path / "out").ledger():
        assert line["rows_in"] == line["rows_kept"] + sum(line["dropped"].values())
    assert (tmp_path / "out" / "report.html").exists()
    assert json.loads((tmp_path / "out" / "scores.json").read_text())[0]["benchmark"] == "gsm8k_train_sample"


def test_the_gpu_recipe_can_be_planned(tmp_path):
    """With the tiny models in the place of those that would have to be fetched."""
    shutil.copy(PROJECT / "jobs" / "recipes" / "vllm_8gpu.yaml", tmp_path)
    for name in ("problems", "held_out"):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"prompt": "Reverse: 12 ({name})", "answer": "21"}}\n')
    models = {"student.model": "tiny/student", "teachers.0.model": "tiny/careful", "teachers.1.model": "tiny/terse",
              "evaluate.sampling.max_tokens": "64"}  # fmt: skip
    overrides = [f"--set={knob}={value}" for knob, value in models.items()]
    plan = run_cli("run", tmp_path / "vllm_8gpu.yaml", "--out", tmp_path / "out", "--dry-run", *overrides).stdout
    assert "teachers.0, first prompt, 25 tokens: '<|user|>Reverse: 12 (problems)<|end|><|assistant|>'" in plan
    assert "131072 tokens" in plan
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_chaos_in_short():
    """One engine, one driver and one machine are killed; see the benchmark for twenty."""
    command = [sys.executable, "-m", "jobs.bench.chaos", "--kills=3", "--problems=250"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, cwd=PROJECT)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] == {"engine": 1, "driver": 1, "node": 1}
    assert (found["groups"], found["handed_on"]) == (250, 250)
    assert (found["missing"], found["doubled"], found["different"], found["quarantined"]) == (0, 0, 0, 0)


@pytest.mark.parametrize("path", sorted((PROJECT / "jobs" / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_can_be_read_and_says_what_to_expect(path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert path.read_text().startswith("# ")
    if recipe.train.use_gpu:
        needed = max(generator.sampling.max_tokens for generator in recipe.teachers.candidates)
        assert recipe.train.max_length > needed, "what is paid for fits into the training"


def test_the_recipe_for_own_data_can_be_planned(tmp_path):
    shutil.copy(PROJECT / "jobs" / "recipes" / "own_data.yaml", tmp_path)
    for name in ("problems", "held_out"):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"prompt": "Reverse: 12 ({name})", "answer": "21"}}\n')
    tiny = {"student.model": "tiny/student", "teachers.candidates.0.model": "tiny/careful", "teachers.candidates.1.model":
            "tiny/terse", "evaluate.sampling.max_tokens": "64", "student.sampling.max_tokens": "64"}  # fmt: skip
    overrides = [f"--set={knob}={value}" for knob, value in tiny.items()]
    plan = run_cli("run", tmp_path / "own_data.yaml", "--out", tmp_path / "out", "--dry-run", *overrides).stdout
    assert "teachers.1, first prompt" in plan
    rows = " ".join(plan.replace("│", " ").split())
    assert "smoke test 2 x 1 = 2 rollouts" in rows
    assert "one teacher of 2 answers 1 x 8 = 8 rollouts, 49152 tokens" in rows
