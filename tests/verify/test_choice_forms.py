"""Multiple choice as models write it: every form once as an answer and once as none."""

import json
import time

import pytest
from conftest import shared

from ded_ray.verify.multiple_choice import ChoiceVerifier, choice_index

GASES = ["helium", "argon", "carbon dioxide", "neon"]

MEANS_C = [
    r"C - carbon dioxide", "C \u2013 carbon dioxide", "C — carbon dioxide", "C: carbon dioxide", "C, carbon dioxide",
    "C. carbon dioxide", "C) carbon dioxide", "(C) carbon dioxide", "[C] carbon dioxide", "(C): carbon dioxide",
    "(C) - carbon dioxide", "C.) carbon dioxide", "C (carbon dioxide)", "C carbon dioxide", "(C)carbon dioxide",
    r"\textbf{C}. \text{carbon dioxide}", r"\text{C) }carbon dioxide", r"\text{C. carbon dioxide}", r"\mathbf{(C)}",
    r"\textbf{(C) } \text{carbon dioxide}", r"\textbf{(C)}\ \text{Carbon dioxide.}", r"\mathrm{C.}\;\text{carbon dioxide}",
    r"(\text{C})", r"\left(C\right)", r"{\bf C}", r"\bf C", r"\boldsymbol{C}", r"\text{\textbf{C}}", r"\boxed{C}", "{C}",
    "**C**", "**C. carbon dioxide**", "*C*", "__C__", "_C_", "**C.** carbon dioxide", "**C**. carbon dioxide", "`C`", "$C$",
    "**C", "C**", "<b>C</b>", "C</answer>", "C<|im_end|>", '"C"', "“C”", "'C'", "c", "(c)", "c)", "c. carbon dioxide",
    "\uff23", "\uff08C\uff09",
    "\U0001d402", "Ⓒ", "C\u200b", "C。", "C、carbon dioxide", "C\N{NO-BREAK SPACE}- carbon dioxide",
    "C.", "C!", "C,",
    "Option C", "option (C)", "choice C", "answer choice C", "Answer: C", "the correct answer is option C",
    "The best answer is: (C)", "most likely C", "therefore (C)", "letter C", "OPTION C", "option C: carbon dioxide",
    "option C, a heavy gas", "C, a heavy gas", "C (a heavy gas)", "option C - the heavy one", "C is correct",
    "C is the correct answer", "Option C is correct.", "(C) is the best choice", "C is correct because it is heavy",
    "C because it is heavy", "C, since A and B are noble gases", "C, which sinks", "C, as it sinks", "C. Because it sinks",
    "C. It is heavier than air", "(C) the one that sinks", "C. carbon dioxide, the gas that sinks",
    "C) carbon dioxide (it sinks)", "C: carbon dioxide because it sinks", "C - carbon dioxide, which sinks",
    "carbon dioxide", "Carbon Dioxide.", "CARBON DIOXIDE", r"\text{carbon dioxide}", r"\text{carbon}\ \text{dioxide}",
    "carbon dioxide (C)", r"\text{carbon dioxide (C)}", "carbon dioxide, (C)", "carbon dioxide (option C)",
    "carbon dioxide [C].", "C. A gas that sinks",
]  # fmt: skip

MEANS_NOTHING = [
    "A or B", "A and B", "A, B", "A/B", "A & B", "A B", "AB", "A; B", "B, C", "C - D", "A\u2013C", "b, c", "b) c",
    "(a), (b)",
    "(A)(B)", "both A and B", "either A or C", "neither A nor B", "C or D", "C or neon", "C. carbon dioxide or neon",
    "C. carbon dioxide and D. neon", "C. carbon dioxide and neon", "(C) or (D)", "option C or D", "Option C, or option D",
    "A, C and D", "not C", "not (C)", "no C", "definitely not C", "C is wrong", "C is incorrect", "C is not correct",
    "C, not D", "C. No, D", "C isn't right", "C cannot be excluded", "A gas", "A gas that sinks", "A heavy gas is meant",
    "a gas", "I think it sinks", "A gas, because it sinks", "A. neon", "C - neon", "(C) neon", "C: argon", "C, helium",
    "C (neon)", "C neon", "neon (C)", "C. neon, the light one", "C. It is neon", "**C. neon**", r"\textbf{C}. \text{neon}",
    "E", "(E)", "E. carbon dioxide", "Z", "C_1", "C^2", "C = 3", "C - 3", "C - x", "C + D", "C/2", "c = 3", "a - x", "C(x)",
    "C - sin x", "3C", "CO_2", r"\Delta C", r"\frac{C}{D}", r"\mathcal{C}", r"\{C\}", r"C\cdot V", "C's", "C V", "C: 3",
    "C, 3", r"\langle C \rangle", "", " ", "()", "(", "**", "nitrogen", "none of these", "?", "C?", "all of the above",
    "C" * 3000,
    "carbon", "dioxide (C)", "the answer", "option", "A. B. C. D.", "(A), (B), (C), (D)", "D. C", "C D", "C, A heavy D",
    "It is C or D", "A is wrong",
]  # fmt: skip


