"""The method over real questions and real rollouts: a teacher is chosen, answers are curated, a row is explained."""

import json
from collections import Counter, defaultdict

import pytest
import yaml
from conftest import run_cli, shared

from ded_ray import pipeline
from ded_ray.curate.compress import compress
from ded_ray.files.parts import read_records
from ded_ray.recipe import Compress
from ded_ray.recipe.load import load_recipe
from ded_ray.records import Group
from ded_ray.report.corpus import corpus_of
from ded_ray.report.page import write_report
from ded_ray.run import Run
from ded_ray.stages.inputs import read_inputs

NUM_QUESTIONS = 24


def rows(name):
    return [json.loads(line) for line in shared(name).read_text().strip().split("\n")]


def write(path, found):
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return str(path)


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(ray_cluster, tmp_path_factory):
    """GSM8K's questions with four answers each, and MATH-500's with two long ones, curated and mixed by subject."""
    folder = tmp_path_factory.mktemp("real")
    gsm8k, math = rows("gsm8k_rollouts.jsonl")[: 4 * NUM_QUESTIONS], rows("math500_rollouts.jsonl")[: 2 * NUM_QUESTIONS]
    rollouts = write(folder / "rollouts.jsonl", gsm8k + math)
    recipe = {
        "name": "real",
        "problems": [
            {"kind": "file", "path": write(folder / f"{subject}.jsonl", of), "one_row_per": "rollout", "subject": subject}
            for subject, of in (("word problems", gsm8k), ("competition", math))
        ],
        "student": {"model": "tiny/student", "measure_pass_rate": False},
        "teacher": {"model": "real", "engine": {"kind": "replay", "path": rollouts}, "sampling": {"num_rollouts": 4}},
        "curate": {"mix": {"word problems": 20, "competition": 5}, "diversity": {"num_kept": 2, "over": "words"},
                   "weights": {"advantage": "leave_one_out", "map": "clip"}},
        "train": {"max_length": 100_000},
        "evaluate": {"benchmarks": [{"name": "seen", "domain": "out", "problems": {
            "kind": "file", "path": write(folder / "seen.jsonl", gsm8k[:1]), "prompt_column": "prompt"}}]},
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    loaded = load_recipe(folder / "recipe.yaml")
    inputs = read_inputs(loaded)
    made = Run.create(folder / "run", loaded)
    questions = pipeline.ask_student(made, inputs, pipeline.choose_problems(made, inputs))
    pipeline.mix_subjects(made, pipeline.ask_teachers(made, inputs, questions, loaded.teachers.candidates))
    return made


def groups_of(run, stage):
    return list(read_records(run.folder / stage, Group))


def test_books_balance_and_subjects_are_mixed(run):
    ledger = {line["stage"]: line for line in run.ledger()}
    assert ledger["problems"]["dropped"] == {"in_benchmark": 1}
    for line in ledger.values():
        assert line["rows_in"] == line["rows_kept"] + sum(line["dropped"].values()), line
    reasons = ledger["curated"]["dropped"]
    assert reasons["wrong"] > 20
    assert reasons["no_answer"] > 5, "of the long ones a third is cut off before an answer"
    assert {"wrong", "no_answer", "not_picked", "over_train_max_length"} >= reasons.keys()  # the student reads 2048
    kept = Counter(g.subject for g in groups_of(run, "mixed") for r in g.rollouts if r.dropped_because is None)
    assert kept == {"word problems": 20, "competition": 5}


def test_a_real_row_is_explained_and_shown_and_reported(run):
    shown_there = corpus_of(run).samples
    mixed = next(g for g in shown_there if {"correct", "wrong"} <= {r.status for r in g.rollouts} and len(g.rollouts) == 4)
    kept = next(r for r in mixed.rollouts if r.pick_rank is not None)
    wrong = next(r for r in mixed.rollouts if r.status == "wrong")
    told = " ".join(run_cli("explain", run.folder, f"{mixed.group_id}/{kept.index}").stdout.split())
    assert f"correct: found '{kept.extracted}'" in told
    assert f"{kept.advantage:.4g}, place 1" in told
    told = " ".join(run_cli("explain", run.folder, f"{mixed.group_id}/{wrong.index}").stdout.split())
    assert "wrong: its answer is not the reference" in told
    assert "in tokens, to what was picked" in told
    shown = run_cli("show", run.folder, "--samples", "2").stdout
    assert "right" in shown
    assert "dropped: wrong" in shown
    page = write_report(run).read_text()
    assert "1 questions were dropped because of a benchmark" in page
    assert "two right answers to a question differ in" in page
    assert f"{mixed.group_id}/{kept.index}" in page
    assert page.count("<svg") >= 4


def test_real_pass_rates_tell_the_easy_from_the_hard(run):
    found = [compress(group, Compress()) for group in groups_of(run, "teacher_verdicts") if len(group.rollouts) == 4]
    assert len(found) == NUM_QUESTIONS - 1
    for problem in found:
        assert problem.dropped_because == ("student_pass_rate" if problem.student_pass_rate == 1 else None)
    assert len({problem.student_pass_rate for problem in found}) >= 3


def test_a_teacher_is_chosen_by_how_the_student_reads_real_answers(ray_cluster, tmp_path):
    of_model = defaultdict(list)
    for row in rows("gsm8k_rollouts.jsonl")[: 4 * NUM_QUESTIONS]:
        of_model[row["model"]].append(row)
    [first, *_] = of_model.values()
    recipe = {
        "name": "choose",
        "problems": {"kind": "file", "path": write(tmp_path / "problems.jsonl", first), "one_row_per": "rollout"},
        "student": {"model": "tiny/student"},
        "teacher": "auto",
        "teachers": {"proxy": "rsr", "num_questions": 12, "candidates": [
            {"model": model, "engine": {"kind": "replay", "path": write(tmp_path / f"{model}.jsonl", of)}}
            for model, of in of_model.items()
        ]},
    }  # fmt: skip
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    shown = run_cli("teachers", tmp_path / "r.yaml", "--out", tmp_path / "run", address=ray_cluster).stdout
    found = json.loads((tmp_path / "run" / "teachers.json").read_text())
    labels = {model: [row["is_correct"] for row in of] for model, of in of_model.items()}
    asked = {g.problem_id for g in read_records(tmp_path / "run" / f"{found['rows'][0]['stages']}_corpus", Group)}
    for each in found["rows"]:
        right = [label for row, label in zip(of_model[each["model"]], labels[each["model"]], strict=True)
                 if row["problem_id"] in asked]  # fmt: skip
        assert each["num_answers"] == len(right) == 12
        assert each["verified_rate"] == pytest.approx(sum(right) / 12)
        assert each["mean_tokens"] is None, "nobody counted them"
        assert each["rsr"] > 0
    assert found["rows"][found["winner"]]["rsr"] == min(each["rsr"] for each in found["rows"])
    assert "lowest RSR under the student" in shown
