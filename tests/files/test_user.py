import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ded_ray.errors import BadInput
from ded_ray.files.user import read_rows
from ded_ray.recipe import FileProblems
from ded_ray.sources.problems import read_problems


def bad(path, **config):
    with pytest.raises(BadInput) as error:
        read_problems(FileProblems(path=str(path), **config))
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    return str(error.value)


def test_missing_empty_and_unknown_files(tmp_path):
    assert "no such file" in bad(tmp_path / "p.jsonl")
    (tmp_path / "p.jsonl").write_text("")
    assert "empty" in bad(tmp_path / "p.jsonl")
    (tmp_path / "p.csv").write_text("a,b")
    assert "neither .jsonl nor .parquet" in bad(tmp_path / "p.csv")


def test_half_written_files(tmp_path):
    pq.write_table(pa.table({"prompt": ["a"] * 1000, "answer": ["b"] * 1000}), tmp_path / "whole.parquet")
    (tmp_path / "half.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:-20])
    assert "was its writing cut off?" in bad(tmp_path / "half.parquet")
    (tmp_path / "half.jsonl").write_text('{"prompt": "a", "answer": "b"}\n{"prompt": "c", "ans')
    assert "line 2: not JSON" in bad(tmp_path / "half.jsonl")


def test_missing_columns_name_those_that_are_there(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"question": "a", "answer": "b"}\n')
    assert "row 1: no column `prompt`; set problems.prompt_column to one of: question, answer" in bad(tmp_path / "p.jsonl")
    (tmp_path / "p.jsonl").write_text('{"prompt": "a", "answer": null}\n')
    assert "null in column `answer`" in bad(tmp_path / "p.jsonl")
    (tmp_path / "p.jsonl").write_text('{"prompt": "  ", "answer": "1"}\n')
    assert "empty `prompt`" in bad(tmp_path / "p.jsonl")


def test_duplicate_ids(tmp_path):
    rows = '{"problem_id": "x", "prompt": "a", "answer": "1"}\n{"problem_id": "x", "prompt": "b", "answer": "1"}\n'
    (tmp_path / "p.jsonl").write_text(rows)
    assert "row 2: duplicate problem id 'x'" in bad(tmp_path / "p.jsonl")
    assert "another prompt or answer" in bad(tmp_path / "p.jsonl", one_row_per="rollout")


def test_a_file_of_rollouts_folds_into_problems(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"problem_id": "x", "prompt": "a", "answer": 1}\n' * 3)
    [problem] = read_problems(FileProblems(path=str(tmp_path / "p.jsonl"), one_row_per="rollout"))
    assert (problem.problem_id, problem.answer) == ("x", "1")


def test_answers_after_a_mark_and_limits(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"prompt": "a", "answer": "so\\n#### 18"}\n{"prompt": "b", "answer": "no mark"}\n')
    [problem] = read_problems(FileProblems(path=str(tmp_path / "p.jsonl"), answer_after="####", limit=1))
    assert problem.answer == "18"
    assert "row 2: no '####'" in bad(tmp_path / "p.jsonl", answer_after="####")


def test_parquet_and_jsonl_give_the_same_rows(tmp_path):
    rows = [{"prompt": f"p{i}", "answer": str(i), "choices": ["x", "y"]} for i in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    assert [row for _, row in read_rows(tmp_path / "p.parquet")] == rows
