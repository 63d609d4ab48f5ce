"""`ded-ray grade` without the command line around it."""

import datetime
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT, shared
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ded_ray.errors import BadInput
from ded_ray.recipe import Grade
from ded_ray.recipe.load import grade_config
from ded_ray.records import Group, Rollout
from ded_ray.stages.grade import grade_file
from ded_ray.verify.code.sandbox import find_walls
from ded_ray.verify.code.verifier import Code
from ded_ray.verify.grade import GradeWorker, Summary
from ded_ray.verify.worker import JudgeActor


def graded(rows, tmp_path, verifier="math", sets=(), label="", columns=""):
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = grade_config(verifier, ["verify.workers=1", *sets], columns=columns)
    summary = grade_file(tmp_path / "in.jsonl", tmp_path / "out.parquet", config, label)
    return pq.read_table(tmp_path / "out.parquet").to_pylist(), summary


def test_parquet_keeps_its_types_and_its_columns(tmp_path):
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


def test_choice_as_openbookqa_has_it(tmp_path):
    row = {"prompt": "?", "answer": "2", "choices": {"text": ["Sun", "Moon"], "label": ["1", "2"]}}
    found, _ = graded([row | {"completion": f"\\boxed{{{text}}}"} for text in ("B", "Moon", "A")], tmp_path, "choice")
    assert [row["status"] for row in found] == ["correct", "correct", "wrong"]


@pytest.mark.skipif(find_walls(Code()) is None, reason="this machine cannot isolate programs")
def test_code_says_which_walls(tmp_path):
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


def test_cut_off_rows_lengths_and_rows_that_could_not_be_checked(tmp_path):
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


def test_a_judge_decides_what_the_rules_could_not():
    config = grade_config("math", ["verify.judge={model: j, audit_rate: 1}"])
    assert config.verify.judge is not None
    worker = GradeWorker(config, JudgeActor(config.verify.judge, Agreeable, {}))
    rows = [{"prompt": "?", "answer": answer, "completion": "\\boxed{2}"} for answer in ("+++", "2", "3")]
    rows.append(rows[0] | {"finish_reason": "content_filter"})  # nobody may call correct what may not be whole
    batch = worker(pa.Table.from_pylist([row | {"finish_reason": row.get("finish_reason", "stop")} for row in rows]))
    worker.close()
    found, summary = batch.to_pylist(), Summary()
    summary.add(batch, "")
    assert [row["status"] for row in found] == ["correct", "correct", "wrong", "unverifiable"]
    assert [row["rule_status"] for row in found] == ["unverifiable", "correct", "wrong", None]
    assert [row["reward"] for row in found] == [1, 1, 0, None]
    assert summary.judged == {
        ("unverifiable", "correct", "correct"): 1,
        ("correct", "correct", "correct"): 1,
        ("wrong", "correct", "wrong"): 1,
    }


def statuses(rows, tmp_path, **how):
    found, _ = graded(rows, tmp_path, **how)
    return [row["status"] for row in found]


def test_a_conversation_is_its_last_turn(tmp_path):
    user = {"role": "user", "content": "try \\boxed{7}"}
    rows = [{"prompt": [user], "answer": "7", "completion": completion} for completion in (
        [user, {"role": "assistant", "content": "I cannot."}],
        {"role": "assistant", "content": "so\n#### 7\n"},
        [{"from": "human", "value": "\\boxed{8}"}, {"from": "gpt", "value": "\\boxed{7}"}],
        [{"role": "assistant", "content": [{"type": "text", "text": "\\boxed{7}"}]}],
        {"role": "assistant", "content": "cannot", "reasoning_content": "\\boxed{7}"},
    )]  # fmt: skip
    found, _ = graded(rows, tmp_path)
    assert [row["status"] for row in found] == ["no_answer", "correct", "correct", "correct", "no_answer"]
    assert [row["completion"] for row in found][:2] == ["I cannot.", "so\n#### 7\n"]
    assert found[0]["prompt"] == "try \\boxed{7}"
    with pytest.raises(BadInput, match="row 2: `completion` holds no turn of the assistant's"):
        graded([rows[0], rows[0] | {"completion": [user]}], tmp_path)


