import json

import pytest
from conftest import shared

from ded_ray.verify.multiple_choice import ChoiceVerifier, choice_index

CHOICES = ["a dog", "the Moon", "42", "A"]


@pytest.mark.parametrize(
    ("answer", "index"),
    [("B", 1), ("(b)", 1), ("B.", 1), ("B. the Moon", 1), (r"\text{B}", 1), ("the moon", 1), ("The  Moon.", 1), ("42", 2),
     (r"\text{(B)}", 1), (r"\mathbf{B}", 1), ("$B$", 1), ("**B**", 1), (r"\(B\)", 1), ("Option B", 1), ("[B]", 1),
     (r"\textbf{B) } the Moon", 1), ("B: the Moon", 1), ("the correct answer is (B)", 1), ("B because it shines", 1),
     ("E", None), ("a cat", None), ("", None), ("AB", None), ("B and C", None), ("B, C", None), ("B dog", None),
     ("A man walks", None), (r"\frac{B}{C}", None), ("B_1", None), ("B = 3", None), (r"\{B\}", None), ("no B", None),
     ("(A), (B), (C), (D)", None), ("(A) or (B)", None), ("A) or B)", None), ("A. is wrong, it is B.", None),
     ("A: no. B: yes", None), ("A. the Moon", None), ("A the Moon", None), ("(B the Moon", None), ("B) the Moon", 1),
     ("A", 0)],  # a lone letter is a name, even where another option's text is that letter
)  # fmt: skip
def test_letters_and_texts(answer, index):
    assert choice_index(answer, CHOICES) == index


def test_without_options_any_letter_counts():
    assert choice_index("(E)", []) == 4
    assert choice_index("the Moon", []) is None
    assert choice_index("B. the Moon", []) == 1
    assert choice_index("B. not C", []) is None


@pytest.mark.parametrize(
    "hedge", [r"\boxed{(A)} or \boxed{(B)}", r"\boxed{A}, \boxed{B}, \boxed{C}", r"\boxed{A} and \boxed{B}"]
)
def test_several_boxes_are_no_choice(hedge):
    assert ChoiceVerifier(("boxed",)).verify(hedge, "A", ["p", "q", "r"]).status == "wrong"


@pytest.mark.parametrize(
    ("completion", "status"),
    [(r"\boxed{B}", "correct"), (r"\boxed{\text{(B)}}", "correct"), (r"\boxed{A}", "wrong"), ("A is not it.", "no_answer"),
     (r"\boxed{x}", "wrong"), (r"<think>\boxed{B}", "no_answer"), ("The answer is (B).", "correct"),
     ("The answer is A dog.", "wrong")],
)  # fmt: skip
def test_verdicts(completion, status):
    assert ChoiceVerifier(("boxed", "phrase")).verify(completion, "B", ["p", "q", "r"]).status == status


def test_two_options_of_the_same_text_are_the_same_answer():
    assert ChoiceVerifier(("boxed",)).verify(r"\boxed{both}", "C", ["both", "none", "both"]).status == "correct"


def test_a_reference_that_names_no_option_is_unverifiable():
    assert ChoiceVerifier(("boxed",)).verify(r"\boxed{A}", "Z", ["p", "q"]).status == "unverifiable"


@pytest.mark.slow
def test_all_of_mmlu_by_letter_and_by_text():
    verifier = ChoiceVerifier(("boxed",))
    rows = [json.loads(line) for line in shared("mmlu_stem_test.jsonl").read_text().splitlines()]
    for row in rows:
        texts = [" ".join(text.split()) for text in row["choices"]]
        for index, text in enumerate(row["choices"]):
            right = "correct" if texts[index] == texts[row["answer"]] else "wrong"
            letter, reference = "ABCD"[index], "ABCD"[row["answer"]]
            for form in (letter, f"({letter})", f"\\text{{{letter}}}", f"{letter}. {text}".rstrip("\\")):
                if form.count("{") == form.count("}"):
                    assert verifier.verify(f"So \\boxed{{{form}}}.", reference, row["choices"]).status == right, row
            if len(text) > 3 and texts.count(texts[index]) == 1 and text.count("{") == text.count("}"):
                assert verifier.verify(f"\\boxed{{{text}}}", reference, row["choices"]).status == right, row
    assert len(rows) == 3018
