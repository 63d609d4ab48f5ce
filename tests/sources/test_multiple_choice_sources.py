import json
from collections import Counter

import pytest
from conftest import shared

from ded_ray.curate.questions import choose_questions
from ded_ray.errors import BadInput
from ded_ray.files.values import as_answer, read_options
from ded_ray.recipe import FileProblems, Questions
from ded_ray.sources.multiple_choice import shuffled
from ded_ray.sources.problems import read_problems
from ded_ray.verify.code.cases import FunctionTests, parse_tests
from ded_ray.verify.multiple_choice import ChoiceVerifier


@pytest.mark.parametrize(
    ("published", "found"),
    [
        (["x", 2], (["x", "2"], ["A", "B"])),
        ({"text": ["x", "y"], "label": ["1", "2"]}, (["x", "y"], ["1", "2"])),
        ([{"text": "x", "label": "A"}, {"text": "y", "label": "B"}], (["x", "y"], ["A", "B"])),
        ([], None),
        ("A, B", None),
        ('["x", "y"]', (["x", "y"], ["A", "B"])),
        ({"text": ["x"], "label": ["A", "B"]}, None),
        (["x"] * 27, None),
    ],
)
def test_the_forms_of_data_sets(published, found):
    assert read_options(published) == found


@pytest.mark.parametrize(
    ("value", "options", "answer"),
    [
        (1, ["x", "y"], "B"), ("1", ["x", "y"], "B"), ("B", ["x", "y"], "B"), ("y", ["x", "y"], "y"),
        ("1", {"text": ["x", "y"], "label": ["1", "2"]}, "A"), (1, {"text": ["x", "y"], "label": ["1", "2"]}, "A"),
        ("2", ["2", "3"], "2"), (9, ["x", "y"], "9"),
    ],
)  # fmt: skip
def test_answers_as_letters(value, options, answer):
    assert as_answer(value, "choice", read_options(options)) == answer


def problems_of(rows, tmp_path, **config):
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_problems(FileProblems(path=str(tmp_path / "p.jsonl"), verifier="choice", **config))


OPEN_BOOK = {"question_stem": "The sun is", "choices": {"text": ["a star", "a dog"], "label": ["A", "B"]}, "answerKey": "A"}
ARC = {"question_stem": "The moon is", "choices": {"text": ["a star", "a moon"], "label": ["1", "2"]}, "answerKey": "2"}


def test_openbookqa_and_arc_as_published(tmp_path):
    config = {"prompt_column": "question_stem", "answer_column": "answerKey", "choices_column": "choices"}
    first, second = problems_of([OPEN_BOOK, ARC], tmp_path, **config)
    assert first.prompt == "The sun is\n\nA. a star\nB. a dog"
    assert (first.answer, second.answer, second.choices) == ("A", "B", ["a star", "a moon"])
    with pytest.raises(BadInput, match="row 1: `choices` is not a list of 1 to 26 options"):
        problems_of([OPEN_BOOK | {"choices": "none"}], tmp_path, **config)
    with pytest.raises(BadInput, match="the answer 'E' is neither a letter, an index nor a text of the options"):
        problems_of([OPEN_BOOK | {"answerKey": "E"}], tmp_path, **config)


def test_shuffling_moves_the_answer_along_and_favours_no_position():
    verifier, places = ChoiceVerifier(("boxed",)), Counter()
    for number in range(400):
        texts, answer = shuffled(["w", "x", "y", "z!"], "C", 1, str(number))
        assert texts["ABCD".index(answer)] == "y"
        assert verifier.verify(f"\\boxed{{{answer}}}", answer, texts).status == "correct"
        places[answer] += 1
    assert min(places.values()) > 60
    kept = ["x", "y", "none of the above"]
    assert all(shuffled(kept, "C", seed, "p") == (kept, "C") for seed in range(20))
    assert shuffled(["x", "y"], "y", 1, "p")[1] == "y"  # an answer that is a text stays one
    assert shuffled(["x", "y", "z"], "A", 1, "p") == shuffled(["x", "y", "z"], "A", 1, "p")


def test_mmlu_as_published_shuffled_and_not(tmp_path):
    path = str(shared("mmlu_stem_test.jsonl"))
    rows = [json.loads(line) for line in shared("mmlu_stem_test.jsonl").read_text().splitlines()][:300]
    for seed in (None, 3):
        source = FileProblems(path=path, prompt_column="question", choices_column="choices", verifier="choice", limit=300,
                              choices_seed=seed)  # fmt: skip
        for row, problem in zip(rows, read_problems(source), strict=True):
            right = problem.choices["ABCD".index(problem.answer)]
            assert right == str(row["choices"][row["answer"]])
            assert f"\n{problem.answer}. {right}" in problem.prompt


def test_humaneval_as_published():
    source = FileProblems(path=str(shared("humaneval.jsonl")), id_column="task_id", verifier="code")
    problems = read_problems(source)
    assert len(problems) == 164
    assert all(isinstance(parse_tests(problem.answer), FunctionTests) for problem in problems)


def test_rows_that_ask_the_same_are_told_apart_and_asked_once(tmp_path):
    rows = [{"prompt": "a?", "answer": "A", "choices": ["x", "y"]}] * 2 + [
        {"prompt": "a?", "answer": "A", "choices": ["z", "x"]}
    ]
    problems = problems_of(rows, tmp_path, choices_column="choices")
    chosen, _ = choose_questions(problems, {}, Questions())
    assert len({problem.problem_id for problem in chosen}) == 3
    assert [problem.dropped_because for problem in chosen] == [None, "duplicate_prompt", None]
