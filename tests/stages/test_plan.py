"""What a plan knows of a run that was begun, and what it says where models are not here or do not fit."""

import json
import shutil

import pytest
from conftest import PROJECT, SHORT, run_cli
from typer.testing import CliRunner

from ded_ray.cli import app
from ded_ray.errors import Stopped
from ded_ray.files.parts import write_atomically, write_part
from ded_ray.generate.identity import GenerateJob
from ded_ray.generate.store import GroupWriter
from ded_ray.pipeline import plan_spending, run_pipeline
from ded_ray.recipe import Prices
from ded_ray.recipe.load import load_recipe
from ded_ray.records import Group, Rollout, to_table
from ded_ray.report.beside import planned_beside_actual
from ded_ray.run import Run
from ded_ray.stages.stored import stored_rollouts
from ded_ray.tiny.problems import make_problems

QUICKSTART = PROJECT / "ded_ray" / "tiny" / "quickstart.yaml"


def test_stored_rollouts_are_counted_in_parts_and_journals_and_nothing_is_written(tmp_path):
    recipe, problems = load_recipe(QUICKSTART), make_problems("chain", 6, (3, 5), 0)
    job = GenerateJob(recipe.student, recipe.seed, tmp_path, tmp_path)

    def group(problem, tokens):
        rollouts = [
            Rollout(index=i, completion="x", num_tokens=n, finish_reason="stop", seed=0) for i, n in enumerate(tokens)
        ]
        return Group.of(problem, job.group_id(problem), "m", rollouts)

    write_part(tmp_path, to_table([group(problems[0], [10, 20]), group(problems[1], [30, 40])], Group))
    GroupWriter(tmp_path).save([group(problems[2], [100, 100])])
    before = sorted(path.name for path in tmp_path.iterdir())
    found = stored_rollouts(tmp_path, recipe.student, recipe.seed, problems)
    assert (found.num_groups, found.num_rollouts) == (3, 6)
    assert found.tokens.mid == pytest.approx((15 + 35 + 100) / 3)
    assert found.tokens.low < found.tokens.mid < found.tokens.high
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert stored_rollouts(tmp_path, recipe.student, recipe.seed + 1, problems).num_groups == 0, "other rollouts"
    assert stored_rollouts(tmp_path, recipe.student, recipe.seed, problems[3:]).tokens is None


def test_a_plan_needs_no_weights_and_no_tokenizer(tmp_path):
    from transformers import AutoConfig

    config = AutoConfig.for_model(
        "qwen3", hidden_size=5120, intermediate_size=25600, num_hidden_layers=64, num_attention_heads=64,
        num_key_value_heads=8, head_dim=128, dtype="bfloat16", max_position_embeddings=40_960,
    )  # fmt: skip
    config.save_pretrained(tmp_path / "large")
    large = f"{{model: {tmp_path / 'large'}, engine: {{kind: vllm, max_model_len: 4096}}}}"
    recipe = load_recipe(QUICKSTART, [f"student={large}", f"teacher.model={tmp_path / 'nowhere'}", "train.use_gpu=true"])
    plan = plan_spending(recipe, prices=Prices())
    train, *_ = [fit for fit in plan.fits if fit.what.startswith("train")]
    assert not train.fits
    assert any(
        line.startswith("train, each of 2 GPUs: needs ") and "smallest change: --set" in line for line in plan.impossible
    )
    assert any(line.startswith("student.") for line in plan.impossible), "it cannot be asked without a tokenizer"
    assert any("nowhere: its configuration cannot be had" in line for line in plan.bases)
    by_step = {cost.step: cost for cost in plan.costs}
    assert by_step["student answers"].gpu_hours.mid > 0
    assert by_step["student answers"].usd is None
    assert by_step["teacher answers"].seconds is None
    assert not (tmp_path / "out").exists()


