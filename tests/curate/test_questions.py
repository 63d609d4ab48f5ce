# ruff: noqa: RUF001 (signs that look like others are what is tested)
"""Which questions are asked: duplicates, near duplicates, and what a benchmark gives away."""

import json
import time
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


SAME = [
    ("What is\n  X + 1?", "what is x+1"),
    (r"Compute $\dfrac{1}{2} - 3$.", r"compute \frac12-3"),
    (r"Let \(a \le b\), then?", r"Let $a \le b$ then"),
    ("“Quoted”", "'quoted'"),
    ("«Quoted»", '"quoted"'),
    ("Don’t stop", "don't stop"),
    (r"Find $6 \times 9$", "Find 6×9"),
    (r"Find $6 \cdot 9$", "find 6 · 9"),
    ("find 6 ⋅ 9", "find 6*9"),
    ("find 6 x 9", "find 6 × 9"),
    ("is 12 ÷ 4 = 3", r"is $12 \div 4=3$"),
    ("add ６ and ９", "add 6 and 9"),
    ("（６＋９）", "(6 + 9)"),
    ("a\N{ZERO WIDTH SPACE}pple t\N{SOFT HYPHEN}ree\N{ZERO WIDTH NO-BREAK SPACE}", "apple tree"),
    ("\N{RIGHT-TO-LEFT MARK}apple\N{LEFT-TO-RIGHT ISOLATE} tree\N{POP DIRECTIONAL ISOLATE}", "apple tree"),
    ("wo\N{WORD JOINER}rd\N{VARIATION SELECTOR-16}", "word"),
    ("an\N{NO-BREAK SPACE}apple\N{NARROW NO-BREAK SPACE}tree\N{IDEOGRAPHIC SPACE}here", "an apple tree here"),
    ("an apple&nbsp;tree &lt; 3", "an apple tree<3"),
    ("Figure~3", "figure 3"),
    ("ﬁve oﬃces", "five offices"),
    ("𝑥 + 𝟐", "x+2"),
    ("well\N{NON-BREAKING HYPHEN}known", "well-known"),
    ("one — two", "one -- two"),
    ("5 – 3", r"$5 - 3$"),
    ("wait…", "wait..."),
    (r"\frac{3}{4}", "¾"),
    (r"\tfrac34", "3/4"),
    (r"2\frac{1}{2}", "2½"),
    (r"\frac{x+1}{2}", "(x + 1)/2"),
    (r"\frac{\sqrt{2}}{3}", "√2/3"),
    (r"\frac{\frac{a}{b}}{c}", "(a/b)/c"),
    (r"x^{2}", "x²"),
    (r"x^{10}", "x¹⁰"),
    (r"x^{-1}", "x⁻¹"),
    (r"x_{1} + x_2", "x₁+x₂"),
    (r"\left( x + 1 \right)", "(x+1)"),
    (r"\left[0, 1\right)", "[0,1)"),
    (r"$(3, 4)$", "(3,4)"),
    (r"\sqrt{x+1}", "√(x+1)"),
    (r"90^\circ", "90°"),
    (r"90^{\circ}", "90 °".replace(" ", "")),
    (r"\alpha + \beta", "α + β"),
    (r"\pi r^2", "π r²"),
    (r"2 \pi r", "2πr"),
    (r"x \leq 5", "x <= 5"),
    (r"x \ge 5", "x ≥ 5"),
    (r"x \neq y", "x≠y"),
    (r"5\,\text{cm}", "5 cm"),
    (r"5 \mathrm{~cm}", "5cm"),
    (r"\text{Two words} here", "two words here"),
    (r"\mathbf{v}", "v"),
    (r"10\,000", "10,000"),
    ("10{,}000", "10000"),
    (r"20\%", "20%"),
    (r"It costs \$5", "it costs $5"),
    (r"\{1, 2\}", r"\lbrace 1,2 \rbrace"),
    ("**Find** it", "find it"),
    ("__Find__ it", "find it"),
    (r"so\[x = 1\]holds", "so $$x=1$$ holds".replace("$$", " ")),
    (r"x = 1,\; y = 2", "x=1, y=2"),
    ("0.5", ".5"),
]

