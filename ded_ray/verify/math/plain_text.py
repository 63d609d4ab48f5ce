r"""Formulas as people and programs type them, rewritten into LaTeX, which is what Math-Verify reads.

from_plain_text("-1 + exp(12)")       # "-1 + \exp(12)"
from_plain_text("x**2 + sqrt(3*x)")   # "x^2 + \sqrt{3*x}"
"""

import re

_COMMANDS = """pi alpha beta gamma delta epsilon theta lambda mu sigma phi psi omega rho tau sqrt exp ln log sin cos tan cot
csc arcsin arccos arctan sinh cosh tanh"""
_NAMES = {name: f"\\{name}" for name in _COMMANDS.split()} | {
    "asin": r"\arcsin", "acos": r"\arccos", "atan": r"\arctan", "infinity": r"\infty", "infty": r"\infty", "inf": r"\infty",
    "oo": r"\infty", "cbrt": r"\sqrt[3]", "abs": r"\abs", "log10": r"\log_{10}", "log2": r"\log_{2}", "Pi": r"\pi",
}  # fmt: skip
_NAME = re.compile(
    rf"(?<![a-zA-Z\\])(?:{'|'.join(sorted(_NAMES, key=len, reverse=True))})(?![a-zA-Z])|(?<![a-zA-Z\\])sec(?=\()"
)
_OPERATOR = re.compile(rf"\\(?:operatorname\*?|mathrm|text|mathop)\{{\s*({'|'.join(_NAMES)})\s*\}}")
_HEAD = re.compile(r"(\\sqrt(?:\[\d+\])?|\\abs|\^)\s*\(")
_BINOMIAL = re.compile(r"(?<![a-zA-Z\\])(?:C|binomial|comb|nCr|binom)\(\s*(\w{1,9})\s*,\s*(\w{1,9})\s*\)")


def from_plain_text(answer: str) -> str:
    r"""`pi/3` as `\pi/3`, `**` as `^`, `sqrt(...)` and `^(...)` with braces; what is LaTeX already stays as it is."""
    answer = _OPERATOR.sub(lambda found: _NAMES[found.group(1)] + " ", answer)
    answer = _BINOMIAL.sub(r"\\binom{\1}{\2}", answer)
    answer = _NAME.sub(
        lambda found: _NAMES.get(found.group(), r"\sec") + ("" if answer[found.end() :][:1] in "([_^" else " "), answer
    )
    answer = re.sub(r"(?<=[*+-])\s?I(?![a-zA-Z])", "i", answer.replace("**", "^")) if "*" in answer else answer
    answer = re.sub(r"\^(\d{1,9})\^(\d{1,9})", r"^{\1^{\2}}", answer)
    answer = re.sub(r"\^\s?(-\d{1,9}(?:\.\d{1,9})?)", r"^{\1}", answer)
    return _with_braces(answer)


def _with_braces(answer: str) -> str:
    """The argument of a root and a power in parentheses gets braces, that of abs() gets bars."""
    closing, opened = {}, []
    for position, sign in enumerate(answer):
        if sign == "(":
            opened.append(position)
        elif sign == ")" and opened:
            closing[opened.pop()] = position
    signs = list(answer)
    for head in _HEAD.finditer(answer):
        opening = head.end() - 1
        if opening in closing:
            is_abs = head.group(1) == "\\abs"
            signs[opening], signs[closing[opening]] = ("|", "|") if is_abs else ("{", "}")
            if is_abs:
                signs[head.start() : opening] = [""] * (opening - head.start())
    return "".join(signs)
