"""Teachers through generate, verify and curate, with the scripted engine: what the ledger and the folders say."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from ded_ray import pipeline
from ded_ray.errors import BadInput, Stopped
from ded_ray.files.parts import read_records
from ded_ray.recipe import Curate
from ded_ray.recipe.load import load_recipe
from ded_ray.records import Group, Problem
from ded_ray.run import Run
from ded_ray.stages.answers import REMEDIES
from ded_ray.stages.inputs import read_inputs
from ded_ray.stages.problems import write_problems

CURATE = Path(__file__).parents[2] / "ded_ray" / "curate"

SCRIPTED = {"kind": "scripted", "batch_size": 4}
RECIPE = {
    "name": "two",
    "problems": {"kind": "tiny", "family": "chain", "num_problems": 12, "difficulty": [3, 5], "seed": 1},
    "student": {"model": "tiny/student", "measure_pass_rate": False},
    "teachers": [
        {"model": "steady", "engine": SCRIPTED | {"error_rate": 0.2}, "sampling": {"num_rollouts": 4}},
        {"model": "wild", "engine": SCRIPTED | {"error_rate": 0.5}, "chat": {"system": "Guess."},
         "sampling": {"num_rollouts": 6, "adaptive": {"first": 2, "step": 2, "at_most": 6}}},
    ],
}  # fmt: skip


def curated(folder, recipe):
    """Run as far as the teachers' curated groups; (ledger by stage, curated groups, quarantine)."""
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    loaded = load_recipe(folder / "recipe.yaml")
    inputs = read_inputs(loaded)
    run = Run.create(folder / "run", loaded)
    questions = pipeline.ask_student(run, inputs, pipeline.choose_problems(run, inputs))
    stage = pipeline.ask_teachers(run, inputs, questions, loaded.teachers.candidates)
    ledger = {line["stage"]: line for line in run.ledger()}
    return ledger, list(read_records(stage.folder, Group)), run


@pytest.mark.slow
def test_several_teachers_answer_every_question_each_in_its_own_way(ray_cluster, tmp_path):
    ledger, groups, _ = curated(tmp_path, RECIPE)
    assert sorted((g.model, g.problem_id) for g in groups) == sorted(
        (model, f"chain-1-{i}") for model in ("steady", "wild") for i in range(12)
    )
    assert len({g.group_id for g in groups}) == 24
    lengths = {model: {len(g.rollouts) for g in groups if g.model == model} for model in ("steady", "wild")}
    assert lengths["steady"] == {4}
    assert {2} < lengths["wild"] <= {2, 4, 6}
    made = ledger["teacher_rollouts"]
    assert (made["rows_in"], made["rows_kept"], made["dropped"]) == (24, 24, {})
    assert made["num_rollouts"] == sum(len(g.rollouts) for g in groups)
    assert made["num_rollouts_if_fixed"] == 12 * 4 + 12 * 6
    assert sum(ledger["teacher_verdicts"]["statuses"].values()) == made["num_rollouts"]
    again = curated(tmp_path, RECIPE)
    assert again[2].num_stages_made == 0
    assert again[1] == groups


def test_what_is_in_quarantine_is_a_reason_to_drop_and_the_books_balance(ray_cluster, tmp_path):
    one = {name: value for name, value in RECIPE.items() if name != "teachers"}
    engine = SCRIPTED | {"dies_at": "chain-1-5", "batch_size": 1}
    ledger, groups, run = curated(tmp_path, one | {"teacher": {"model": "t", "engine": engine}})
    made = ledger["teacher_rollouts"]
    assert (made["rows_in"], made["rows_kept"], made["dropped"]) == (12, 11, {"quarantined": 1})
    assert len(groups) == 11
    assert "chain-1-5" in (run.folder / "quarantine.jsonl").read_text()


def test_teacher_is_short_for_one_teacher_and_not_both(tmp_path):
    both = RECIPE | {"teacher": RECIPE["teachers"][0]}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(both))
    with pytest.raises(BadInput, match="give either teacher or teachers"):
        load_recipe(tmp_path / "r.yaml")
    one = {name: value for name, value in RECIPE.items() if name != "teachers"}
    (tmp_path / "r.yaml").write_text(
        yaml.safe_dump(one | {"teacher": {"model": "m", "engine": {"kind": "vllm", "wrkers": 2}}})
    )
    with pytest.raises(BadInput, match=r"r\.yaml: teacher\.engine\.wrkers: unknown knob; did you mean `workers`"):
        load_recipe(tmp_path / "r.yaml")
    wrong_pool = one | {"teacher": {"model": "m", "engine": {"kind": "vllm", "workers": [4, 2]}}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(wrong_pool))
    with pytest.raises(BadInput, match=r"teacher\.engine\.workers.*the first of \[min, max\] is larger"):
        load_recipe(tmp_path / "r.yaml")


def test_teachers_that_cannot_be_told_apart_are_refused(tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE | {"teachers": [RECIPE["teachers"][0]] * 2}))
    with pytest.raises(BadInput, match=r"teachers\.1: the same model, asked in the same way, as teachers\.0"):
        read_inputs(load_recipe(tmp_path / "recipe.yaml"))


