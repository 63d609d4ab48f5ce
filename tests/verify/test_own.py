import pytest
from conftest import PROJECT, run_cli

from ded_ray.errors import BadInput
from ded_ray.recipe import Verify
from ded_ray.recipe.load import grade_config, load_recipe
from ded_ray.records import Group, Problem, Rollout
from ded_ray.verify.own import OwnVerifier
from ded_ray.verify.worker import VerifyWorker

CODE = """
import os, time
def check(completion, answer):
    match completion:
        case "hang": time.sleep(1000)
        case "die": os._exit(0)
        case "raise": raise ValueError
        case "nonsense": return "maybe"
        case "unknown": return None
        case "silent": return "no_answer"
    return completion == answer
number = 3
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize(
    ("completion", "status"),
    [("a", "correct"), ("b", "wrong"), ("hang", "timed_out"), ("die", "crashed"), ("raise", "crashed"),
     ("nonsense", "crashed"), ("unknown", "unverifiable"), ("silent", "no_answer")],
)  # fmt: skip
def test_a_function_of_the_users_own(mine, completion, status):
    verifier = OwnVerifier("mine:check", Verify(timeout_seconds=1.5))
    assert verifier.verify(completion, "a", []).status == status
    assert verifier.verify("a", "a", []).status == "correct"
    verifier.close()


def test_a_batch_with_it(mine):
    rollouts = [
        Rollout(index=index, completion=text, num_tokens=1, finish_reason="stop", seed=index)
        for index, text in enumerate(("a", "b", "raise"))
    ]
    problem = Problem(problem_id="p", prompt="?", answer="a", verifier="mine:check")
    verifying = VerifyWorker(Verify())
    found = verifying.verify_group(Group.of(problem, "g", "m", rollouts))
    verifying.close()
    assert [rollout.status for rollout in found.rollouts] == ["correct", "wrong", "crashed"]


def test_grade_refuses_one_that_is_not_there(mine, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"prompt": "?", "answer": "a", "completion": "a"}\n')
    refusals = {
        "mine:none": "there is no function 'none' in mine",
        "mine:number": "there is no function 'number'",
        "nobody:check": "cannot be imported",
        "mathematics": "--verifier: name math, choice, code, or a function",
    }
    for name, says in refusals.items():
        refused = run_cli("grade", "in.jsonl", "--out", "o.parquet", "--verifier", name, cwd=tmp_path, check=False)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1), refused.stderr
        assert says in refused.stderr


def test_a_recipe_names_it(mine):
    quickstart = PROJECT / "ded_ray" / "tiny" / "quickstart.yaml"
    for verifier in ("math", "mine:check"):
        load_recipe(quickstart, [f"problems={{kind: file, path: p.jsonl, verifier: '{verifier}'}}"])
    with pytest.raises(BadInput, match=r"problems\.verifier: name math, choice, code, or a function of your own"):
        load_recipe(quickstart, ["problems={kind: file, path: p.jsonl, verifier: maths}"])
    assert grade_config("mine:check").verifier == "mine:check"
