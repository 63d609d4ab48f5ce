import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import run_cli, shared
from typer.testing import CliRunner

from ded_ray.cli import app

COMMANDS = ["quickstart", "run", "grade", "serve", "evaluate", "report", "show"]


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_help_names_every_command():
    result = invoke("--help")
    assert result.exit_code == 0
    assert all(command in result.output for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 6


def bad(*arguments) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


RECIPE = "name: n\nproblems: {kind: file, path: p.jsonl}\nstudent: {model: tiny/student}\nteacher: {model: tiny/careful}\n"


def recipe(folder: Path, rows: list[dict], text: str = RECIPE) -> Path:
    (folder / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "r.yaml").write_text(text)
    return folder / "r.yaml"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "empty"),
        ([{"prompt": "a"}], "row 1: no column `answer`"),
        ([{"problem_id": "x", "prompt": p, "answer": 1} for p in "ab"], "duplicate problem id 'x'"),
        ([{"prompt": "a" * 3000, "answer": 1}], "over the context of tiny/student (2048); remove or shorten"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_exit_2_and_nothing_written(tmp_path, rows, says):
    line = bad("run", recipe(tmp_path, rows), "--out", tmp_path / "out")
    assert says in line
    assert str(tmp_path / "p.jsonl") in line
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_not_there(tmp_path):
    text = RECIPE.replace("tiny/student", str(tmp_path / "nowhere"))
    line = bad("run", recipe(tmp_path, [{"prompt": "a", "answer": 1}], text), "--out", tmp_path / "out")
    assert "student.model" in line
    assert "cannot be loaded" in line


def test_a_mistyped_knob_and_a_missing_recipe(tmp_path):
    assert "did you mean `epochs`" in bad("quickstart", "--out", tmp_path / "out", "--set", "train.epoch=3")
    assert "cannot be read" in bad("run", tmp_path / "no.yaml", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_commands_on_a_folder_that_is_no_run(tmp_path):
    for command in ("show", "report", "serve", "evaluate"):
        assert "not a run" in bad(command, tmp_path)


def test_dry_run_shows_the_plan_and_writes_nothing(tmp_path):
    result = invoke("quickstart", "--out", tmp_path / "out", "--dry-run")
    assert result.exit_code == 0
    assert "teacher answers" in result.output
    assert not (tmp_path / "out").exists()


ROWS = [
    {"id": 7, "prompt": "1+1?", "answer": 2, "completion": "\\boxed{2}", "note": "x"},
    {"id": 8, "prompt": "1+1?", "answer": 2, "completion": "\\boxed{3}", "note": None},
    {"id": 9, "prompt": "1+1?", "answer": 2, "completion": "two", "note": "z"},
]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_grade_adds_its_columns_and_carries_the_others(tmp_path, kind, ray_cluster):
    if kind == "jsonl":
        (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "in.parquet")
    result = run_cli("grade", tmp_path / f"in.{kind}", "--out", tmp_path / "out.parquet", address=ray_cluster)
    assert "3 rows" in result.stdout
    graded = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["status"] for row in graded] == ["correct", "wrong", "no_answer"]
    assert [row["reward"] for row in graded] == [1.0, 0.0, 0.0]
    assert [row["extracted"] for row in graded] == ["2", "3", None]
    assert [(row["id"], row["note"]) for row in graded] == [(7, "x"), (8, None), (9, "z")]
    assert all(row["seconds"] >= 0 for row in graded)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"in.{kind}", "out.parquet"]


def test_grade_refuses_what_it_cannot_use(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"prompt": "a", "answer": "b"}\n')
    assert "no column `completion`; there are: prompt, answer" in bad(
        "grade", tmp_path / "in.jsonl", "--out", tmp_path / "o.parquet"
    )
    (tmp_path / "in.jsonl").write_text('{"prompt": "a", "answer": "b", "completion": "c", "status": "d"}\n')
    assert "already has a column `status`" in bad("grade", tmp_path / "in.jsonl", "--out", tmp_path / "o.parquet")
    assert "must name a .parquet file" in bad("grade", tmp_path / "in.jsonl", "--out", tmp_path / "o.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


def test_grade_agrees_with_the_publisher_of_real_rollouts(tmp_path, ray_cluster):
    run_cli("grade", shared("gsm8k_rollouts.jsonl"), "--out", tmp_path / "out.parquet", address=ray_cluster)
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    given = [json.loads(line) for line in shared("gsm8k_rollouts.jsonl").read_text().splitlines()]
    assert [row["completion"] for row in rows] == [row["completion"] for row in given]
    assert sum((row["status"] == "correct") == row["is_correct"] for row in rows) / len(rows) >= 0.999


@pytest.mark.parametrize(
    ("verifier", "answer", "completions", "statuses"),
    [
        ("choice", "B", ["\\boxed{B}", "\\boxed{(a)}", "B"], ["correct", "wrong", "no_answer"]),
        (
            "code",
            {"inputs": ["2"], "outputs": ["4"]},
            ["print(int(input())*2)", "print(5)", ""],
            ["correct", "wrong", "no_answer"],
        ),
    ],
)
def test_grade_with_the_other_verifiers(tmp_path, ray_cluster, verifier, answer, completions, statuses):
    rows = [{"prompt": "?", "answer": answer, "completion": completion} for completion in completions]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out.parquet"
    run_cli("grade", tmp_path / "in.jsonl", "--out", out, "--verifier", verifier, address=ray_cluster)
    assert [row["status"] for row in pq.read_table(out).to_pylist()] == statuses


def test_grade_carries_columns_of_any_shape(tmp_path, ray_cluster):
    rows = [{"prompt": "?", "answer": 1, "completion": "\\boxed{1}", "n": i} for i in range(600)]
    rows[0] |= {"meta": {}, "late": None}
    rows[550] |= {"n": 0.5, "late": "x", "new": [1], "mixed": 1}
    rows[551] |= {"mixed": "a", "huge": 1 << 70, "broken": "\ud800"}
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run_cli("grade", tmp_path / "in.jsonl", "--out", tmp_path / "out.parquet", address=ray_cluster)
    graded = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["n"] for row in graded[549:552]] == [549, 0.5, 551]
    assert (graded[550]["late"], graded[550]["new"], graded[550]["mixed"], graded[551]["mixed"]) == ("x", [1], "1", "a")
    assert graded[0]["meta"] == "{}"
    assert graded[551]["huge"] == str(1 << 70)
    assert {row["status"] for row in graded} == {"correct"}