@pytest.mark.slow
def test_what_is_taken_out_of_quarantine_is_asked_again_by_a_finished_run(ray_cluster, tmp_path):
    poison = {"kind": "scripted", "batch_size": 1, "dies_at": "chain-1-3"}
    dying = RECIPE | {"teachers": [{"model": "steady", "engine": poison, "sampling": {"num_rollouts": 2}}]}
    ledger, groups, run = curated(tmp_path, dying)
    assert (ledger["teacher_rollouts"]["rows_kept"], ledger["teacher_rollouts"]["dropped"]) == (11, {"quarantined": 1})
    made = (run.folder / "curated" / "_manifest.json").read_text()
    curated(tmp_path, dying)
    assert (run.folder / "curated" / "_manifest.json").read_text() == made, "nothing to do"
    (run.folder / "quarantine.jsonl").write_text("\n")
    mended = RECIPE | {"teachers": [{"model": "steady", "engine": SCRIPTED, "sampling": {"num_rollouts": 2}}]}
    ledger, again, _ = curated(tmp_path, mended)
    assert (ledger["teacher_rollouts"]["rows_kept"], ledger["teacher_rollouts"]["dropped"]) == (12, {})
    assert {g.group_id for g in groups} < {g.group_id for g in again}
    (run.folder / "quarantine.jsonl").write_text("{half a line\n")
    with pytest.raises(BadInput, match="delete whole lines only"):
        curated(tmp_path, mended)


def test_subjects_are_mixed_by_their_quotas_and_contamination_is_told(ray_cluster, tmp_path):
    sources = [{"kind": "tiny", "family": family, "num_problems": 12, "difficulty": [3, 5], "seed": 1, "subject": family}
               for family in ("chain", "sort")]  # fmt: skip
    held_out = {"kind": "tiny", "family": "sort", "num_problems": 3, "difficulty": [3, 5], "seed": 1}
    recipe = RECIPE | {
        "problems": sources, "curate": {"mix": {"chain": 10, "sort": 5}, "diversity": {"num_kept": 2}},
        "teachers": [{"model": "steady", "engine": SCRIPTED | {"error_rate": 0}, "sampling": {"num_rollouts": 3}}],
        "evaluate": {"benchmarks": [{"name": "held", "domain": "out", "problems": held_out}]},
    }  # fmt: skip
    ledger, groups, run = curated(tmp_path, recipe)
    assert ledger["problems"]["dropped"] == {"in_benchmark": 3}
    hits = [json.loads(line) for line in (run.folder / "problems" / "_contamination.jsonl").read_text().splitlines()]
    assert [(hit["benchmark"], hit["problem_id"]) for hit in hits] == [("held", f"sort-1-{i}") for i in range(3)]
    stage = pipeline.mix_subjects(run, run.finished_stage("curated"))
    mixed = list(read_records(stage.folder, Group))
    kept = Counter(g.subject for g in mixed for r in g.rollouts if r.dropped_because is None)
    assert kept == {"chain": 10, "sort": 5}
    assert len(mixed) == len(groups)
    [line] = [line for line in run.ledger() if line["stage"] == "mixed"]
    assert line["rows_in"] == line["rows_kept"] + line["dropped"]["over_quota"]
    assert line["rows_kept"] == 15


@pytest.mark.slow
def test_a_run_of_which_every_prompt_is_in_quarantine_says_so(ray_cluster, tmp_path):
    one = RECIPE["problems"] | {"num_problems": 1}
    engine = {"kind": "scripted", "batch_size": 1, "dies_at": "chain-1-0"}
    recipe = RECIPE | {"problems": one, "teachers": [{"model": "steady", "engine": engine}]}
    for _ in range(2):
        with pytest.raises(Stopped, match="teacher: every prompt is in quarantine"):
            curated(tmp_path, recipe)


SORT = {"kind": "tiny", "family": "sort", "num_problems": 3, "difficulty": [3, 5], "seed": 1}


def test_no_problem_left_names_the_reasons_and_what_to_do_about_the_most_frequent(tmp_path):
    benchmarks = [{"name": "held", "domain": "in", "problems": SORT}]
    recipe = RECIPE | {"problems": SORT, "student": {"model": "tiny/student"}, "evaluate": {"benchmarks": benchmarks}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    loaded = load_recipe(tmp_path / "recipe.yaml")
    inputs = read_inputs(loaded)
    run = Run.create(tmp_path / "run", loaded)
    with pytest.raises(BadInput, match=r"^student: no problem is left to answer \(3 in_benchmark\); add problems that no "
                                       r"benchmark asks, or take another benchmark \(evaluate.benchmarks\)$"):  # fmt: skip
        pipeline.ask_student(run, inputs, pipeline.choose_problems(run, inputs))


def test_what_was_dropped_before_the_student_was_asked_counts_among_the_reasons(tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    run = Run.create(tmp_path / "run", load_recipe(tmp_path / "recipe.yaml"))
    rows = {"problems": [None, None, "duplicate_prompt", "near_duplicate", None],
            "questions": ["student_pass_rate", "student_pass_rate", "student_pass_rate_too_low"]}  # fmt: skip
    for name, reasons in rows.items():
        problems = [
            Problem(problem_id=f"p{i}", prompt="?", answer="", dropped_because=reason) for i, reason in enumerate(reasons)
        ]
        write_problems(run.stage(name, []), problems)
    inputs = read_inputs(run.recipe)
    with pytest.raises(BadInput, match=r"teacher: no problem is left to answer \(2 student_pass_rate, 1 .*raise "
                                       r"curate.compress.max_student_pass_rate"):  # fmt: skip
        pipeline.ask_teachers(run, inputs, run.finished_stage("questions"), run.recipe.teachers.candidates)


def test_every_reason_to_drop_a_problem_has_a_remedy_that_names_a_knob_of_the_recipe():
    code = "".join((CURATE / name).read_text() for name in ("contamination.py", "duplicates.py", "compress.py"))
    reasons = set(re.findall(r'"((?:in|near)_benchmark|duplicate_prompt|near_duplicate|student_pass_rate\w*)"', code))
    assert reasons == REMEDIES.keys()
    for knob in re.findall(r"curate\.[a-z_.]+", " ".join(REMEDIES.values())):
        value = Curate()
        for name in knob.split(".")[1:]:
            value = getattr(value, name)
