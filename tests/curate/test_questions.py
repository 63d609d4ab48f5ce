"""Which questions are asked: duplicates, near duplicates, and what a benchmark gives away."""

import json
from collections import Counter

import pytest
from conftest import shared

from ded_ray.curate import contamination, duplicates
from ded_ray.curate.questions import choose_questions
from ded_ray.curate.words import runs, words
from ded_ray.recipe import Questions
from ded_ray.records import Problem

LONG = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many in all?"


def problems(*prompts):
    return [Problem(problem_id=f"p{i}", prompt=prompt, answer="") for i, prompt in enumerate(prompts)]


def reasons(asked, benchmark, **config):
    chosen, hits = choose_questions(problems(*asked), {"held": problems(*benchmark)}, Questions(**config))
    return [problem.dropped_because for problem in chosen], hits


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("What is\n  X + 1?", "what is x+1"),
        (r"Compute $\dfrac{1}{2} - 3$.", r"compute \frac12-3"),
        (r"Let \(a \le b\), then?", r"Let $a \le b$ then"),
        ("“Quoted”", "“quoted”"),
    ],
)
def test_what_is_not_compared(text, same):
    assert words(text) == words(same)


def test_formulas_that_differ_stay_different():
    assert words("7+5*3") != words("7*5+3")
    assert words("x-1") != words("x1")


@pytest.mark.parametrize(("case", "reason"), duplicates.CASES)
def test_a_question_is_asked_once(case, reason):
    earlier, later, threshold = case
    assert reasons([earlier, later], [], near_duplicate=threshold)[0] == [None, reason]


@pytest.mark.parametrize(("case", "reason"), contamination.CASES)
def test_what_a_benchmark_gives_away(case, reason):
    question, benchmark, ngram = case
    assert reasons([question], [benchmark], ngram=ngram)[0] == [reason]


def test_what_a_benchmark_asks_is_not_asked_and_says_which_words_gave_it_away():
    part = "Yesterday Natalia sold clips to 48 of her friends in April, and then she went home. Why?"
    found, hits = reasons([LONG.lower(), part, "Something else"], ["Other?", LONG])
    assert found == ["in_benchmark", "near_benchmark", None]
    assert [(hit.problem_id, hit.benchmark, hit.benchmark_problem_id) for hit in hits] == [
        ("p0", "held", "p1"), ("p1", "held", "p1")
    ]  # fmt: skip
    assert hits[1].match == "natalia sold clips to 48 of her friends in april and then she"
    assert reasons([part], [LONG], ngram=14)[0] == [None]
    assert reasons([part], [LONG], ngram=None)[0] == [None]


def test_a_benchmarks_question_that_is_shorter_than_a_run_is_looked_for_as_a_whole():
    wrapped = "Think well. What is the square\nroot of 144? Answer in one word."
    found, [hit] = reasons([wrapped], ["What is the square root of 144?"])
    assert found == ["near_benchmark"]
    assert hit.match == "what is the square root of 144"


def test_real_training_questions_that_share_their_words_with_the_test_questions():
    def read(name):
        rows = [json.loads(line) for line in shared(name).read_text().strip().split("\n")]
        return [Problem(problem_id=f"{name}-{i}", prompt=row["question"], answer="") for i, row in enumerate(rows)]

    train = read("gsm8k_train.jsonl")
    _, hits = choose_questions(train, {"gsm8k": read("gsm8k_test.jsonl")}, Questions())
    assert 0 < len(hits) < 20
    for hit in hits:
        assert 4 <= len(hit.match.split()) <= 13
        [problem] = [p for p in train if p.problem_id == hit.problem_id]
        assert hit.match in " ".join(words(problem.prompt))


def test_what_many_questions_say_alike_gives_none_away():
    ending = "where m and n are relatively prime positive integers and what you have to find is m+n"
    benchmark = f"The area of the first triangle is m/n, {ending}"
    asked = [f"The side of polygon {i} is m/n, {ending}" for i in range(11)]
    assert reasons(asked[:10], [benchmark], near_duplicate=None)[0] == ["near_benchmark"] * 10
    assert reasons(asked, [benchmark], near_duplicate=None)[0] == [None] * 11
    given = "It is known that the area of the first triangle is m/n, where m and n are relatively prime: find m+n."
    longer = [*asked, given]
    assert reasons(longer, [benchmark], near_duplicate=None)[0] == [None] * 11 + ["near_benchmark"], "by other words"
    assert reasons([*asked, benchmark], [benchmark], near_duplicate=None)[0][-1] == "in_benchmark"


def test_texts_without_spaces_are_compared_by_their_characters():
    question = "小明有三个苹果\uff0c又买了五个苹果\uff0c他现在一共有几个苹果\uff1f"
    assert reasons([f"请仔细想一想。{question}只写答案。"], [question])[0] == ["near_benchmark"]
    assert reasons([question, question.rstrip("\uff1f")], [])[0] == [None, "duplicate_prompt"]
    assert words("5 \N{MINUS SIGN} 3") == words("5-3")
    assert words("caf\u0065\u0301") == words("caf\u00e9")


def test_real_questions_that_are_asked_twice_or_nearly_so():
    def asked(name, column, **config):
        rows = [json.loads(line) for line in shared(name).read_text().strip().split("\n")]
        found, _ = choose_questions(problems(*[row[column] for row in rows]), {}, Questions(**config))
        return found, Counter(problem.dropped_because for problem in found)

    _, counts = asked("mmlu_stem_test.jsonl", "question")  # without its choices, which often make the difference
    assert 0 < counts["duplicate_prompt"] < 100
    assert asked("gsm8k_train.jsonl", "question", near_duplicate=None)[1] == {None: 7473}
    found, counts = asked("gsm8k_train.jsonl", "question", near_duplicate=0.5)
    assert 0 < counts["near_duplicate"] < 200
    for problem in [problem for problem in found if problem.dropped_because][:20]:
        said = set(runs(words(problem.prompt), 5))
        kept = (set(runs(words(other.prompt), 5)) for other in found if other.dropped_because is None)
        assert max(len(said & other) / len(said | other) for other in kept) >= 0.5, "its like was kept"
