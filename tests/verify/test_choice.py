import pytest

from ded_ray.verify.choice import ChoiceVerifier, choice_letter

CHOICES = ["a dog", "the Moon", "B", "42"]


@pytest.mark.parametrize(
    ("answer", "letter"),
    [("B", "B"), ("(b)", "B"), ("B.", "B"), ("B. the Moon", "B"), (r"\text{B}", "B"), ("the moon", "B"), ("The  Moon.", "B"),
     ("42", "D"), ("E", None), ("a cat", None), ("", None), ("AB", None)],
)  # fmt: skip
def test_letters_and_texts(answer, letter):
    choices = [c for c in CHOICES if c != "B"] + ["x"] if answer != "42" else ["a", "b", "c", "42"]
    assert choice_letter(answer, choices) == letter


def test_an_options_text_goes_before_its_letter():
    assert choice_letter("B", CHOICES) == "C"


@pytest.mark.parametrize(
    ("completion", "status"),
    [(r"\boxed{B}", "correct"), (r"\boxed{\text{(B)}}", "correct"), (r"\boxed{A}", "wrong"), ("A is not it.", "no_answer"),
     (r"\boxed{x}", "wrong"), (r"<think>\boxed{B}", "no_answer")],
)  # fmt: skip
def test_verdicts(completion, status):
    assert ChoiceVerifier(("boxed",)).verify(completion, "B", ["p", "q", "r"]).status == status


def test_a_reference_that_names_no_option_is_unverifiable():
    assert ChoiceVerifier(("boxed",)).verify(r"\boxed{A}", "Z", ["p", "q"]).status == "unverifiable"
