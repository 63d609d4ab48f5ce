"""Every known benchmark reads rows of its published shape, and asks them as its file says."""

import json

import pytest
from conftest import shared

from ded_ray.errors import BadInput
from ded_ray.evaluate.benchmarks import NAMES, benchmark
from ded_ray.recipe import BenchmarkProblems, FileProblems
from ded_ray.sources.problems import read_problems

ROWS = {
    "gsm8k": {"question": "What do 3 pens cost?", "answer": "3 * 2 = <<3*2=6>>6\n#### 6"},
    "math500": {"problem": "$2^3$?", "solution": "...", "answer": "8", "subject": "Algebra", "level": 1, "unique_id": "t/0"},
    "aime24": {"id": 60, "problem": "Find n.", "answer": "033"},
    "aime25": {"id": "0", "problem": "Find n.", "answer": "33"},
    "amc23": {"id": 0, "question": "How many?", "answer": 27.0, "url": "https://x"},
    "mmlu_stem": {"question": "A base?", "type": "chemistry", "choices": ["HCl", "NaOH", "NaCl", "CO2"], "answer": 1},
    "gpqa": {"Question": "Which?", "Correct Answer": "a", "Incorrect Answer 1": "b", "Incorrect Answer 2": "c",
             "Incorrect Answer 3": "d"},
    "humaneval": {"task_id": "H/0", "prompt": "def f(n):\n", "entry_point": "f", "canonical_solution": "",
                  "test": "def check(candidate):\n    assert candidate(2) == 4\n"},
    "livecodebench": {"question_id": "a", "question_content": "Read n; print 2n.", "contest_date": "2025-02-01T00:00:00",
                      "public_test_cases": json.dumps([{"input": "2", "output": "4", "testtype": "stdin"}]),
                      "metadata": "{}"},
}  # fmt: skip
ANSWERS = {"gsm8k": "6", "math500": "8", "aime24": "033", "aime25": "33", "amc23": "27.0", "mmlu_stem": "B"}


def read(name: str, tmp_path, *rows: dict, **knobs) -> list:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_problems(BenchmarkProblems(name=name, path=str(path), **knobs))


def test_every_benchmark_has_a_row_here():
    assert set(ROWS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_of_its_shape_becomes_a_problem(name, tmp_path):
    module = benchmark(name)
    [problem] = read(name, tmp_path, ROWS[name])
    assert problem.prompt.endswith(module.PROBLEMS["instruction"])
    assert problem.verifier == module.PROBLEMS["verifier"]
    assert problem.answer == ANSWERS.get(name, problem.answer)
    assert problem.dropped_because is None
    assert module.NUM_SAMPLES >= 1
    assert "huggingface.co/datasets/" in module.__doc__ and "{" in module.__doc__, "address, and a row's shape"
    FileProblems.model_validate(module.PROBLEMS)


def test_gpqa_shuffles_its_options_the_same_way_every_time(tmp_path):
    rows = [{**ROWS["gpqa"], "Question": f"Which is {i}?"} for i in range(40)]
    problems = read("gpqa", tmp_path, *rows)
    assert {problem.answer for problem in problems} == {"A", "B", "C", "D"}
    assert all(problem.choices["ABCD".index(problem.answer)] == "a" for problem in problems)
    assert problems == read("gpqa", tmp_path, *rows)


def test_a_window_of_dates(tmp_path):
    rows = [{**ROWS["livecodebench"], "question_id": date, "contest_date": f"{date}T10:00:00"}
            for date in ("2024-12-31", "2025-01-01", "2025-06-30", "2025-07-01")]  # fmt: skip
    assert [p.problem_id for p in read("livecodebench", tmp_path, *rows)] == ["2025-01-01", "2025-06-30", "2025-07-01"]
    window = {"since": "2024-01-01", "until": "2025-07-01"}
    assert [p.problem_id for p in read("livecodebench", tmp_path, *rows, **window)] == [
        "2024-12-31",
        "2025-01-01",
        "2025-06-30",
    ]
    assert len(read("livecodebench", tmp_path, *rows, since="2024-01-01", limit=2)) == 2


def test_an_unknown_name_is_one_line():
    with pytest.raises(BadInput, match="no benchmark 'gsm9k'; there are aime24"):
        read_problems(BenchmarkProblems(name="gsm9k"))


@pytest.mark.parametrize(("name", "file", "size"), [
    ("gsm8k", "gsm8k_test.jsonl", 1319), ("math500", "math500_test.jsonl", 500), ("aime24", "aime24_test.jsonl", 30),
    ("aime25", "aime25_test.jsonl", 30), ("amc23", "amc23_test.jsonl", 40), ("mmlu_stem", "mmlu_stem_test.jsonl", 3018),
    ("humaneval", "humaneval.jsonl", 164),
])  # fmt: skip
def test_the_published_rows_are_read(name, file, size):
    assert len(read_problems(BenchmarkProblems(name=name, path=str(shared(file))))) == size