def test_the_command_says_it_all_and_writes_nothing(tmp_path):
    prices = tmp_path / "prices.yaml"
    prices.write_text("{usd_per_gpu_hour: 2, tokens_per_second_per_gpu: 100, train_tokens_per_second_per_gpu: 500}")
    arguments = ["plan", str(QUICKSTART), "--out", str(tmp_path / "out"), "--prices", str(prices)]
    result = CliRunner(env={"COLUMNS": "150"}).invoke(app, arguments)
    assert result.exit_code == 0, result.output
    for heading in ("student answers", "memory of a GPU", "disk", "these numbers rest on"):
        assert heading in result.output
    assert "IMPOSSIBLE" not in result.output
    assert "unknown" not in result.output
    assert not (tmp_path / "out").exists()


def test_a_finished_run_is_skipped_and_measured_and_compared(copied_quickstart):
    recipe = Run.open(copied_quickstart).recipe
    plan = plan_spending(recipe, copied_quickstart, prices=Prices())
    finished, student, _ = plan.resumed
    assert finished.startswith("finished, and skipped: problems, student_rollouts, student_verdicts, questions, ")
    assert finished.endswith("evaluate_base, evaluate_student, evaluate_teacher")
    assert student == "student: 160 rollouts of 40 prompts are there"
    ledger = {line["stage"]: line for line in Run.open(copied_quickstart).ledger()}
    by_step = {cost.step: cost for cost in plan.costs}
    assert by_step["teacher answers"].rollouts.mid == ledger["teacher_rollouts"]["num_rollouts"]
    assert by_step["student answers"].tokens.mid == pytest.approx(ledger["student_rollouts"]["num_tokens"])

    shutil.rmtree(copied_quickstart / "checkpoint")
    assert plan_spending(recipe, copied_quickstart, prices=Prices()).resumed[0].endswith("teacher_verdicts, curated")

    _, *lines = planned_beside_actual(Run.open(copied_quickstart))
    found = {(step, what): (planned, actual) for step, what, planned, _, actual in lines}
    assert found["student answers", "rollouts"] == ("160", "160")
    assert {("train", "seconds"), ("evaluate", "rollouts"), ("teacher answers", "tokens")} <= found.keys()
    assert "planned beside actual" in run_cli("show", copied_quickstart).stdout
    assert "<h2>Planned beside actual</h2>" in (copied_quickstart / "report.html").read_text()


@pytest.mark.slow
def test_a_sample_is_asked_once_and_used_by_the_run(run_folder, tmp_path, ray_cluster):
    notes = tmp_path / "notes"
    scripted = f"{{kind: scripted, error_rate: 0.5, notes: {notes}}}"
    knobs = [*SHORT, f"student.engine={scripted}", f"teacher.engine={scripted}"]
    recipe = load_recipe(QUICKSTART, knobs)
    assert not plan_spending(recipe, run_folder, prices=Prices()).resumed
    assert not run_folder.exists(), "a plan writes nothing"
    plan = plan_spending(recipe, run_folder, prices=Prices(), sample=5)
    assert plan.resumed == [f"{knob}: 20 rollouts of 5 prompts are there" for knob in ("student", "teacher")]
    assert sum("measured (95 % interval of the mean)" in line for line in plan.bases) == 2
    asked = notes.read_text().split()
    assert len(asked) == 10
    assert plan_spending(recipe, run_folder, prices=Prices(), sample=5).resumed == plan.resumed
    assert notes.read_text().split() == asked, "nothing is asked twice"
    spent = json.loads((run_folder / "spent.json").read_text())
    assert spent.keys() == {"student answers", "teacher answers"}
    write_atomically(run_folder / "spent.json", json.dumps({**spent, "train": {"seconds": 1, "gpu_hours": 2}}))
    with pytest.raises(Stopped, match=r"budget\.max_gpu_hours: 2 are spent, and the cap is 1\.5; raise it"):
        run_pipeline(load_recipe(QUICKSTART, [*knobs, "budget.max_gpu_hours=1.5"]), run_folder)
    assert notes.read_text().split() == asked, "a spent budget begins nothing"
