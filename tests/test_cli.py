import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import run_cli
from typer.testing import CliRunner

from ded_ray.cli import app

COMMANDS = ["quickstart", "run", "grade", "export", "serve", "evaluate", "report", "show", "plan"]


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


def test_a_judge_that_is_not_there(tmp_path):
    text = f"{RECIPE}verify: {{judge: {{model: {tmp_path / 'nowhere'}}}}}\n"
    line = bad("run", recipe(tmp_path, [{"prompt": "a", "answer": 1}], text), "--out", tmp_path / "out")
    assert line.startswith(f"ded-ray: verify.judge.model: '{tmp_path / 'nowhere'}' cannot be loaded")
    assert not (tmp_path / "out").exists()


def test_a_cluster_that_is_not_there_is_one_line(tmp_path):
    told = run_cli("quickstart", "--out", tmp_path / "run", address="127.0.0.1:9", check=False)
    assert told.returncode == 1
    assert "RAY_ADDRESS=127.0.0.1:9: no Ray answers there" in told.stderr
    assert "Traceback" not in told.stderr


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


def test_grade_as_a_command(tmp_path):
    rows = [
        {"id": 7, "prompt": "1+1?", "answer": 2, "completion": "\\boxed{2}", "ok": True},
        {"id": 8, "prompt": "1+1?", "answer": 2, "completion": "The answer is 3.", "ok": 1},
        {"id": 9, "prompt": "1+1?", "answer": 2, "completion": "two", "ok": "false"},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run_cli("grade", tmp_path / "in.jsonl", "--out", tmp_path / "out.parquet", "--label", "ok",
                     "--set", "verify.answer_forms=[boxed, phrase]", "--set", "rewards.format={weight: 0.5}",
                     "--rows")  # fmt: skip
    assert "row 2: wrong, found '3', answer '2'" in result.stdout
    assert "3 rows" in result.stdout
    assert "agrees with the label on 2 of 3 checked rows (66.67%)" in result.stdout
    assert "slowest: row " in result.stdout
    graded = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["status"] for row in graded] == ["correct", "wrong", "no_answer"]
    assert [row["reward"] for row in graded] == [1.5, 0.0, 0.0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.parquet"]


def test_grade_refuses_what_it_cannot_use(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"prompt": "a", "answer": "b"}\n')
    assert "no column `completion`; there are: prompt, answer" in bad(
        "grade", tmp_path / "in.jsonl", "--out", tmp_path / "o.parquet"
    )
    (tmp_path / "in.jsonl").write_text('{"prompt": "a", "answer": "b", "completion": "c"}\n')
    assert "must name a .parquet file" in bad("grade", tmp_path / "in.jsonl", "--out", tmp_path / "o.csv")
    row = {"prompt": "a", "answer": "b", "completion": "c", "ok": "perhaps"}
    (tmp_path / "in.jsonl").write_text(json.dumps(row) + "\n")
    command = ("grade", tmp_path / "in.jsonl", "--out", tmp_path / "o.parquet")
    assert "column `ok` holds 'perhaps'; --label needs true and false" in bad(*command, "--label", "ok")
    assert "no column `okay`; set --label to one of: prompt" in bad(*command, "--label", "okay")
    assert "verify.timeout: unknown knob; did you mean `timeout_seconds`?" in bad(*command, "--set", "verify.timeout=1")
    assert "no column `num_tokens`" in bad(*command, "--set", "rewards.length.weight=1")
    (tmp_path / "in.jsonl").write_text(json.dumps(row | {"num_tokens": 0.5}) + "\n")
    assert "column `num_tokens` holds 0.5" in bad(*command, "--set", "rewards.length.weight=1")
    nowhere = ("grade", tmp_path / "in.jsonl", "--out", tmp_path / "none" / "o.parquet")
    assert "there is no folder" in bad(*nowhere, "--set", "verify.judge.model=tiny/student")
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]
