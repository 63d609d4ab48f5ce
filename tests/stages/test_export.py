import json
from pathlib import Path

import pytest
from conftest import PROJECT

from ded_ray.errors import BadInput
from ded_ray.files.parts import read_records
from ded_ray.generate.engines.replay import read_completions
from ded_ray.recipe import ReplayEngine
from ded_ray.recipe.load import grade_config
from ded_ray.records import Group, examples_of
from ded_ray.run import Run
from ded_ray.stages.export import export_corpus
from ded_ray.stages.grade import grade_file

FINISHED = PROJECT / "tests" / "data" / "run_of_b0f4b0d"


def exported(form, tmp_path) -> tuple[Path, list[dict]]:
    path = tmp_path / f"{form}.jsonl"
    export_corpus(Run.open(FINISHED), path, form)
    return path, [json.loads(line) for line in path.read_text().splitlines()]


def test_every_example_is_a_line_with_its_weight_and_where_it_comes_from(tmp_path):
    run = Run.open(FINISHED)
    groups = list(read_records(run.folder / run.curated, Group))
    examples = [example for group in groups for example in examples_of(group)]
    _, rows = exported("messages", tmp_path)
    assert [(row["group_id"], row["index"], row["weight"]) for row in rows] == [
        (e.group_id, e.index, e.weight) for e in examples
    ]
    assert rows[0]["messages"] == [
        {"role": "user", "content": examples[0].prompt}, {"role": "assistant", "content": examples[0].completion}
    ]  # fmt: skip
    assert rows[0].keys() >= {"reward", "advantage", "problem_id", "teacher", "seed", "answer"}
    _, openai = exported("openai", tmp_path)
    assert [row["metadata"] for row in openai] == [{k: v for k, v in row.items() if k != "messages"} for row in rows]
    assert set(openai[0]) == {"messages", "metadata"}
    _, sharegpt = exported("sharegpt", tmp_path)
    assert sharegpt[0]["conversations"][1] == {"from": "gpt", "value": examples[0].completion}
    card = (tmp_path / "messages.md").read_text()
    assert f"{len(examples)} examples" in card
    assert "known (12)" in card


@pytest.mark.parametrize(("form", "name"), [("messages", "messages"), ("sharegpt", "conversations"), ("openai", "messages")])
def test_grade_and_replay_read_it_back(tmp_path, form, name):
    path, rows = exported(form, tmp_path)
    prefix = "metadata." if form == "openai" else ""
    config = grade_config(columns=f"prompt={name},completion={name},answer={prefix}answer")
    summary = grade_file(path, tmp_path / "out.parquet", config)
    assert summary.statuses == {"correct": len(rows)}
    engine = ReplayEngine(path=str(path), problem_id_column=f"{prefix}problem_id", completion_column=name)
    replayed = read_completions(engine)
    texts = [row[name][1]["value" if form == "sharegpt" else "content"] for row in rows]
    assert sorted(text for each in replayed.values() for text, _ in each) == sorted(texts)


def test_it_says_what_it_cannot_do(tmp_path):
    run = Run.open(FINISHED)
    for out, form, problem in ((tmp_path / "a.json", "messages", "must name a .jsonl file"),
                               (tmp_path / "no" / "a.jsonl", "messages", "in a folder that is there"),
                               (tmp_path / "a.jsonl", "alpaca", "write one of messages, sharegpt, openai")):  # fmt: skip
        with pytest.raises(BadInput, match=problem):
            export_corpus(run, out, form)
    assert list(tmp_path.iterdir()) == []
