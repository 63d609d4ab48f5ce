import json

import pytest
from conftest import shared

from ded_ray.verify.math.references import is_verifiable_reference

NONE = [
    "Proof", "PROOF.", r"\text{Proof}", "$\\text{proof}$", "**proof**", "(proof)", "proof omitted",
    "The proof is given below.", "to be proved", "Prove that $a > b$.", "Hence proved.", "QED", "q.e.d.",
    r"$\blacksquare$", "not found", "NotFound", "unknown", "None", "null", "N/A", "n/a.", "NaN", "", " ", "-", "?", "...",
    "see figure", "See the picture above", "see the attached diagram", "as shown in the figure", "Figure 7",
    "refer to the solution", "Answers may vary", "no answer", "not provided", "TBD", "<image>", "略", "见解析", "证明略",
    "It follows by induction on n", "Use the pigeonhole principle twice", "Both numbers are equal to x",
    "There are infinitely many such primes, because the set is unbounded", "Triangle PQR is isosceles because PQ = PR",
    "x" * 5000,
]  # fmt: skip
SOME = [
    "7", "y", r"\emptyset", r"\{\}", "∅", r"\infty", "∞", r"\pm 7", r"\text{hyperbola}", "No", "false", "odd",
    "There is no solution", "does not exist", "The limit does not exist", "DNE", "all real numbers", "infinitely many",
    "No such number exists", "neither odd nor even", "cannot be determined", r"7 \text{ kilometers per hour}",
    r"3 \text{ cubic feet per second}", r"y=2 \text{ or } y=3", "Beatrice", "San Francisco Bay", "undefined",
    r"\text{seven}", "(7,8)", r"\begin{pmatrix}7\\8\end{pmatrix}", r"\text{Tuesday}", "May 7", "7 dollars and 5 cents",
    r"2 \text{ red and } 5 \text{ green}", r"\sin y", r"\$7", "(B)", "impossible", "diverges", "No, it is not",
    "The maximum is 7", "the answer is 7", "9:45 AM", "none of the above", r"\mathbb{R}", "p is prime",
]  # fmt: skip


@pytest.mark.parametrize("answer", NONE)
def test_sentinels_and_prose_cannot_be_verified(answer):
    assert not is_verifiable_reference(answer)


@pytest.mark.parametrize("answer", SOME)
def test_numbers_formulas_and_short_answers_can(answer):
    assert is_verifiable_reference(answer)


@pytest.mark.parametrize("name", ["gsm8k_train", "gsm8k_test", "math500_test", "aime24_test", "aime25_test", "amc23_test"])
def test_every_reference_of_the_benchmarks_can(name):
    rows = [json.loads(line) for line in shared(f"{name}.jsonl").read_text().split("\n") if line]
    assert [a for row in rows if not is_verifiable_reference(a := str(row["answer"]).split("####")[-1].strip())] == []
