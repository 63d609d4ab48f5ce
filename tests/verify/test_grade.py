"""`ded-ray grade` without the command line around it."""

import datetime
import json
import sys
from contextlib import nullcontext

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray
from conftest import shared

from ded_ray.errors import BadInput
from ded_ray.recipe import Grade
from ded_ray.recipe.load import grade_config
from ded_ray.records import Group, Rollout
from ded_ray.stages.grade import grade_file
from ded_ray.verify.code.sandbox import find_walls
from ded_ray.verify.code.verifier import Code


def graded(rows, tmp_path, verifier="math", sets=(), label="", **more):
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = grade_config(verifier, ["verify.workers=1", *sets])
    summary = grade_file(tmp_path / "in.jsonl", tmp_path / "out.parquet", config, label, **more)
    return pq.read_table(tmp_path / "out.parquet").to_pylist(), summary


def test_parquet_keeps_its_types_and_its_columns(tmp_path, ray_cluster):
    schema = pa.schema({
        "prompt": pa.string(), "answer": pa.int32(), "completion": pa.large_string(), "when": pa.timestamp("us", tz="UTC"),
        "price": pa.decimal128(9, 2), "kind": pa.dictionary(pa.int8(), pa.string()),
        "meta": pa.map_(pa.string(), pa.int64()),
    })  # fmt: skip
    when = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    row = {"prompt": "?", "answer": 2, "completion": "\\boxed{2}"}
    rows = [row | {"when": when, "price": 1, "kind": "a", "meta": [("x", 1)]}]
    rows.append({"prompt": "?", "answer": 2, "completion": "two"})
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "in.parquet")
    grade_file(tmp_path / "in.parquet", tmp_path / "out.parquet", Grade())
    found = pq.read_table(tmp_path / "out.parquet")
    assert found["status"].to_pylist() == ["correct", "no_answer"]
    for name in ("when", "price", "kind", "meta"):
        assert found.schema.field(name).type == schema.field(name).type
    assert found["when"].to_pylist() == [when, None]
    with pytest.raises(BadInput, match="row 1: column `price` holds"):
        grade_file(tmp_path / "in.parquet", tmp_path / "o.parquet", Grade(), "price")


def test_agrees_with_the_publisher_of_real_rollouts(tmp_path, ray_cluster):
    path = shared("gsm8k_rollouts.jsonl")
    summary = grade_file(path, tmp_path / "out.parquet", Grade(), "is_correct")
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    given = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["completion"] for row in rows] == [row["completion"] for row in given]
    agreed = sum(count for (status, truth), count in summary.labels.items() if (status == "correct") == truth)
    assert agreed / len(given) >= 0.999
    assert len(summary.slowest) == 5
    assert summary.slowest[0][0] == max(row["seconds"] for row in rows)
    assert rows[summary.slowest[0][1] - 1]["seconds"] == summary.slowest[0][0]


def test_choice_as_openbookqa_has_it(tmp_path, ray_cluster):
    row = {"prompt": "?", "answer": "2", "choices": {"text": ["Sun", "Moon"], "label": ["1", "2"]}}
    found, _ = graded([row | {"completion": f"\\boxed{{{text}}}"} for text in ("B", "Moon", "A")], tmp_path, "choice")
    assert [row["status"] for row in found] == ["correct", "correct", "wrong"]


@pytest.mark.skipif(find_walls(Code()) is None, reason="this machine cannot isolate programs")
def test_code_says_which_walls(tmp_path, ray_cluster):
    tests = {"inputs": ["2"], "outputs": ["4"]}
    rows = [{"prompt": "?", "answer": tests, "completion": text} for text in ("print(int(input())*2)", "print(5)", "")]
    found, summary = graded(rows, tmp_path, "code")
    assert [row["status"] for row in found] == ["correct", "wrong", "no_answer"]
    walls = find_walls(Code()).tier
    assert [row["isolation"] for row in found] == [walls, walls, None]
    assert summary.isolation == {walls: 2}


def test_columns_of_any_shape(tmp_path, ray_cluster):
    rows = [{"prompt": "?", "answer": 1, "completion": "\\boxed{1}", "n": i} for i in range(600)]
    rows[0] |= {"meta": {}, "late": None}
    rows[550] |= {"n": 0.5, "late": "x", "new": [1], "mixed": 1}
    rows[551] |= {"mixed": "a", "huge": 1 << 70, "broken": "\ud800"}
    rows[552]["completion"] = "\\boxed{1} \ud800"
    found, summary = graded(rows, tmp_path)
    assert [row["n"] for row in found[549:552]] == [549, 0.5, 551]
    assert (found[550]["late"], found[550]["new"], found[550]["mixed"], found[551]["mixed"]) == ("x", [1], "1", "a")
    assert found[0]["meta"] == "{}"
    assert found[551]["huge"] == str(1 << 70)
    assert summary.statuses == {"correct": 600}


def test_cut_off_rows_lengths_and_rows_that_could_not_be_checked(tmp_path, ray_cluster):
    rows = [{"prompt": "?", "answer": "2", "completion": "\\boxed{2}", "finish_reason": reason, "num_tokens": n, "ok": True}
            for reason, n in (("stop", 10), ("length", 1000))]  # fmt: skip
    rows.append({**rows[0], "answer": "+++"})
    sets = ["rewards={length: {weight: 1, max_tokens: 1000}, truncation: {weight: 0.5}}"]
    found, summary = graded(rows, tmp_path, sets=sets, label="ok")
    assert [row["status"] for row in found] == ["correct", "truncated", "unverifiable"]
    assert [row["reward"] for row in found] == [pytest.approx(2, abs=0.01), pytest.approx(-0.5), None]
    assert summary.labels == {("correct", True): 1, ("truncated", True): 1, ("unverifiable", True): 1}


class Agreeable:
    """A judge at the engine seam that calls everything correct."""

    def answer(self, problems):
        reply = Rollout(index=0, completion="VERDICT: CORRECT", num_tokens=3, finish_reason="stop", seed=0)
        return [Group.of(problem, problem.problem_id, "j", [reply]) for problem in problems]


def test_a_judge_decides_what_the_rules_could_not(tmp_path, ray_cluster):
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    rows = [{"prompt": "?", "answer": answer, "completion": "\\boxed{2}"} for answer in ("+++", "2", "3")]
    found, summary = graded(
        rows,
        tmp_path,
        sets=["verify.judge={model: j, audit_rate: 1}"],
        judge_of=lambda: nullcontext((Agreeable, {"num_cpus": 0.5})),
    )
    assert [row["status"] for row in found] == ["correct", "correct", "wrong"]
    assert [row["rule_status"] for row in found] == ["unverifiable", "correct", "wrong"]
    assert [row["reward"] for row in found] == [1, 1, 0]
    assert summary.judged == {
        ("unverifiable", "correct", "correct"): 1,
        ("correct", "correct", "correct"): 1,
        ("wrong", "correct", "wrong"): 1,
    }