DIFFERENT = [
    ("7+5*3", "7*5+3"), ("x-1", "x1"), ("x-1", "x+1"), ("2^3", "23"), ("2³", "23"), ("2³", "2*3"), ("2^3", "2*3"),
    ("x₁", "x1"),
    ("x_1", "x^1"), (r"\frac{1}{12}", r"\frac{11}{2}"), (r"\frac{x+1}{2}", r"x+\frac{1}{2}"), ("2½", "21/2"),
    (r"2\frac{1}{2}", r"\frac{21}{2}"), (r"\frac{2}{3}x", r"\frac{2}{3x}"), (r"\frac{a}{b}c", r"\frac{a}{bc}"),
    (r"2^{3}4", r"2^{34}"), (r"x^{n+1}", r"x^n+1"), (r"x^{2n}", r"x^2n"), (r"\sqrt{x+1}", r"\sqrt{x}+1"),
    (r"\sqrt{23}", r"\sqrt{2}3"),
    ("(1,2]", "[1,2)"), ("(0, 1)", "[0, 1]"), (".5", "5"), ("0.5", "5"), ("1.5", "15"), ("$5!$", "$5$"), ("5%", "5"),
    ("-5", "5"),
    ("u × v", "u · v"), (r"\mathbf{u} \times \mathbf{v}", r"\mathbf{u} \cdot \mathbf{v}"), (r"x \le 5", r"x < 5"),
    (r"x \le 5", r"x \ge 5"), ("x = 5", "x ≠ 5"), (r"a \cup b", r"a \cap b"), (r"\alpha", r"\beta"), ("x--1", "x-1"),
    ("5--3", "5-3"),
    ("1,000", "1.000"), ("(1,200)", "1200"), ("1, 2", "12"), (r"\{1,2\}", "(1,2)"), ("2**3", "2*3"), ("2*3", "23"),
    ("7 8", "7*8"),
    ("7/8", "7*8"), ("7 × 8", "7 + 8"), ("a|b", "ab"), ("f(x)", "fx"), ("90°", "90"), ("x'", "y'"), ("3x", "3*x"),
    ("log_2 8", "log 28"),
    (r"\sin x", r"\cos x"), (r"\sum x", r"\prod x"), ("a<b", "a>b"), ("1/2", "1-2"), ("1:2", "12"), ("½", "¼"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "same"), SAME)
def test_the_same_in_other_signs_is_the_same(text, same):
    assert words(text) == words(same) != ()


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_formulas_that_differ_stay_different(one, other):
    assert words(one) != words(other)
    assert words(f"What is ${one}$?") != words(f"What is ${other}$?")


def test_a_question_in_other_signs_is_dropped():
    asked = r"What is the value of $\frac{3}{4} \times 12 - x^{2}$ when “$x$” is $-2$?"
    signs = (
        "What is the value of ¾\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}１２ \N{MINUS SIGN} x² when «x» "
        "is \N{MINUS SIGN}2\N{ZERO WIDTH SPACE}?"
    )
    assert reasons([signs], [asked])[0] == ["in_benchmark"]
    assert reasons([asked, signs], [])[0] == [None, "duplicate_prompt"]
    assert reasons([f"Think. {signs} Answer with one number."], [asked])[0] == ["near_benchmark"]
    assert reasons([asked.replace("12", "13")], [asked])[0] == [None]


def test_words_are_found_in_time_that_grows_with_the_text():
    started = time.perf_counter()
    for junk in ("{", "}", "{a}", "\\frac{", "\\frac{1}{2}", "\\text{", "1,000,", "!", "! ", "*", "-", "\u200b", "²",
                 "( ", "$ ", "&",
                 "\\", "^", "x^{", "½", "😀", "\ufdfa", "α ", "1 x ", ". "):  # fmt: skip
        words(junk * (300_000 // len(junk)))
    words("{" * 9 + "x" * 300_000)
    assert time.perf_counter() - started < 30


def test_the_case_of_a_public_report_keeps_only_its_clean_question():
    def read(name):
        return [json.loads(line) for line in shared(f"../cases/{name}").read_text().splitlines()]

    benchmark = [row["prompt"] for row in read("f29_decontamination_bench.jsonl")]
    rows = read("f29_decontamination_problems.jsonl")
    found, _ = reasons([row["prompt"] for row in rows], benchmark)
    assert [row["problem_id"] for row, reason in zip(rows, found, strict=True) if reason is None] == ["clean"]


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


@pytest.mark.slow
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


@pytest.mark.slow
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