def test_every_sample_of_a_row_gets_its_verdict(tmp_path):
    rows = [
        {"prompt": "?", "answer": 2, "completion": ["\\boxed{2}", "\\boxed{3}"], "finish_reason": ["stop", "max_tokens"],
         "ok": [True, False], "id": "a"},
        {"prompt": "?", "answer": 3, "completion": "\\boxed{3}", "finish_reason": "stop", "ok": True, "id": "b"},
        {"prompt": "?", "answer": 4, "completion": [], "finish_reason": None, "ok": True, "id": "c"},
    ]  # fmt: skip
    found, summary = graded(rows, tmp_path, label="ok")
    assert [(row["id"], row["sample"], row["status"]) for row in found] == [
        ("a", 0, "correct"), ("a", 1, "truncated"), ("b", 0, "correct"), ("c", 0, "unverifiable")
    ]  # fmt: skip
    assert summary.labels == {("correct", True): 2, ("truncated", False): 1, ("unverifiable", True): 1}
    with pytest.raises(BadInput, match="row 1: 2 completions but 1 of `finish_reason`; give one for each"):
        graded([rows[0] | {"finish_reason": ["stop"]}], tmp_path)
    with pytest.raises(BadInput, match="rows with several completions get a column `sample`"):
        graded([rows[0] | {"sample": 1}], tmp_path)
    found, summary = graded([rows[1] | {"ok": [True]}, rows[1], rows[1] | {"ok": "0"}], tmp_path, label="ok")
    assert summary.labels == {("correct", True): 2, ("correct", False): 1}
    assert [row["ok"] for row in found] == [True, True, False]
    found, _ = graded([rows[1] | {"completion": ["\\boxed{3}"], "sample": 7}], tmp_path)
    assert found[0]["sample"] == 7


def test_what_is_missing_is_unverifiable_and_counted(tmp_path):
    row = {"prompt": "?", "answer": "2", "completion": "\\boxed{2}", "finish_reason": "stop"}
    rows = [row, *[row | {"answer": nothing} for nothing in (None, float("nan"), " ", [])], row | {"completion": None},
            row | {"finish_reason": None}, row | {"finish_reason": "SAFETY"}, row | {"completion": ""}]  # fmt: skip
    found, summary = graded(rows, tmp_path)
    assert [row["status"] for row in found] == ["correct", *["unverifiable"] * 7, "no_answer"]
    assert summary.num_missing == 5
    rows = [{"prompt": "?", "answer": "2", "completion": "\\boxed{2}"}, row]
    assert statuses(rows, tmp_path) == ["unverifiable", "correct"], "a reason that one row lacks is not known"


def test_columns_have_the_names_that_the_file_gives_them(tmp_path):
    row = {"problem": "?", "reward_model": {"ground_truth": "2"}, "generations": ["\\boxed{2}", "2"], "prompt": "x",
           "ends": ["eos", "length"]}  # fmt: skip
    named = "prompt=problem,answer=reward_model.ground_truth,completion=generations,finish_reason=ends"
    with pytest.raises(BadInput, match="`problem` is to be `prompt`, but there is a column `prompt`; rename that one"):
        graded([row], tmp_path, columns=named)
    del row["prompt"]
    found, _ = graded([row], tmp_path, columns=named)
    assert [row["status"] for row in found] == ["correct", "truncated"]
    assert found[0].keys() == {"reward_model", "prompt", "answer", "completion", "finish_reason", "sample", "status",
                               "reward", "extracted", "seconds"}  # fmt: skip
    choice = {"prompt": "?", "answer": "moon", "completion": "\\boxed{B}", "options": {"A": "sun", "B": "moon"}}
    assert statuses([choice], tmp_path, verifier="choice", columns="choices=options") == ["correct"]
    for wrong in ("prompt", "prompts=x", "prompt="):
        with pytest.raises(BadInput, match="--columns prompt"):
            grade_config(columns=wrong)


