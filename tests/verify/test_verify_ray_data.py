import pyarrow.parquet as pq
import pytest

from ded_ray.files.parts import read_records
from ded_ray.generate.identity import GenerateJob
from ded_ray.generate.monitor import EngineMonitor
from ded_ray.generate.ray_data import generate
from ded_ray.recipe import Rewards, Sampling, Teacher, TransformersEngine, Verify
from ded_ray.records import Group, Problem, Rollout, to_table
from ded_ray.runtime.progress import progress, start_actor
from ded_ray.tiny.problems import make_problems
from ded_ray.verify.ray_data import reward, verify
from ded_ray.verify.worker import VerifyWorker


@pytest.mark.parametrize(
    ("thinking", "completion", "status"),
    [
        ("optional", r"so \boxed{5}", "correct"),
        ("required", r"so \boxed{5}", "no_answer"),
        ("required", r"so</think>\boxed{5}", "correct"),
    ],
)
def test_thinking_that_the_template_opened_must_have_ended(thinking, completion, status):
    problem = Problem(problem_id="p", prompt="?", answer="5")
    rollout = Rollout(index=0, completion=completion, num_tokens=1, finish_reason="stop", seed=0)
    verifying = VerifyWorker(Verify(thinking=thinking))
    assert verifying.verify_group(Group.of(problem, "g", "m", [rollout])).rollouts[0].status == status
    verifying.close()


@pytest.mark.slow
def test_verdicts_and_rewards_come_while_the_model_is_still_answering(ray_cluster, tmp_path):
    problems = make_problems("chain", 24, (3, 4), seed=0)
    teacher = Teacher(model="tiny/careful", engine=TransformersEngine(batch_size=2),
                      sampling=Sampling(num_rollouts=2, max_tokens=120))  # fmt: skip
    rollouts, verdicts = tmp_path / "rollouts", tmp_path / "verdicts"
    rollouts.mkdir()
    verdicts.mkdir()
    pq.write_table(to_table(problems, Problem), tmp_path / "problems.parquet")
    quarantine = tmp_path / "quarantine.jsonl"
    with (
        progress("answers", len(problems), "problems", start_actor(EngineMonitor, quarantine, 3)) as monitor,
        generate(GenerateJob(teacher, 0, rollouts, quarantine), tmp_path / "problems.parquet", monitor) as groups,
    ):
        plan = reward(verify(groups, Verify(workers=(1, 2), batch_size=2), save_to=verdicts), Rewards())
        assert not list(rollouts.iterdir()), "nothing happens before the rows are asked for"
        found = [Group.from_row(row) for row in plan.take_all()]
        last_rollout = max(path.stat().st_mtime for path in rollouts.iterdir())
    assert {group.problem_id for group in found} == {problem.problem_id for problem in problems}
    assert all(r.reward == float(r.status == "correct") for group in found for r in group.rollouts)
    assert sum(1 for _ in read_records(verdicts, Group)) == len(problems)
    first_verdict = min(path.stat().st_mtime for path in verdicts.glob("*.parquet"))
    assert first_verdict < last_rollout
