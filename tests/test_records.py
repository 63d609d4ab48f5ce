import pyarrow as pa

from ded_ray.files.parts import read_records, write_part
from ded_ray.records import Group, Problem, Rollout, schema_of, to_table


def rollout(index: int = 0) -> Rollout:
    return Rollout(index=index, completion="so \\boxed{1}", num_tokens=3, finish_reason="stop", seed=7)


def group(name: str = "g", num_rollouts: int = 2) -> Group:
    problem = Problem(problem_id="p", prompt="1?", answer="1")
    return Group.of(problem, name, "model", [rollout(i) for i in range(num_rollouts)])


def test_a_group_survives_the_trip_through_parquet(tmp_path):
    write_part(tmp_path, to_table([group("a"), group("b", num_rollouts=0)], Group))
    back = sorted(read_records(tmp_path, Group), key=lambda g: g.group_id)
    assert back == [group("a"), group("b", num_rollouts=0)]
    assert isinstance(back[0].rollouts[1], Rollout)


def test_a_column_of_nothing_but_none_keeps_its_type():
    table = to_table([group()], Group)
    assert table.schema == schema_of(Group)
    assert table.schema.field("student_pass_rate").type == pa.float64()
    assert to_table([], Group).schema == schema_of(Group)


def test_writing_the_same_groups_again_replaces_the_file(tmp_path):
    for _ in range(2):
        write_part(tmp_path, to_table([group("a"), group("b")], Group))
    assert len(list(tmp_path.iterdir())) == 1


def test_only_checked_rollouts_count():
    g = group(num_rollouts=7)
    statuses = ["correct", "wrong", "no_answer", "truncated", "timed_out", "crashed", "unverifiable"]
    for r, status in zip(g.rollouts, statuses, strict=True):
        r.status = status
    assert [r.status for r in g.checked] == statuses[:4]
