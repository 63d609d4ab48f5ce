"""What `ded-ray explain` says of a problem, by its own id."""

import json
from pathlib import Path

import pytest

from ded_ray.errors import BadInput
from ded_ray.files.parts import write_part
from ded_ray.recipe.load import load_recipe
from ded_ray.records import Group, Problem, Rollout, to_table
from ded_ray.report.explain import explain
from ded_ray.run import Run
from ded_ray.stages.problems import write_problem_file

QUICKSTART = Path(__file__).parents[2] / "ded_ray" / "tiny" / "quickstart.yaml"


@pytest.fixture
def run(tmp_path):
    """Of three problems one was answered by student and teacher, one is a benchmark's, one the student knows."""
    run = Run.create(tmp_path / "run", load_recipe(QUICKSTART))
    asked, known = (Problem(problem_id=f"set/{i}", prompt=f"q{i}", answer="5") for i in (0, 2))
    leaked = Problem(problem_id="set/1", prompt="q1", answer="5", dropped_because="in_benchmark")
    known.dropped_because = "student_pass_rate"
    for stage, problems in (("problems", [asked, leaked, Problem.from_row(known.to_row() | {"dropped_because": None})]),
                            ("questions", [asked, known])):  # fmt: skip
        (run.folder / stage).mkdir()
        write_problem_file(run.folder / stage, problems)
    hit = {"problem_id": "set/1", "benchmark": "held", "benchmark_problem_id": "h7", "match": "what is five"}
    (run.folder / "problems" / "_contamination.jsonl").write_text(json.dumps(hit) + "\n")
    for stage, group_id, model in (("student_verdicts", "aa00", "pupil"), ("teacher_verdicts", "bb00", "master"),
                                   ("curated", "bb00", "master")):  # fmt: skip
        right = Rollout(
            index=0, completion="so 5", num_tokens=2, finish_reason="stop", seed=1, status="correct", extracted="5"
        )
        wrong = Rollout(
            index=1, completion="so 6", num_tokens=2, finish_reason="stop", seed=2, status="wrong", extracted="6"
        )
        if stage == "curated":
            right.weight, wrong.dropped_because = 1.5, "wrong"
        (run.folder / stage).mkdir()
        write_part(run.folder / stage, to_table([Group.of(asked, group_id, model, [right, wrong])], Group))
    return run


def test_the_groups_of_a_problem_are_shown_with_a_line_per_rollout(run):
    lines = dict(explain(run, "set/0"))
    assert lines["question"] == "set/0 of a file: q0"
    assert lines["group bb00"].split("\n") == [
        "by master", "bb00/0  correct, found '5', weight 1.5", "bb00/1  wrong, found '6', dropped: wrong"
    ]  # fmt: skip
    assert lines["group aa00"].startswith("by pupil\naa00/0  correct")
    assert "dropped" not in lines


def test_a_problem_that_was_dropped_says_why(run):
    assert dict(explain(run, "set/1"))["dropped"] == (
        "in_benchmark: a benchmark of the recipe asks the same (held, h7: what is five)"
    )
    assert dict(explain(run, "set/2"))["dropped"].startswith("student_pass_rate: the student answers it often enough")


def test_a_problem_in_quarantine_says_so(run):
    line = {"group_id": "cc00", "problem_id": "set/2", "reason": "the endpoint refuses it", "time": "now"}
    (run.folder / "quarantine.jsonl").write_text(json.dumps(line) + "\n")
    assert dict(explain(run, "set/2"))["in quarantine"] == "the endpoint refuses it"


def test_the_id_of_a_problem_with_an_index_behind_it_shows_the_problem(run):
    assert explain(run, "set/0/1") == explain(run, "set/0")


def test_a_rollout_is_still_found_by_its_id(run):
    assert dict(explain(run, "bb00/1"))["dropped"] == "wrong: its answer is not the reference"
    with pytest.raises(BadInput, match="rollouts 0 to 1"):
        explain(run, "bb00/7")


@pytest.mark.parametrize("name", ["set/9", "beef/0", "set", "", "/", "'; drop"])
def test_what_the_run_does_not_have_is_one_line(run, name):
    with pytest.raises(BadInput, match=r"no such rollout \(GROUP_ID/INDEX\) and no problem of this id") as error:
        explain(run, name)
    assert "\n" not in str(error.value)