@pytest.mark.parametrize("answer", MEANS_C)
def test_what_names_the_third_option(answer):
    assert choice_index(answer, GASES) == 2


@pytest.mark.parametrize("answer", MEANS_NOTHING)
def test_what_names_no_option(answer):
    assert choice_index(answer, GASES) is None


@pytest.mark.parametrize(
    ("answer", "index"),
    [("A man walks", None), ("B. the Moon", 1), ("B - the Moon", 1),
     ("B - x", None), ("(B) the Moon", 1), ("option B, a safe choice", 1),
     ("B, obviously", 1), ("A or B", None), ("B. A or C", None), ("B. the Moon or Mars", None), ("b", 1), ("J", 9),
     ("C: x", None), ("(a, b)", None), ("f(x)", None), ("B because it is not C", 1)],
)  # fmt: skip
def test_letters_of_options_that_are_not_known(answer, index):
    assert choice_index(answer, []) == index


@pytest.mark.parametrize(
    ("answer", "options", "index"),
    [
        ("v", ["1.41v", "v", "2v"], 1),  # no letter of theirs
        ("c", ["2c", "c", "0.8c"], None),  # the third letter, and the second option's text
        ("b", ["a", "b", "c"], 1),
        ("A+", ["A-", "A+", "AB"], 1),
        ("A-", ["A+", "A-", "AB"], 1),
        ("B. A-", ["A+", "A-", "AB"], 1),
        ("A. A-", ["A+", "A-", "AB"], None),
        ("A and B", ["x", "y", "A and B"], 2),
        ("C. A and B", ["x", "y", "A and B"], 2),
        ("(C) both A and B", ["x", "y", "both A and B"], 2),
        ("C. A and B, not only A", ["x", "y", "A and B"], None),
        ("B. 2", ["2.5", "2", "20"], 1),
        ("B. 2.5", ["2.5", "2", "20"], None),
        ("A. 2.5", ["2.5", "2", "20"], 0),
        ("B - 2", ["2.5", "2", "20"], 1),
        ("23", ["2*3", "23"], 1),
        ("2*3", ["2*3", "23"], 0),
        ("x^2", ["x2", "x^2"], 1),
        ("x²", ["x2", "x^2"], None),
        ("$x^*$", ["$x$", "$x^*$"], 1),
        ("B) F=ma", ["F = mv", "F = ma"], 1),
        ("F = m a", ["F = mv", "F = ma"], None),
        (r"B. $\dfrac{1}{2}$", [r"$\frac13$", r"$\frac{1}{2}$"], 1),
        (r"\frac{1}{2}", [r"$\frac13$", r"$\tfrac{1}{2}$"], 1),
        (r"5\,\text{m/s}", ["4 m/s", "5 m/s"], 1),
        ("D. no change", ["rises", "falls", "no", "no change"], 3),
        ("C. no", ["rises", "falls", "no", "no change"], 2),
        ("C. no change", ["rises", "falls", "no", "no change"], None),
        ("bb", ["BB", "Bb"], None),
        ("Bb", ["BB", "Bb"], 1),
        ("A dog", ["dog", "cat"], 0),
        ("A dog", ["cat", "a dog"], 1),
        ("A cat", ["dog", "cat"], None),
        ("Vitamin C", ["Vitamin A", "Vitamin B", "Vitamin D", "Vitamin C"], 3),
        ("C. Vitamin C", ["Vitamin A", "Vitamin B", "Vitamin D", "Vitamin C"], None),
        ("D. Vitamin C", ["Vitamin A", "Vitamin B", "Vitamin D", "Vitamin C"], 3),
        ("B. BB BB", ["BB BB", "BB Bb"], None),  # only their case tells them apart
        ("B. BB Bb", ["BB BB", "BB Bb"], 1),
        ("B. 7 N", ["7 N", "7 N"], 1),
        ("B. -1", ["1", "-1"], 1),
        ("B - -1", ["1", "-1"], 1),
        ("A - 1", ["1", "-1"], 0),
        ("B - 1", ["1", "-1"], None),
        ("A - (1, 1)", ["(1, 1)", "(3, 1)"], 0),
        ("B ((3, 1))", ["(1, 1)", "(3, 1)"], 1),
        ("B. {1, 2}", ["{1}", "{1, 2}"], 1),
        ("B. Because it is hot", ["Because it is cold", "Because it is hot"], 1),
        ("B. Because it is cold", ["Because it is cold", "Because it is hot"], None),
        ("B - self-made", ["home-made", "self-made"], 1),
        ("J", list("qrstuvwxyz"), 9),
        ("I", list("qrstuvwxyz"), 8),
    ],
)
def test_letters_and_texts_that_look_alike(answer, options, index):
    assert choice_index(answer, options) == index


