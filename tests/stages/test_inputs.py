"""Problems to which no answer could be checked are dropped before a teacher is paid, and told of."""

import json

import pytest

from ded_ray.errors import BadInput
from ded_ray.recipe.load import load_recipe
from ded_ray.run import Run
from ded_ray.stages.inputs import read_inputs
from ded_ray.stages.plan import plan_run
from ded_ray.stages.problems import choose_problems, kept_problems

READABLE = json.dumps([{"input": "1", "output": "2"}])
RECIPE = """
name: n
problems: {{kind: file, path: {path}, verifier: code}}
student: {{model: tiny/student, sampling: {{max_tokens: 64}}}}
teacher: {{model: tiny/careful, sampling: {{max_tokens: 64}}}}
evaluate: {{sampling: {{max_tokens: 64}}}}
"""
JUDGE = "verify: {judge: {model: tiny/careful, sampling: {max_tokens: 64}}}\n"


def recipe(folder, answers, more=""):
    rows = [{"problem_id": f"p{i}", "prompt": f"Question {i}", "answer": answer} for i, answer in enumerate(answers)]
    (folder / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "r.yaml").write_text(RECIPE.format(path=folder / "p.jsonl") + more)
    return load_recipe(folder / "r.yaml")


def test_what_nothing_can_read_is_told_and_not_asked(tmp_path, capsys):
    loaded = recipe(tmp_path, [READABLE, "not json", READABLE, "[]"])
    inputs = read_inputs(loaded)
    line = "problems: 2 of 4 cannot be verified: 'p1' (its tests are not JSON), 'p3' (it has no tests)"
    plan = plan_run(loaded, inputs)
    assert plan.warnings == [line]
    assert plan.rows[0] == ("problems", "2 of 4")
    run = Run.create(tmp_path / "run", loaded)
    stage = choose_problems(run, inputs)
    assert [problem.problem_id for problem in kept_problems(stage)] == ["p0", "p2"]
    assert run.ledger()[0]["dropped"] == {"unverifiable_reference": 2}
    assert capsys.readouterr().err == line + "\n"


def test_when_nothing_could_be_verified_the_run_is_refused_in_one_line(tmp_path):
    with pytest.raises(BadInput) as error:
        read_inputs(recipe(tmp_path, ["not json", "[]"]))
    assert str(error.value) == (
        f"{tmp_path / 'p.jsonl'}: 2 of 2 cannot be verified: 'p0' (its tests are not JSON), 'p1' (it has no tests); "
        "set problems.answer_column or problems.verifier, or ask a verify.judge"
    )


def test_a_judge_may_still_decide_so_that_nothing_is_dropped(tmp_path):
    inputs = read_inputs(recipe(tmp_path, ["not json", "[]"], JUDGE))
    assert [problem.dropped_because for problem in inputs.problems] == [None, None]
    assert len(inputs.warnings) == 1


def test_problems_that_can_be_read_leave_no_trace(tmp_path):
    inputs = read_inputs(recipe(tmp_path, [READABLE, READABLE]))
    assert [problem.dropped_because for problem in inputs.problems] == [None, None]
    assert inputs.warnings == []