def test_a_graded_file_can_be_graded_again(tmp_path):
    row = {"prompt": "?", "answer": "2", "completion": "\\boxed{2}", "status": "mine", "reward": 7}
    found, _ = graded([row], tmp_path)
    assert (found[0]["status"], found[0]["status_in_file"], found[0]["reward_in_file"]) == ("correct", "mine", 7)
    with pytest.raises(BadInput, match="already has a column `status`"):
        graded([row | {"status_in_file": 1}], tmp_path)
    with pytest.raises(BadInput, match="already has a column `reward`"):
        graded([row | {"reward": 1}], tmp_path, label="reward")


def test_shards_that_differ_are_graded_together(tmp_path):
    shards = tmp_path / "shards"
    shards.mkdir()
    row = {"prompt": "?", "completion": "\\boxed{2}"}
    pq.write_table(pa.Table.from_pylist([row | {"answer": 2, "n": 1}]), shards / "a-0.parquet")
    pq.write_table(pa.Table.from_pylist([row | {"answer": b"2", "n": 0.5, "more": "x"}]), shards / "a-1.parquet")
    grade_file(str(shards / "*.parquet"), tmp_path / "out.parquet", Grade())
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [(row["status"], row["n"], row["more"]) for row in found] == [("correct", 1, None), ("correct", 0.5, "x")]
    pq.write_table(pa.Table.from_pylist([row | {"answer": "2", "finish_reason": ["stop"]}]), shards / "a-2.parquet")
    grade_file(shards, tmp_path / "out.parquet", Grade())
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["status"] for row in found] == ["unverifiable", "unverifiable", "correct"]
    pq.write_table(pa.Table.from_pylist([row | {"answer": "2", "n": "x"}]), shards / "a-2.parquet")
    with pytest.raises(BadInput, match="its files have columns of different types"):
        grade_file(shards, tmp_path / "out.parquet", Grade())


THINGS = st.sampled_from([
    None, True, 3, 1 << 70, 0.5, float("nan"), "x", "\\boxed{x}", ["x"], [], [None], {}, {"type": "stop"}, [[1], "a"],
    "\ud800", {"role": "assistant", "content": "x"}, [{"role": "user", "content": "x"}], {"a": {"b": [1, {"c": None}]}},
])  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["prompt", "answer", "completion", "finish_reason", "x", "num_tokens"]), THINGS),
                min_size=1, max_size=4))  # fmt: skip
def test_any_cells_at_all_are_verdicts_or_one_line(tmp_path, cells):
    rows = [{"prompt": "?", "answer": "x", "completion": "\\boxed{x}"} | {name: thing} for name, thing in cells]
    try:
        found, _ = graded(rows, tmp_path, sets=["verify.timeout_seconds=20"])
    except BadInput as error:
        assert "\n" not in str(error)
    else:
        assert all(row["completion"] is None or isinstance(row["completion"], str) for row in found)
        assert not any("{'" in (row[name] or "") for row in found for name in ("prompt", "answer", "completion"))


CASES = PROJECT.parent / "shared" / "cases"
KINDS = ("f05", "f08", "f09", "f10", "f11", "f12", "f32")


@pytest.mark.parametrize("kind", KINDS)
def test_the_shared_cases(tmp_path, kind):
    paths = list(CASES.glob(f"{kind}*_math.jsonl"))
    if not paths:
        pytest.skip("needs the development data")
    rows = [json.loads(line) for line in paths[0].read_text().splitlines()]
    found = statuses(rows, tmp_path)
    if kind == "f10":
        assert found == ["correct", "wrong"]
    else:
        assert all(status in row["want"] for status, row in zip(found, rows, strict=True))
