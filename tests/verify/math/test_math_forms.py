"""The same answer in other words, and other answers in nearly the same words: (found, reference)."""

import logging

import pytest

from ded_ray.recipe import Verify
from ded_ray.verify.math.forms import based_number, plainer
from ded_ray.verify.math.verifier import MathVerifier

# fmt: off
SAME = [
    ("4", r"4 \pmod 7"),
    ("3 hours", "3"),
    ("2.5 kilometers", "2.5"),
    (r"3\frac12 cups", r"\frac72"),
    (r"6.02 \times 10^{-23}", r"6.020 \times 10^{-23}"),
    ("–5", "-5"),  # noqa: RUF001
    ("(–5, 2)", "(-5,2)"),  # noqa: RUF001
    ("FF_{16}", "255_{10}"),
    ("(0,1)", "(0, 1)"),
    ("[0,1)", "[0,1)"),
    (r"(-\infty, 3]", r"(-\infty,3]"),
    (r"x \in [1,2]", "[1,2]"),
    (r"[1,2] \cup [3,4]", r"[3,4] \cup [1,2]"),
    (r"(-\infty,0)\cup(0,\infty)", r"(-\infty, 0) \cup (0, +\infty)"),
    (r"1 \le x \le 2", "[1,2]"),
    (r"1 < x \le 2", "(1,2]"),
    ("x > 5", r"(5,\infty)"),
    ("(0.5, 1)", r"\left(\frac12, 1\right)"),
    (r"[-2, \frac{1}{3})", r"\left[-2,\frac13\right)"),
    (r"(5,\infty)", "x>5"),
    ("x<5", "5>x"),
    (r"\left(-\infty,-5\right]", r"(-\infty, -5]"),
    (r"(-\infty, \infty)", r"\mathbb{R}"),
    (r"\{1,2,3\}", r"\{3,2,1\}"),
    ("1,2,3", r"\{1,2,3\}"),
    ("1, 2", "2, 1"),
    ("x=1, x=2", "1,2"),
    (r"x = 1 \text{ or } x = 2", "1,2"),
    (r"1 \text{ and } 2", "1,2"),
    (r"\pm 2", "2,-2"),
    (r"\pm 2", r"\{-2,2\}"),
    (r"\{1,1,2\}", r"\{1,2\}"),
    (r"\emptyset", r"\varnothing"),
    (r"\{\}", r"\emptyset"),
    (r"\frac{1}{2}, \frac{3}{4}", "0.75, 0.5"),
    ("3, 5, 7", "3,5,7"),
    ("1,-2", "-2,1"),
    (r"2 \pm \sqrt{3}", r"2+\sqrt{3}, 2-\sqrt{3}"),
    (r"\{2\}", "2"),
    (r"-2 \text{ or } 3", "3,-2"),
    (r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", r"\begin{bmatrix}1&2\\3&4\end{bmatrix}"),
    (r"\begin{pmatrix} 0.5 \\ 2 \end{pmatrix}", r"\begin{pmatrix} \frac12 \\ 2 \end{pmatrix}"),
    (r"\begin{pmatrix} -1/3 \\ 2/3 \end{pmatrix}", r"\begin{pmatrix} -\frac{1}{3} \\ \frac{2}{3} \end{pmatrix}"),
    (r"\left(\begin{array}{cc}1 & 0\\0 & 1\end{array}\right)", r"\begin{pmatrix}1&0\\0&1\end{pmatrix}"),
    (r"50\%", "50"),
    ("50%", r"50\%"),
    (r"50\%", "0.5"),
    ("50", r"50\%"),
    ("0.5", r"50\%"),
    ("12.5%", "0.125"),
    (r"12.5\%", "12.5"),
    ("25 percent", r"25\%"),
    (r"33\frac{1}{3}\%", r"\frac{100}{3}\%"),
    (r"5\text{ cm}", "5"),
    ("5 cm", "5"),
    (r"5\,\text{m}^2", "5"),
    (r"10\text{ meters}", "10"),
    ("5", r"5\text{ cm}"),
    (r"90^\circ", "90"),
    ("90", r"90^\circ"),
    (r"90^{\circ}", "90 degrees"),
    (r"\$5", "5"),
    (r"\$5.00", "5"),
    ("$12", "12"),
    (r"12 \text{ dollars}", "12"),
    (r"60\text{ mph}", "60"),
    ("60 mph", "60"),
    (r"3\text{ hours}", "3"),
    ("3 hours", "3"),
    (r"5 \mathrm{~cm}", "5"),
    ("5 apples", "5"),
    (r"\text{5 apples}", "5"),
    (r"5\text{ inches}", "5"),
    ("€5", "5"),
    (r"5\text{ cm}^3", "5"),
    (r"\text{6 feet}", "6"),
    (r"16 \text{ ft}", "16"),
    (r"1\frac{1}{2}", r"\frac{3}{2}"),
    (r"2 \frac{3}{4}", "2.75"),
    ("1 1/2", "3/2"),
    ("1 1/2", "1.5"),
    (r"-1\frac12", "-1.5"),
    ("2.75", r"2\frac{3}{4}"),
    (r"11\frac{1}{2}", "11.5"),
    ("0.5", r"\frac12"),
    (r"\frac{2}{4}", "1/2"),
    (".5", "0.5"),
    ("1,000", "1000"),
    ("1000.0", "1,000"),
    ("1{,}000", "1000"),
    (r"1\,000", "1000"),
    ("1e3", "1000"),
    (r"1.5 \times 10^3", "1500"),
    ("10^{3}", "1000"),
    ("-.5", "-1/2"),
    (r"\dfrac{-1}{2}", "-0.5"),
    (r"-\frac{1}{2}", r"\frac{1}{-2}"),
    ("007", "7"),
    ("+5", "5"),
    ("1 000", "1000"),
    ("0.1", "0.10"),
    (r"1.\overline{3}", "4/3"),
    (r"0.\overline{3}", r"\frac13"),
    ("5.", "5"),
    ("3.0", "3"),
    ("(1, 2)", "(1,2)"),
    (r"(\frac12, 3)", "(0.5,3)"),
    ("(1,2,3)", "(1,2,3)"),
    ("(x,y)=(1,2)", "(1,2)"),
    ("x=1,y=2", "(1,2)"),
    ("1,2", "(1,2)"),
    (r"\left( 3, \frac{\pi}{2} \right)", r"\left(3,\pi/2\right)"),
    ("(1,2),(3,4)", "(3,4),(1,2)"),
    ("x^2+2x+1", "(x+1)^2"),
    (r"\sqrt{8}", r"2\sqrt{2}"),
    ("x=5", "5"),
    ("5", "x=5"),
    ("y = 2x+1", "2x+1"),
    ("y=2x+1", "y = 1+2x"),
    ("2x+1=y", "y=2x+1"),
    ("x+y=1", "2x+2y=2"),
    (r"\frac{1}{\sqrt 2}", r"\frac{\sqrt{2}}{2}"),
    ("2i+3", "3+2i"),
    (r"\log_2 8", "3"),
    ("5!", "120"),
    (r"\binom{5}{2}", "10"),
    ("1011_2", "1011_2"),
    ("1011_{2}", "1011_2"),
    ("11_{10}", "1011_2"),
    ("2^{10}", "1024"),
    ("a+b", "b+a"),
    ("ab", "ba"),
    (r"\sin^2 x+\cos^2 x", "1"),
    (r"\infty", r"\infty"),
    (r"\text{undefined}", r"\text{undefined}"),
    (r"\text{Evelyn}", "Evelyn"),
    ("Evelyn", r"\text{Evelyn}"),
    (r"\text{(C)}", "C"),
    ("(C)", r"\text{C}"),
    (r"\textbf{(B)}", "B"),
    (r"\text{ellipse}", r"\text{Ellipse}"),
    ("11:30", "11:30"),
    ("2:3", "2:3"),
    ("2:3", r"\frac23"),
    ("Yes", r"\text{yes}"),
    (r"\mathrm{(A)}", "A"),
    ("p - q", "p-q"),
    ("6r^2-4r-24", "6 r^2 - 4r - 24"),
    ("(x-2)(x+3)", "(x+3)(x-2)"),
    (r"\frac{x+2}{7}", "(x+2)/7"),
    ("14 - 2i", "14-2i"),
    (r"x \in \{1,2\}", "1,2"),
    (r"\boxed{3}", "3"),
    ("1/3 + 1/3", "2/3"),
    ("July", "July"),
    ("10000", "10,000"),
    ("3", r"\sqrt{9}"),
    (r"4\pi", r"4 \pi"),
    (r"\sqrt[3]{8}", "2"),
    ("0", "0.0"),
    (r"e^{i\pi}", "-1"),
    (r"\frac{0}{5}", "0"),
    (r"\text{The answer is } 5", "5"),
    (r"12 \text{ km/h}", "12"),
    ("C_4", "C_4"),
    ("x^{2}", "x^2"),
    (r"\frac{3}{5}\text{ of the total}", "3/5"),
    ("4 (mod 7)", "4"),
    (r"4 \pmod 7", "4"),
    ("f(x)=x^2", "x^2"),
    (r"\approx 3.14", "3.14"),
    ("3.14...", "3.14"),
    ("−5", "-5"),  # noqa: RUF001
    ("½", "0.5"),
    ("√2", r"\sqrt{2}"),
    ("2π", r"2\pi"),
    ("x²", "x^2"),
    ("(−∞, 3]", r"(-\infty, 3]"),  # noqa: RUF001
    ("5°", "5"),
    ("3*10^-2", "0.03"),
    ("3 x 10^-2", "0.03"),
    (r"0.1\overline{6}", r"\frac16"),
    ("x<5", r"(-\infty,5)"),
    (r"x \ge 5", r"[5,\infty)"),
    ("A_{16}", "10_{10}"),
    ("100 000", "100000"),
    ("x=1 1/2", "1.5"),
    (r"\langle 1,2\rangle", "(1,2)"),
    ("1;2", "1,2"),
    (r"5\%", "5"),
    ("2 1/3 cups", r"\frac73"),
    ("-3 < x < -1", "(-3,-1)"),
    (r"[1,\infty)", r"x \ge 1"),
    (r"$\frac{3}{4}$", "0.75"),
    (r"\(\frac{3}{4}\)", "0.75"),
    ("5 , 6", r"\{6,5\}"),
    ("x = -1, 2", "-1,2"),
    (r"x=-1\text{ and }x=2", "-1,2"),
    ("2, 2", "2"),
    (r"\left\{\frac12,\frac13\right\}", r"\frac13, 0.5"),
    (r"4.5\text{ hours}", r"\frac92"),
    ("0.25", r"25\%"),
    ("7.50", "7.5"),
    ("7.5 dollars", "7.50"),
    ("-1 1/2", r"-\frac32"),
    (r"(1, 2) \cup (3,4]", r"(3,4] \cup (1,2)"),
]

DIFFERENT = [
    ("a_{11}", "a_{12}"),
    ("S_{30}", "S_{31}"),
    ("a_12", "a_13"),
    ("A_{30}", "a_{20}"),
    ("5 million", "5"),
    ("5 hundred", "5"),
    ("5 plus two", "5"),
    ("5 degrees below zero", "5"),
    (r"\text{5 or more}", "5"),
    (r"\text{5 hundred}", "5"),
    ("2 thirds", "2"),
    ("1 half", "1"),
    ("3 dozen", "3"),
    ("2 squared", "2"),
    ("7 and one half", "7"),
    (r"4 \pmod 7", r"4 \pmod 9"),
    (r"7 \bmod 4", "7"),
    ("√2.5", r"\frac{\sqrt2}{2}"),
    ("1–5", "-4"),  # noqa: RUF001
    ("1,2,3...", "1,2,3"),
    ("x^2 100", "x^{2100}"),
    (r"6.02 \times 10^{-23}", r"1.6 \times 10^{-19}"),
    ("0.0000001", "0.0000002"),
    ("5 mod 7, 6, 8", "5"),
    ("[0,1)", "[0,1]"),
    ("(1,2)", "[1,2]"),
    (r"x\geq 5", "x>5"),
    (r"[1,2) \cup (2,3]", "[1,3]"),
    ("1, 2", "1"),
    ("1", "1, 2"),
    (r"\{1,2\}", r"\{1,2,3\}"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1 & 2 \end{pmatrix}"),
    (r"\begin{pmatrix} 1 & 2 \\ 3 & 5 \end{pmatrix}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
    ("5", r"50\%"),
    (r"3\frac{1}{2}", r"\frac{3}{2}"),
    ("0.333", r"\frac13"),
    ("3.14", r"\pi"),
    (r"\frac{\pi}{2}", "1.5708"),
    ("2/3", "0.67"),
    ("(1,2)", "(2,1)"),
    ("(1,2,3)", "(1,3,2)"),
    ("(1,2),(3,4)", "(1,2),(4,3)"),
    ("1011_2", "1101_2"),
    (r"3\sqrt{3}", "5.196"),
    ("x", "y"),
    ("5", "-5"),
    (r"-\infty", r"\infty"),
    (r"\text{even}", "odd"),
    ("B", "A"),
    ("2:3", "3:2"),
    ("No", "Yes"),
    (r"5^\circ", r"\frac{\pi}{36}"),
    ("Monday", "Tuesday"),
    ("1,23", "123"),
    ("2,3", "23"),
    ("|x|", "x"),
    (r"5\text{ or }6", "5"),
    ("5 or 6", "5"),
    ("5", "5,6"),
    ("x_1", "x_2"),
    (r"1 \leq x < 2", "[1,2]"),
    (r"x \ge 5", r"(5,\infty)"),
    ("1 1/2", r"\frac{1}{2}"),
    ("11/2", "1 1/2"),
    ("1011_2", "1011_3"),
    ("2 100", "2"),
    (r"\text{6 feet}", "7"),
    ("5%", "50"),
    ("(1,2]", "[1,2)"),
    ("3 dozen", "36"),
    ("1 hour 30 minutes", "1.5"),
    ("6,5,4", r"\{4,5,7\}"),
    (r"\begin{bmatrix} 1 \\ -1 \end{bmatrix}", r"\begin{pmatrix} 1 \\ 1 \end{pmatrix}"),
    (r"(1,2)\cup(3,4]", r"(1,2)\cup(3,4)"),
]

# As the README says under "Verdicts": symbols commute, six digits of a decimal are enough, units are not compared, and
# a base counts only where both name one.
TOO_KIND = [("AB", "BA"), ("0.3333333", r"\frac13"), (r"10\text{ cm}", r"10\text{ m}"), ("1011_2", "1011")]
TOO_STRICT = [("1011_2", "11")]
# fmt: on


@pytest.fixture(scope="module")
def verifier():
    made = MathVerifier(Verify())
    yield made
    made.close()


def status(verifier, found, reference):
    return verifier.verify(f"So it is $\\boxed{{{found}}}$.", reference, []).status


@pytest.mark.parametrize(
    ("found", "reference", "verdict"),
    [
        *[(*pair, "correct") for pair in SAME + TOO_KIND],
        *[(*pair, "wrong") for pair in DIFFERENT + TOO_STRICT],
    ],
)
def test_verdicts(verifier, found, reference, verdict):
    assert status(verifier, found, reference) == verdict


@pytest.mark.slow
def test_never_worse_than_math_verify_itself(verifier):
    """Against its own defaults, on all of the above: nothing that it has right do we have wrong."""
    from math_verify import parse, verify

    logging.disable(logging.ERROR)
    for found, reference in [*SAME, *DIFFERENT, *TOO_KIND, *TOO_STRICT]:
        right = (found, reference) in SAME + TOO_STRICT
        theirs = verify(parse(f"${reference}$"), parse(f"So it is $\\boxed{{{found}}}$."))
        if theirs == right:
            assert (status(verifier, found, reference) == "correct") == right, (found, reference)
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("found", [r"\frac{1}{2}", "x+1", "(1, 2)", r"\sqrt{2}", r"\text{yes}", "12", "-3", "2x^{2}"])
def test_what_is_plain_stays_as_it_is(found):
    assert plainer(found) == found


def test_pieces():
    assert based_number("1F_{16}") == 31
    assert based_number("12_2") is None
    assert based_number("12") is None
    assert plainer(r"0.1\overline{6}") == r"\frac{15}{90}"
