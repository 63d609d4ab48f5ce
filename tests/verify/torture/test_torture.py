"""Hostile answers and programs against one verifier: 0 hangs, 0 forged, in time, nothing left behind, still serving.

`python -m jobs.bench.torture` tries these and many more.
"""

import json

import pytest
import ray

from ded_ray.recipe import Code
from ded_ray.records import Group, Problem, Rollout, to_table
from ded_ray.verify.code.sandbox import find_walls
from ded_ray.verify.ray_data import verify
from ded_ray.verify.worker import VerifyWorker
from jobs.bench.hostile import ANSWERS, CHECK, PROGRAMS, boxed, fenced
from jobs.bench.torture import HONEST, config, torture, verdict

DEADLINE_SECONDS = 1.2
needs_walls = pytest.mark.skipif(find_walls(Code()) is None, reason="this machine cannot isolate programs")


@pytest.fixture(scope="module")
def verifying():
    made = VerifyWorker(config(DEADLINE_SECONDS))
    yield made
    made.close()


@pytest.mark.slow
def test_hostile_answers(verifying):
    assert verdict(verifying, "math", *HONEST["math"])[0] == "correct"
    tally = torture(verifying, "math", ANSWERS, DEADLINE_SECONDS)
    assert tally.examples == []
    assert tally.statuses["timed_out"] > 3
    assert tally.statuses["crashed"] + tally.statuses["timed_out"] < len(ANSWERS) / 2, "what can be told is told"


@needs_walls
@pytest.mark.slow
def test_hostile_programs(verifying, monkeypatch):
    monkeypatch.setenv("SECRET", "SECRET")
    assert verdict(verifying, "code", *HONEST["code"])[0] == "correct"
    tally = torture(verifying, "code", PROGRAMS, DEADLINE_SECONDS)
    assert tally.examples == []
    assert tally.statuses["timed_out"] > 3
    assert not list(verifying._verifiers["code"]._scratch.iterdir())


class Broken:
    """A verifier with a bug."""

    def verify(self, completion, *_):
        raise KeyError(completion)

    def close(self):
        pass


def test_a_verifier_with_a_bug_is_a_crash_of_that_row_only(verifying):
    verifying._verifiers["choice"] = Broken()
    assert verdict(verifying, "choice", boxed("A"), "A")[0] == "crashed"
    assert verdict(verifying, "math", *HONEST["math"])[0] == "correct"
    del verifying._verifiers["choice"]


@needs_walls
def test_poison_rows_never_take_their_batch_along(ray_cluster):
    """Through the plan, as Ray runs it: honest and hostile rollouts in the same groups and batches."""
    hostile = {
        "math": [boxed("9^{9^{9^{9}}} + 1"), boxed("5\ud800".encode("utf-8", "replace").decode()), "\x00" * 1000],
        "code": [fenced("while True: pass"), fenced("import os; os._exit(0)"), fenced("import os; os.kill(-1, 9)")],
    }
    groups, walls = [], find_walls(Code())
    for verifier, completions in hostile.items():
        honest, answer = HONEST[verifier]
        answer = answer if verifier == "math" else CHECK
        for number in range(6):
            problem = Problem(problem_id=f"{verifier}{number}", prompt="?", answer=answer, verifier=verifier)
            texts = [honest, *completions, honest] if number == 3 else [honest, honest]
            rollouts = [
                Rollout(index=i, completion=t, num_tokens=1, finish_reason="stop", seed=i) for i, t in enumerate(texts)
            ]
            groups.append(Group.of(problem, problem.problem_id, "m", rollouts))
    recipe = config(DEADLINE_SECONDS).model_copy(update={"workers": (1, 2), "batch_size": 4})
    found = verify(ray.data.from_arrow(to_table(groups, Group)), recipe).take_all()
    assert len(found) == 12
    for row in found:
        statuses = [rollout["status"] for rollout in row["rollouts"]]
        assert (statuses[0], statuses[-1]) == ("correct", "correct"), json.dumps(statuses)
        assert "correct" not in statuses[1:-1]
        assert row["rollouts"][0]["isolation"] == (None if row["verifier"] == "math" else walls.tier)
