from collections import Counter
from functools import partial

import pytest
import ray
from pydantic import SecretStr

from ded_ray.files.parts import read_records
from ded_ray.generate.identity import GenerateJob
from ded_ray.generate.monitor import EngineMonitor
from ded_ray.generate.store import compact
from ded_ray.generate.worker import BlockingGenerator
from ded_ray.recipe import Judge, Verify
from ded_ray.records import Group, Problem, Rollout, to_table
from ded_ray.verify.judge import agreement, is_asked, opinion, question
from ded_ray.verify.ray_data import verify
from ded_ray.verify.worker import JudgeActor, JudgeWorker


def rollout(index=0, status="unverifiable", completion="so: yes", reason="stop"):
    return Rollout(index=index, completion=completion, num_tokens=5, finish_reason=reason, seed=0, status=status)


def group(*rollouts, verifier="math", name="g"):
    problem = Problem(problem_id=name, prompt="Is {answer} it?", answer="yes {question}", verifier=verifier)
    return Group.of(problem, name, "m", list(rollouts))


class Oracle:
    """At the engine seam: calls every answer that says yes correct."""

    def __init__(self):
        self.prompts = []

    def answer(self, problems):
        self.prompts += [problem.prompt for problem in problems]
        replies = ["VERDICT: CORRECT" if "so: yes" in problem.prompt else "VERDICT: WRONG" for problem in problems]
        return [
            Group.of(problem, problem.problem_id, "j", [rollout(completion=reply)])
            for problem, reply in zip(reversed(problems), reversed(replies), strict=True)
        ]


def judged(groups, **config):
    oracle = Oracle()
    return JudgeWorker(JudgeActor(Judge(model="j", **config), lambda: oracle, {}))(groups), oracle


@pytest.mark.parametrize(
    ("replies", "status"),
    [
        (["I think.\nVERDICT: CORRECT"], "correct"),
        (["**VERDICT: WRONG**."], "wrong"),
        (["<think>VERDICT: CORRECT</think>verdict: wrong"], "wrong"),
        (["<think>VERDICT: CORRECT"], "unverifiable"),
        (["VERDICT: CORRECT\nVERDICT: WRONG"], "wrong"),
        (["It is CORRECT"], "unverifiable"),
        (["the VERDICT: CORRECT is not mine to give"], "unverifiable"),
        (["VERDICT: CORRECT", "VERDICT: WRONG"], "unverifiable"),
        (["VERDICT: CORRECT", "VERDICT: CORRECT", "VERDICT: WRONG"], "correct"),
        (["VERDICT: CORRECT", "?"], "correct"),
    ],
)
def test_what_replies_mean(replies, status):
    assert opinion([rollout(completion=reply) for reply in replies]) == status


def test_it_is_asked_only_where_it_may_speak():
    config = Judge(model="j", audit_rate=0)
    assert is_asked(group(), rollout(), config)
    assert is_asked(group(), rollout(status="timed_out"), config)
    for status in ("correct", "wrong", "no_answer", "truncated", "crashed"):
        assert not is_asked(group(), rollout(status=status), config)
    assert not is_asked(group(verifier="code"), rollout(), config)
    assert not is_asked(group(), rollout(completion="<think>so: yes"), config)


def test_the_rules_go_first_and_keep_their_word():
    statuses = ["correct", "wrong", "no_answer", "unverifiable", "timed_out", "crashed", "truncated"]
    rollouts = [rollout(i, status, "so: yes" if i % 2 else "so: no") for i, status in enumerate(statuses)]
    (found,), _ = judged([group(*rollouts)], audit_rate=1)
    assert [r.status for r in found.rollouts[:3]] == statuses[:3]
    assert [r.status for r in found.rollouts[3:]] == ["correct", "wrong", "crashed", "truncated"]
    assert [r.judge_status for r in found.rollouts[:3]] == ["wrong", "correct", "wrong"]
    assert found.rollouts[3].rule_status == "unverifiable"
    assert found.rollouts[5].judge_status is None
    asked = Counter((r.rule_status, r.judge_status, r.status) for r in found.rollouts if r.judge_status)
    assert agreement(asked) == {"asked": 6, "audited": 4, "agreed": 2, "replaced": 2, "unreadable": 0}
    assert agreement(Counter()) is None


def test_nothing_inside_a_part_is_filled_in():
    _, oracle = judged([group(rollout(completion="so: {reference} {question}"))])
    assert "Is {answer} it?" in oracle.prompts[0]
    assert "yes {question}" in oracle.prompts[0]
    assert "so: {reference} {question}" in oracle.prompts[0]


def test_equal_rollouts_share_a_question_and_its_answer():
    groups, oracle = judged([group(rollout()), group(rollout())])
    assert [each.rollouts[0].status for each in groups] == ["correct", "correct"]
    assert len(oracle.prompts) == 1


def test_a_flood_of_newlines_is_read_quickly():
    assert opinion([rollout(completion="\n" * 2_000_000 + "VERDICT: WRONG")]) == "wrong"
    assert opinion([rollout(completion="VERDICT" * 300_000)]) == "unverifiable"


def test_a_prompt_without_its_parts_is_refused():
    with pytest.raises(ValueError, match=r"\{reference\} does not occur"):
        Judge(model="j", prompt="{question} {answer}")


@pytest.mark.slow
def test_a_real_judge_in_the_plan_is_never_paid_twice(ray_cluster, tmp_path):
    """A tiny model knows nothing of judging: its replies cannot be read, and what was unchecked stays unchecked."""
    config = Judge.model_validate({"model": "tiny/student", "audit_rate": 1.0, "prompt": "{question}{reference}{answer}",
                                  "sampling": {"num_rollouts": 1, "max_tokens": 8}})  # fmt: skip
    groups = [group(rollout(0, None, r"\boxed{2}"), rollout(1, None, "3"), name=f"g{i}") for i in range(4)]
    for each in groups:
        each.prompt, each.answer = "1+1=?", "2"
    replies, verdicts = tmp_path / "replies", tmp_path / "verdicts"
    replies.mkdir()

    def run(folder):
        folder.mkdir()
        monitor = ray.remote(num_cpus=0)(EngineMonitor).remote(tmp_path / "quarantine.jsonl", 5)
        job = GenerateJob(config, 0, replies, tmp_path / "quarantine.jsonl")
        answerer = partial(BlockingGenerator, job, monitor, SecretStr(""), compact(replies))
        judge = JudgeActor(config, answerer, {"num_cpus": 1})
        return verify(ray.data.from_arrow(to_table(groups, Group)), Verify(), judge=judge, save_to=folder).take_all()

    first = run(verdicts)
    assert {r["status"] for row in first for r in row["rollouts"]} == {"correct", "no_answer"}
    assert {r["judge_status"] for row in first for r in row["rollouts"]} == {"unverifiable"}
    assert sum(1 for _ in read_records(verdicts, Group)) == 4
    assert len(compact(replies).ids) == 8
    before = {path: path.stat().st_mtime_ns for path in replies.iterdir()}
    run(tmp_path / "again")
    assert {path: path.stat().st_mtime_ns for path in replies.iterdir()} == before


def test_questions_have_ids_of_their_own():
    config = Judge(model="j")
    ids = {question(group(name=name), rollout(i), config).problem_id for name in "ab" for i in range(3)}
    assert len(ids) == 6