def status(completion, reference="C", forms=("boxed", "phrase"), options=GASES):
    return ChoiceVerifier(forms).verify(completion, reference, options).status


@pytest.mark.parametrize(
    "completion",
    [
        r"So $\boxed{\rho > 1}$ must hold." + "\n\n**Answer: C**",
        r"It is \boxed{1.98}, heavier than air. The answer is (C).",
        r"\boxed{m = \rho V}" + "\n\nThe correct answer is therefore **(C) carbon dioxide**.",
        r"\boxed{A, B} are noble. Final answer: C. carbon dioxide",
        "Answer: **C**", "**Answer:**\n\n**C**", "Answer: C. This follows from its mass.",
        "The answer is C. A is too light.",
        "The answer is C. Argon, though, is close.", "The answer is option C, a heavy gas.", "Answer: $C$", "ANSWER: C",
        r"The answer is $\boxed{\textbf{C}. \text{carbon dioxide}}$.", "The answer is C: carbon dioxide.",
        "The answer is **C. carbon dioxide**.", "<think>maybe D</think>The answer is c.", r"Answer: \textbf{(C)}",
        "The answer is carbon dioxide (C).",
    ],
)  # fmt: skip
def test_answers_that_are_right(completion):
    assert status(completion) == "correct"


@pytest.mark.parametrize(
    "completion",
    [
        "The answer is C. neon.", "Answer: C. neon", "Answer: **C. neon**", "Answer: C. argon\n\nDone.",
        "The answer is C? No: \\boxed{7}", "The answer is C.\nNo, it is \\boxed{none of these}.",
        r"\boxed{D}. Answer: C", r"\boxed{x} and the answer is not C.", r"\boxed{x}. The answer is A or C.",
        "The answer is not C.", "The answer is A gas that sinks.", "Answer: C and D", r"\boxed{C \text{ or } D}",
        r"\boxed{C}, \boxed{D}", r"\boxed{x}", r"\boxed{x} C", "Answer: B. carbon dioxide",
    ],
)  # fmt: skip
def test_answers_that_are_not_right(completion):
    assert status(completion) == "wrong"


def test_a_box_without_a_letter_is_only_passed_over_where_the_recipe_has_another_form():
    completion = r"\boxed{\rho V}. Answer: C"
    assert status(completion, forms=("boxed",)) == "wrong"
    assert status(completion, forms=("phrase",)) == "correct"
    assert status(r"The answer is clear: \boxed{C}", forms=("phrase", "boxed")) == "correct"
    assert status(completion + r" \boxed{", forms=("boxed", "phrase")) == "no_answer", "a box that never closes"
    assert status(r"\boxed{x}" + "\n#### C", forms=("boxed", "hashes")) == "correct"
    assert ChoiceVerifier(("boxed", "phrase")).verify(completion, "C", GASES).extracted == "C"


def test_no_answer_takes_long():
    started = time.perf_counter()
    for junk in ("(" * 2000, "the answer is " * 140, "C. " * 660, "\\text{" * 300, "C - " + "a " * 990, "* " * 1000,
                 "C " + "(" * 1990, "[" * 2000, "C" + "," * 1990, "{" * 2000, "C. " + "carbon " * 280):  # fmt: skip
        choice_index(junk, GASES)
    megabytes = ["C. " * 200_000, "answer is C. " * 60_000, "\\boxed{C " * 60_000, "\\boxed{x} Answer: C. " * 40_000]
    for junk in megabytes:
        status(junk)
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize("name", ["f20_letter_with_text_choice", "f21_box_is_no_letter_choice"])
def test_cases_of_public_reports(name):
    for line in shared(f"../cases/{name}.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert status(row["completion"], row["answer"], options=row["choices"]) in row["want"].split(), row
