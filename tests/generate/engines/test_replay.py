import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import shared

from ded_ray.errors import BadInput
from ded_ray.generate.engine import Request
from ded_ray.generate.engines.replay import ReplayFile, check_covers, read_completions
from ded_ray.generate.identity import identity
from ded_ray.recipe import Generator, ReplayEngine, Sampling
from ded_ray.records import Problem


def replay(tmp_path, rows, **config):
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    engine = ReplayEngine(path=str(tmp_path / "r.jsonl"), **config)
    problem = Problem(problem_id="x", prompt="2+2?", answer="4")
    [(_, rollouts)] = ReplayFile(engine).generate([Request([], Sampling(), 0, problem)])
    return [(r.completion, r.finish_reason) for r in rollouts]


def test_replay_of_one_row_per_rollout(tmp_path):
    rows = [{"problem_id": "x", "completion": f"c{i}", "why": "length" if i else "stop"} for i in range(2)]
    assert replay(tmp_path, rows, finish_reason_column="why") == [("c0", "stop"), ("c1", "length")]


def test_replay_of_lists_and_of_chats_by_prompt(tmp_path):
    rows = [{"prompt": "2+2?", "generations": ["a", "b"]}]
    config = {"problem_id_column": None, "completion_column": "generations"}
    assert replay(tmp_path, rows, **config) == [("a", "stop"), ("b", "stop")]
    chat = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]
    assert replay(tmp_path, [{"prompt": "2+2?", "generations": chat}], **config) == [("4", "stop")]


def test_replay_says_what_is_missing(tmp_path):
    (tmp_path / "r.jsonl").write_text('{"problem_id": "y", "text": "c"}\n')
    with pytest.raises(BadInput, match="no column `completion`"):
        read_completions(ReplayEngine(path=str(tmp_path / "r.jsonl")))
    engine = ReplayEngine(path=str(tmp_path / "r.jsonl"), completion_column="text")
    with pytest.raises(BadInput, match="no rollout for problem 'x'"):
        check_covers(engine, [Problem(problem_id="x", prompt="?", answer="1")])


def test_replay_of_real_rollouts():
    completions = read_completions(ReplayEngine(path=str(shared("gsm8k_rollouts.jsonl"))))
    assert len(completions) == 400
    assert all(len(texts) == 4 for texts in completions.values())


def test_replay_reads_conversations_as_grade_does(tmp_path):
    user = {"role": "user", "content": "\\boxed{7}"}
    rows = [{"problem_id": "x", "completion": completion} for completion in (
        {"role": "assistant", "content": "a"}, [{"from": "human", "value": "?"}, {"from": "gpt", "value": "b"}],
        [user, {"role": "assistant", "content": [{"type": "text", "text": "c"}]}],
        [[user, {"role": "assistant", "content": "d"}]],
    )]  # fmt: skip
    assert [text for text, _ in replay(tmp_path, rows)] == ["a", "b", "c", "d"]
    for completion in ([user, user], user, {"text": "a"}, 4):
        with pytest.raises(BadInput, match="row 1: `completion` "):
            replay(tmp_path, [{"problem_id": "x", "completion": completion}])


def test_what_never_came_or_ended_for_no_known_reason_is_other(tmp_path):
    rows = [{"problem_id": "x", "completion": "a", "why": why} for why in (None, "MAX_TOKENS", "content_filter")]
    assert replay(tmp_path, rows, finish_reason_column="why") == [("a", "other"), ("a", "length"), ("a", "other")]
    assert replay(tmp_path, [{"problem_id": "x", "completion": None}]) == [("", "other")]
    assert replay(tmp_path, [{"problem_id": "x", "completion": []}]) == [("", "other")]
    assert replay(tmp_path, [{"problem_id": "x", "completion": ""}]) == [("", "stop")]
    with pytest.raises(BadInput, match=r"no column `why`; set teacher.engine.finish_reason_column to one of"):
        replay(tmp_path, [{"problem_id": "x", "completion": "a"}], finish_reason_column="why")


def test_ids_are_texts_or_numbers_and_prompts_may_be_messages(tmp_path):
    (tmp_path / "shards").mkdir()
    for number, cell in enumerate((b"x", 7)):
        table = pa.Table.from_pylist([{"problem_id": cell, "completion": b"a", "inputs": ["x"]}])
        pq.write_table(table, tmp_path / "shards" / f"part-{number}.parquet")
    engine = ReplayEngine(path=str(tmp_path / "shards"))
    assert read_completions(engine) == {"x": [("a", "stop")], "7": [("a", "stop")]}
    assert identity(Generator(model="m", engine=engine), 0) != identity(
        Generator(model="m", engine=engine.model_copy(update={"path": str(tmp_path / "shards" / "part-0.parquet")})), 0
    )
    rows = [{"prompt": [{"role": "user", "content": "2+2?"}], "completion": "4"}]
    assert replay(tmp_path, rows, problem_id_column=None) == [("4", "stop")]
    for cell in (float("nan"), None, "", ["x"], {"a": 1}):
        with pytest.raises(BadInput, match="problem_id"):
            replay(tmp_path, [{"problem_id": cell, "completion": "a"}])
