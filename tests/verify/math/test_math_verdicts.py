# ruff: noqa: RUF001
"""Pairs of kinds that graders of mathematics get wrong: (found, reference). What they are is said in verify/math/."""

import json

import pytest
from conftest import PROJECT

from ded_ray.recipe import Verify
from ded_ray.verify.math.verifier import MathVerifier

CASES = PROJECT.parent / "shared" / "cases"

# fmt: off
SAME = [
    ("ln(2)", r"\ln 2"), ("x**2+3*x", "x^2+3x"), ("sin(x)", r"\sin x"), ("sin(x)^2", r"\sin^2 x"),
    ("pi^2/6", r"\frac{\pi^2}{6}"), ("sqrt2", r"\sqrt2"), ("cbrt(2)", r"\sqrt[3]{2}"), ("arctan(1/2)", r"\arctan\frac12"),
    ("atan(1/2)", r"\arctan\frac12"), ("log2(8)", "3"), ("log_2(8)", "3"), ("theta/2", r"\frac{\theta}{2}"),
    ("infinity", r"\infty"), ("-infinity", r"-\infty"), ("oo", r"\infty"), ("exp(x)", "e^x"), ("e**x", "e^x"),
    ("3*x**2 - 2*x + 1", "3x^2-2x+1"), ("log(2)/log(3)", r"\frac{\ln 2}{\ln 3}"), ("abs(x)", "|x|"),
    ("(3, pi/2)", r"\left(3,\frac{\pi}{2}\right)"), ("x ⩽ 3", "x <= 3"), (r"\frac{1}{\sqrt{m}}", r"\sqrt{1/m}"),
    (r"\sqrt{\frac{a}{b}}", r"\frac{\sqrt a}{\sqrt b}"), (r"2\ln a", r"\ln a^2"), (r"\ln(a^2)", r"2\ln a"),
    (r"\sqrt{ab}", r"\sqrt a\sqrt b"), (r"\ln a+\ln b", r"\ln(ab)"), (r"x\sqrt{x}", r"\sqrt{x^3}"),
    (r"\ln\frac{a}{b}", r"\ln a-\ln b"), (r"-\ln x", r"\ln\frac1x"),
    (r"\sqrt{\frac{2E}{m}}", r"\frac{\sqrt{2E}}{\sqrt m}"), (r"2\pi\sqrt{\frac{L}{g}}", r"\frac{2\pi\sqrt{L}}{\sqrt{g}}"),
    (r"\log_2 x^3", r"3\log_2 x"), ("(ab)^{1/3}", r"\sqrt[3]{a}\sqrt[3]{b}"), ("yes", r"\text{Yes}"), ("**Yes**", "Yes"),
    ("No.", "No"), ("TRUE", "True"), (r"\mathrm{Yes}", "Yes"), (r"\text{Monday.}", "Monday"), ("an ellipse", "ellipse"),
    (r"\text{the ellipse}", r"\text{ellipse}"), (r"\text{does not exist}", "DNE"), ("Yes, it is", r"\text{Yes}"),
    (r"\emptyset", r"\text{no solution}"), ("no real solutions", r"\emptyset"),
    (r"\text{no solutions}", r"\text{no solution}"), ("５", "5"), ("5", "５"), ("−３", "-3"), ("１２３", "123"),
    ("5\ufeff", "5"), ("５／６", r"\frac56"), ("（1，2）", "(1,2)"), ("𝟑", "3"), ("٣", "3"),
    ("x\u2061", "x"), ("５％", "5%"),
    ("2⅓", r"\frac73"), ("1011₂", "1011_2"), ("x₁", "x_1"), ("10⁻³", "0.001"), ("xⁿ", "x^n"), ("30º", "30"),
    ("**8**", "8"), ("`8`", "8"), ("*8*", "8"), ("8<|im_end|>", "8"), (r"x \in (0, 1)", "0<x<1"),
    (r"\{x \mid x > 2\}", r"(2,\infty)"), (r"x<-1 \text{ or } x>1", r"(-\infty,-1)\cup(1,\infty)"),
    (r"(-\infty,-1)\cup(1,\infty)", r"x<-1 \text{ or } x>1"), ("]0,1[", "(0,1)"), ("5:30 PM", r"5:30 \text{ p.m.}"),
    ("5:30", "5:30 PM"), (r"e^{i\pi}", "-1"), ("-i", r"\frac{1}{i}"), ("2i", r"\sqrt{-4}"),
    (r"\cos\theta+i\sin\theta", r"e^{i\theta}"), ("10 USD", "10"), ("USD 10", "10"), ("10€", "10"), ("Rs. 500", "500"),
    ("10¢", "10"), ("45°", r"45^{\circ}"), ("45^o", "45"), ("3-1/2", r"\frac52"), (r"\tfrac{3}{4}", "0.75"),
    (r"{3 \over 4}", "3/4"), (r"-\dfrac{3}{4}", "-3/4"), (r"75\%", "3/4"),
    ("[[1,2],[3,4]]", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
    (r"\begin{smallmatrix}1\\2\end{smallmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"), ("1_000", "1000"),
    ("{3,1,2}", r"\{1,2,3\}"), (r"\lbrace 1,2\rbrace", r"\{1,2\}"), ("a=1, b=2", "b=2,a=1"), (r"x=1,\ y=2", "(1,2)"),
    (r"\{1, 2, \ldots, 10\}", r"\{1,2,\dots,10\}"), ("5 m/s", "5"), (r"5~\text{kg}", "5"), ("100 km/h", "100"),
    ("5 square units", "5"), ("5 sq. cm", "5"), ("24 cubic inches", "24"), ("5 times", "5"), ("8 sides", "8"),
    ("5 cm^2", "5"), ("12π cm²", r"12\pi"), ("5 lbs", "5"), ("5 oz", "5"), ("5 L", "5"), ("5 mL", "5"), ("A.", "A"),
    (r"\textbf{(A) }5", "5"), (r"\textbf{(B)}\ 12", "12"), ("Option A", "A"),
    (r"\frac{\sqrt{6}-\sqrt{2}}{4}", r"\sin 15^\circ"), (r"\cos 60^\circ", "0.5"), ("C(5,2)", "10"), ("^5C_2", "10"),
    ("2^{n}-1", "2^n - 1"), ("4 to 3", "4:3"), (r"4\text{ to }3", "4:3"), (r"0.\dot{3}", r"\frac13"), ("about 5", "5"),
    ("approximately 5", "5"), ("~5", "5"), ("(5)", "5"), (r"\color{red}{5}", "5"), ("two", "2"), ("2", r"\text{two}"),
    ("four", "4"), (r"5^{\text{th}}", "5"), (r"5^\text{th}", "5"), (r"x \to \infty", r"x\to\infty"),
    (r"\mathbb R", r"(-\infty,\infty)"), ("all real numbers", r"\mathbb{R}"),
    (r"\text{all real numbers}", r"(-\infty,\infty)"), (r"x_1 = 2 \text{ and } x_2 = 3", "2, 3"),
    (r"k\pi, k \in \mathbb{Z}", r"k\pi"), ("±5", r"\pm 5"), ("+-5", r"\pm5"),
    (r"\frac{-1\pm\sqrt5}{2}", r"\frac{-1+\sqrt5}{2},\frac{-1-\sqrt5}{2}"),
    (r"x=\frac{-1\pm\sqrt5}{2}", r"\frac{-1\pm\sqrt5}{2}"), (r"123_{\text{five}}", "123_5"), (r"\text{1000}_2", "1000_2"),
    ("x<5 and x>2", "2<x<5"), (r"x > 2 \text{ and } x<5", "(2,5)"), ("5 > x > 2", "2<x<5"), (r"n\geq 3", r"n \ge 3"),
    ("a ∈ (0,1]", "(0,1]"), (r"\text{Answer: }12", "12"), ("Total: 12", "12"), ("∛2", r"\sqrt[3]{2}"), ("2^10", "1024"),
    ("e^2x", "e^{2}x"), ("12.", "12"), ("12.0", "12"), ("0.5%", "0.005"), ("x^-1", "1/x"), ("2x**3", "2x^3"),
    (r"x \ge 3 \text{ or } x \le -1", r"(-\infty,-1]\cup[3,\infty)"), (r"\operatorname{arctan}(2)", r"\arctan 2"),
    (r"\mathrm{arctan}\,2", r"\arctan 2"), ("sec(x)", r"\sec x"), ("tan^2(x)", r"\tan^2 x"), ("sin^2(x) + cos^2(x)", "1"),
    ("2*sin(x)*cos(x)", r"\sin 2x"), ("ln(x)+1", r"1+\ln x"), ("ln(3)/2", r"\frac{\ln 3}{2}"),
    ("(sqrt(3) - 1)/2", r"\frac{\sqrt3-1}{2}"), ("2*pi*sqrt(3)", r"2\sqrt3\pi"), ("pi*(4-pi)", r"4\pi-\pi^2"),
    ("4*pi/3", r"\frac{4\pi}{3}"), ("exp(-x**2)", "e^{-x^2}"),
    ("exp(-x**2/2)/sqrt(2*pi)", r"\frac{1}{\sqrt{2\pi}}e^{-x^2/2}"), ("x*exp(x)", "xe^x"),
    ("sqrt(x**2 + 1)", r"\sqrt{x^2+1}"), ("sqrt((x+1)/(x-1))", r"\sqrt{\frac{x+1}{x-1}}"), ("3**(1/2)", r"\sqrt3"),
    ("2**10", "1024"), ("10**-3", "0.001"), ("x**(1/3)", r"\sqrt[3]{x}"), ("-pi/4", r"-\frac{\pi}{4}"),
    ("pi / 4", r"\frac{\pi}{4}"), ("3pi/4", r"\frac{3\pi}{4}"), ("log(x)", r"\log x"), ("alpha + beta", r"\alpha+\beta"),
    ("theta = pi/6", r"\theta=\frac{\pi}{6}"), ("x = pi/6", r"\frac{\pi}{6}"), ("[0, pi]", r"[0,\pi]"),
    ("(0, oo)", r"(0,\infty)"), ("(-oo, 2)", r"(-\infty,2)"),
    ("{pi/6, 5*pi/6}", r"\left\{\frac{\pi}{6},\frac{5\pi}{6}\right\}"), ("sqrt(2)*I", r"i\sqrt2"), ("1 + 2*I", "1+2i"),
    ("x >= 2 and x <= 5", "[2,5]"), ("abs(x-1)", "|x-1|"), ("binomial(10, 3)", "120"), ("2 +- sqrt(5)", r"2\pm\sqrt5"),
    ("x ≠ 2", r"(-\infty,2)\cup(2,\infty)"), (r"\{x : x > 2\}", "x > 2"),
    (r"\{x \in \mathbb{R} \mid x \geq 2\}", r"[2,\infty)"), ("5 ≥ x ≥ 2", "[2,5]"), (r"\theta \geq 2", r"[2,\infty)"),
    ("Yes", "yes."), ("**No**", "No"), ("no.", r"\text{No}"), ("saturday.", "Saturday"), ("convergent", "convergent."),
    ("infinitely many", r"\text{infinitely many}"), ("Infinite", "infinitely many"),
    ("No solution.", r"\text{no solution}"), ("There is no solution", r"\emptyset"),
    (r"\text{isosceles triangle}", "an isosceles triangle"), ("Alice.", "Alice"), ("`Alice`", "Alice"),
    ("3:00 PM", r"3\text{ p.m.}"), ("3 PM", "3:00 PM"), ("15:00", "3:00 PM"), ("29 euros per month", "29"),
    ("Answer: 8", "8"), ("8 m²", "8"), ("8 m^2", "8"), ("8 cm/s", "8"), ("8 miles/hour", "8"), ("8 books", "8"),
    ("8 chickens", "8"), ("8$", "8"), ("8 %", "8"), ("eight", "8"), ("Eight", "8"), ("16/2", "8"),
    ("8 hours per day", "8"), ("1.5e3", "1500"), (r"1.5 \times 10^{-3}", "0.0015"),
    ("2^{80}", "1208925819614629174706176"), (r"\frac{\sqrt{x}}{\sqrt{y}}", r"\sqrt{x/y}"), (r"\ln\frac{1}{a}", r"-\ln a"),
    (r"\log a^3", r"3\log a"), (r"\ln(xy)", r"\ln x+\ln y"), (r"\sqrt{4m}", r"2\sqrt m"),
    (r"\sqrt{\frac{1}{m^3}}", "m^{-3/2}"), (r"\frac{1}{\sqrt{2gh}}", r"\sqrt{\frac{1}{2gh}}"),
    ("x^{1/2}y^{1/2}", r"\sqrt{xy}"), ("３．５", "3.5"), ("－３", "-3"), ("１/２", r"\frac12"), ("ｘ＋１", "x+1"),
    ("\u2060\u200c7", "7"), ("7\u200e", "7"), ("⑦", "7"), ("𝟏𝟎", "10"), ("𝑥+1", "x+1"), ("\xad5", "5"), ("5", "\u200b5"),
    ("x", "ｘ"), ("１，０００", "1000"), ("Ｙｅｓ", "Yes"), ("५", "5"), ("(1,2), (2,1)", r"\{(2,1),(1,2)\}"),
    (r"\overline{AB}\parallel\overline{CD}", r"\overline{AB} \parallel \overline{CD}"), (r"\sin 30^\circ", r"\frac12"),
    (r"\tan(45^\circ)", "1"), (r"2\cos 36^\circ", r"\frac{1+\sqrt5}{2}"), (r"0.1\dot{6}", r"\frac16"),
    (r"\{1,2,3,\dots\}", r"\{1,2,3,\ldots\}"), ("1,2,...,n", r"1,2,\ldots,n"), (r"A\cap B", r"A \cap B"),
    (r"\neg p \vee q", r"\neg p\vee q"), (r"p \to q", r"p\to q"), (r"x \equiv 3 \pmod 7", r"x\equiv 3\pmod{7}"),
    (r"\sim 5", "5"), (r"\geq 5", r"\ge 5"), (r"\textbf{42}", "42"), ("**42.**", "42"), (r"42\ ", "42"),
    (r"\underline{42}", "42"), (r"\textcolor{blue}{42}", "42"), (r"\Large 42", "42"), (r"42 \text{ (units)}", "42"),
    (r"\$1{,}000", "1000"), ("x=3, y=4", r"x = 3 \text{ and } y = 4"), (r"\left(3,4\right)", "(3, 4)"),
    (r"\frac{3\pm\sqrt{5}}{2}", r"\frac{3+\sqrt{5}}{2},\frac{3-\sqrt{5}}{2}"), ("[1, 2] U [3, 4]", r"[1,2]\cup[3,4]"),
    (r"x<2 \text{ or } x>3", r"x \in (-\infty,2) \cup (3,\infty)"),
    (r"x<2\quad\text{or}\quad x>3", r"(-\infty,2)\cup(3,\infty)"), (r"2<x\text{ and }x<3", "(2,3)"), ("x>2, x<3", "(2,3)"),
    (r"x \leq -1 \text{ or } x \geq 1", r"(-\infty,-1]\cup[1,\infty)"), (r"\{x|1<x<2\}", "(1,2)"),
    (r"\{x\mid 1<x<2\}", "(1,2)"), ("(1,2)", r"\{x\mid 1<x<2\}"), (r"\left\{x \middle| 1<x<2\right\}", "(1,2)"),
    (r"x\in\mathbb{R}, x\ne 2", r"x \neq 2"), (r"\mathbb{R}\backslash\{2\}", r"x\neq2"),
    (r"\mathbb{R} - \{2\}", r"x\neq 2"), (r"\sqrt{2}e^{i\pi/4}", "1+i"), (r"2e^{\frac{i\pi}{3}}", r"1+i\sqrt3"),
    ("i^2", "-1"), (r"\frac{1+i}{1-i}", "i"), ("|3+4i|", "5"), (r"2\mathrm{i}", "2i"), ("11001_2", "31_8"),
    (r"\text{AB}_{16}", "171_{10}"), (r"1101_{\text{two}}", "1101_2"), ("6:00 a.m.", "6:00 AM"), (r"6\text{:}30", "6:30"),
    ("6:30 pm", r"6:30\text{ PM}"), ("18:30", "6:30 PM"), (r"\text{\$}5", "5"), (r"5.50\text{ USD}", "5.5"), ("US$5", "5"),
    ("50 cents", "50"), (r"30^{\circ}", "30°"), ("30 deg", "30"), (r"\theta = 30^\circ", "30"),
    (r"\frac{\pi}{6} rad", r"\frac{\pi}{6}"), (r"33\frac13\%", r"33\frac{1}{3}"), ("-2 1/3", r"-\frac73"),
    (r"\frac{2^2}{3^2}", r"\frac{4}{9}"), (r"\frac{a}{b+c}", "a/(b+c)"),
    (r"\begin{bmatrix} 1 & 2 & 3 \end{bmatrix}", r"\begin{pmatrix}1&2&3\end{pmatrix}"),
    ("[[1], [2]]", r"\begin{pmatrix}1\\2\end{pmatrix}"), ("log_3(81)", "4"), ("(n+1)!-1", "(n+1)! - 1"),
    ("e^{x+C}", "e^{C}e^{x}"), (r"\frac{x^3}{3} + C", r"\frac13x^3+C"), ("a circle", "circle"),
    ("Circle.", r"\text{circle}"), (r"\text{The circle}", "circle"), ("(C) 12", "12"), ("C)", "C"),
    ("5cm", r"5 \text{ cm}"), ("5 meters per second", "5"), ("5 ft^2", "5"), ("25*pi cm^2", r"25\pi"),
    ("12 marbles", "12"), ("1e0", "1"), ("$x=3$", "3"), ("3=x", "3"), (r"P = \frac{1}{2}", "1/2"), ("a^2+b^2 = 25", "25"),
]

DIFFERENT = [
    ("cat", "act"), ("No", "Yes"), ("on", "no"), ("Tuesday", "Monday"), (r"\text{No}", r"\text{On}"), ("below", "elbow"),
    ("10^{-30}", "10^{-31}"), (r"\frac{x}{33!}", r"\frac{x}{31!}"), (r"x=\frac{1}{33!}", r"x=\frac{1}{31!}"),
    (r"(\frac{1}{33!},2)", r"(\frac{1}{31!},2)"), (r"\{\frac{1}{33!},2\}", r"\{\frac{1}{31!},2\}"),
    (r"[0,\frac{1}{33!}]", r"[0,\frac{1}{31!}]"),
    (r"\begin{pmatrix}\frac{1}{33!}\\1\end{pmatrix}", r"\begin{pmatrix}\frac{1}{31!}\\1\end{pmatrix}"),
    (r"1-\frac{1}{2^{80}}", "1"), (r"1-\frac{1}{2^{80}}", r"1-\frac{1}{2^{81}}"), ("e^{-50}", "e^{-51}"),
    ("0", "2^{-100}"), ("0.0000000001", r"\frac{1}{10^{11}}"), ("1e-12", "1e-13"), (r"\sqrt{2}+10^{-20}", r"\sqrt2"),
    (r"\left(\frac{5}{6}\right)^{200}", r"\left(\frac{5}{6}\right)^{201}"), ("0.99^{5000}", "0.99^{5001}"),
    ("2^{-80}+1", "2^{-79}+1"), ("0.000000", r"\frac{1}{10000000}"), ("cos(x)", r"\sin x"), ("x <= 5", "x >= 5"),
    ("5", "x>5"), ("x>5", "5"), ("5:30 AM", "5:30 PM"), ("3 AM", "3 PM"), ("5i", "5"), ("2;3", "23"), ("1.5", "15"),
    ("1,5", "15"), ("(1,2]", "(1,2)"), ("[1,2)", "(1,2)"), ("(1,2),(3,4)", "(1,2),(3,5)"), ("5", r"\pm5"), ("x^2", "x^3"),
    ("x^2+y^2=4", "x^2+y^2=5"), ("123_5", "123_6"), (r"\frac{22}{7}", r"\pi"), ("A", "B"), ("(A)", "(B)"), ("2 or 3", "2"),
    ("3 1/2", "31/2"), ("x_1=2,x_2=3", "2,4"), ("5 > x > 2", "2<x<6"), ("x**3", "3x"), ("log(2)", r"\log 3"),
    ("2^(1/3)", r"\frac{2}{3}"), (r"x>2 \text{ and } x<5", r"x>2 \text{ or } x<5"), ("{1,2}", r"\{1,2,\ldots\}"),
    ("1,2,3", r"1,2,3,\ldots"), ("5 pm", "5 am"), ("5:30 AM", "17:30"), ("6:30", "6:31"), ("5+-3", r"5\pm3"),
    (r"5\pm3", "8"), ("exp(2)", "e^3"), ("sin(x)", r"\sin^2 x"), ("1/(2*x)", r"\frac{x}{2}"), ("e^(x+1)", "e^x+1"),
    ("5", "6"), ("5 dozen", "5"), ("five", "6"), ("at least 5", "5"), ("5 to 6", "5"), ("0.333", r"\frac13"),
    ("3.1416", r"\pi"), ("1e10", "1e11"), ("1e-20", "1e-21"), (r"\frac{1}{10^{20}}", r"\frac{1}{10^{21}}"),
    (r"\pi+10^{-20}", r"\pi"), (r"\{1+10^{-20},2\}", r"\{1,2\}"), ("y=x+10^{-20}", "y=x"), ("x^2+10^{-20}", "x^2"),
    (r"\begin{pmatrix}10^{-20}\\1\end{pmatrix}", r"\begin{pmatrix}10^{-21}\\1\end{pmatrix}"),
    ("[0,10^{-20}]", "[0,10^{-21}]"), ("x > 10^{-20}", "x>10^{-21}"), ("10^{-20}i", "10^{-21}i"),
    (r"\frac{365!}{(365-70)!365^{70}}", r"\frac{365!}{(365-71)!365^{71}}"), ("0", "e^{-100}"),
    (r"\frac{1}{100!}", r"\frac{1}{101!}"), (r"1-\frac{1}{100!}", r"1-\frac{1}{101!}"), ("Yes", "True"),
    ("heart", "earth"), ("stop", "post"), ("one", "on"), (r"\text{saw}", r"\text{was}"), ("rational", "irrational"),
    ("The answer is no", "yes"), ("4", "５"), ("10²", "102"), (r"\ln a^2", r"(\ln a)^2"), (r"\log_2 a", r"\log_3 a"),
    (r"\sin^{-1}x", r"\frac{1}{\sin x}"), (r"\arcsin(\sin x)", "x"), (r"e^{\ln x + 1}", "x"), ("(2,3)", "[2,3]"),
    ("(3,2)", "(2,3)"), ("(1,2,3)", "(1,2)"), ("1,1,2", "1,2,3"), ("x=1,y=2", "(2,1)"), ("x=1,y=2", "x=2,y=1"),
    ("a=1", "b=2"), ("(A)", "(C)"), (r"\textbf{(A) } 5", "6"), ("1:2", "2:1"), ("-i", "i"), ("3+4i", "3-4i"), ("i", "1"),
    ("12_3", "12_4"), ("y=2x", "y=3x"), ("x=2", "y=3"), ("y=x^2", "x=y^2"), ("5!", "25"), ("2^{3}", "3^{2}"),
    ("x^{y}", "y^{x}"), (r"\mathbb{N}", r"\mathbb{Z}"), ("all real numbers", r"\emptyset"), ("Answer: 9", "8"),
    ("Step 8: 9", "8"), ("8 9", "8"), ("8.8", "8"), ("8i", "8"), ("(4,3)", "x=3,y=4"), ("1.234", "1234"),
    ("1,2,34", "1234"), (r"\{x\mid 1<x<3\}", "(1,2)"), ("i", "-i"), ("17_8", "17_9"), ("18:30", "6:30 AM"),
    (r"6\times10^5", r"6\times10^6"), ("33%", r"\frac13"), ("5 dollars", "6"), ("30", r"\frac{\pi}{6}"),
    ("Ce^{2x}", "Ce^{x}"), ("kite", "rhombus"), ("square", "rectangle"), ("x=3", "-3"), ("n=3", "m=4"), ("3 = x", "4"),
    (r"\log_3 2", r"\log_2 3"), ("a^b", "b^a"), (r"\frac{a}{b}", r"\frac{a}{c}"), ("e", "2.718"), ("sqrt(2)", "1.414"),
    ("0", "10^{-9}"), ("-1e-12", "1e-12"), (r"\{1,2\},\{3\}", r"\{1\},\{2,3\}"), (r"0.\overline{3}", "0.3"),
    (r"0.1\overline{6}", "0.16"), ("x", r"\times"), ("True", "False"), ("1", "2"), ("night", "thing"),
    ("Silent", "Listen"), (r"\text{evil}", r"\text{live}"), ("ALERT", "ALTER"), ("DCBA", "ABCD"), ("CAB", "ABC"),
]
# fmt: on


@pytest.fixture(scope="module")
def verifier():
    made = MathVerifier(Verify())
    yield made
    made.close()


@pytest.mark.parametrize(("found", "reference"), SAME)
def test_another_way_to_write_it_is_correct(verifier, found, reference):
    assert verifier.verify(f"So it is $\\boxed{{{found}}}$.", reference, []).status == "correct"


@pytest.mark.parametrize(("found", "reference"), DIFFERENT)
def test_another_answer_is_not(verifier, found, reference):
    assert verifier.verify(f"So it is $\\boxed{{{found}}}$.", reference, []).status in {"wrong", "unverifiable"}


@pytest.mark.parametrize("reference", ["Proof.", r"\text{N/A}", "see the sketch", "It follows by induction on n"])
def test_a_reference_that_says_nothing_is_unverifiable_whatever_is_answered(verifier, reference):
    for completion in (r"\boxed{7}", f"\\boxed{{{reference}}}", "I do not know."):
        assert verifier.verify(completion, reference, []).status == "unverifiable"


@pytest.mark.parametrize(
    ("completion", "reference", "status"),
    [
        (r"$\boxed 7$", "7", "correct"), (r"\[\boxed 12\]", "12", "correct"), (r"\boxed -7.", "-7", "correct"),
        (r"\boxed7", "7", "correct"), (r"$\boxed\frac{5}{7}$", "5/7", "correct"), (r"$\boxed y$", "y", "correct"),
        (r"Use \boxed for it.", "7", "no_answer"), (r"I \boxed it: \boxed{7}", "7", "correct"),
        (r"\boxed{7}, in a \boxed as told", "7", "correct"), (r"\boxed 8", "7", "wrong"),
        (r"\boxed{7<|im_end|>}", "7", "correct"), ("#### **7**", "7", "correct"),
        ("#### 7\n\n#### Remarks\nNone.", "7", "correct"),
        ("#### Step 6\nAdd.\n#### Step 7\nSubtract.", "7", "no_answer"),
    ],
)  # fmt: skip
def test_where_an_answer_stands(verifier, completion, reference, status):
    assert verifier.verify(completion, reference, []).status == status


@pytest.mark.parametrize("kind", ["f01", "f02", "f03", "f04", "f06", "f07", "f22", "f23", "f24"])
def test_cases_of_public_bug_reports(verifier, kind):
    paths = sorted(CASES.glob(f"{kind}_*_math.jsonl"))
    if not paths:
        pytest.skip("needs the development cases, which lie beside the project on its developers' machines")
    for row in map(json.loads, paths[0].read_text().splitlines()):
        assert verifier.verify(row["completion"], row["answer"], []).status in row["want"].split("|"), row
