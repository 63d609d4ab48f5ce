r"""Inequalities in one variable as the sets that they describe, so that `1 \le x < 2` can be compared with `[1, 2)`."""

import re

_SIGNS = [
    (re.compile(pattern), by)
    for pattern, by in [
        (r"!=|≠|<>|\\not\s*=|\\neq?(?![a-zA-Z])", r"\\neq "),
        (r">=|≥|⩾|≧|\\geq?(?:slant|q)?(?![a-zA-Z])", r"\\geq "),
        (r"<=|≤|⩽|≦|\\leq?(?:slant|q)?(?![a-zA-Z])", r"\\leq "),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"\\lt(?![a-zA-Z])", "<"),
    ]
]
_VARIABLE = r"([a-zA-Z]|\\[a-z]{2,8})"
_BETWEEN = re.compile(rf"([^<>≤≥]+)([<>≤≥])\s*{_VARIABLE}\s*([<>≤≥])([^<>≤≥]+)")
_ONE_SIDED = re.compile(rf"{_VARIABLE}\s*([<>≤≥])([^<>≤≥]+)")
_TURNED = re.compile(rf"([^<>≤≥a-zA-Z]*[\d}})])\s*([<>≤≥])\s*{_VARIABLE}")
_UNEQUAL = re.compile(rf"{_VARIABLE}\s*\\neq\s*([^=<>≤≥]+)")
_OR = re.compile(r",?\s*(?:\\(?:text|mathrm)\{\s*or\s*\}|(?<![a-zA-Z\\])or(?![a-zA-Z])|\\(?:lor|vee)(?![a-zA-Z]))\s*")
_AND = re.compile(
    r",?\s*(?:\\(?:text|mathrm)\{\s*and\s*\}|(?<![a-zA-Z\\])and(?![a-zA-Z])|\\(?:land|wedge)(?![a-zA-Z])|,)\s*"
)
_BUILDER = re.compile(
    r"(?:\\left)?\\\{\s*[a-zA-Z]\s*(?:\\in\s*\\mathbb\{R\}\s*)?(?:\\mid|\||:|\\vert|\\colon)(.+?)(?:\\right)?\\\}"
)
_TURN = str.maketrans("<>≤≥", "><≥≤")


def with_latex_signs(answer: str) -> str:
    r"""`!=`, `≠`, `>=`, `\geqslant` and the like as `\neq`, `\geq`, `\leq`."""
    for pattern, by in _SIGNS:
        answer = pattern.sub(by, answer)
    return answer


def as_set(answer: str) -> tuple[str, str] | None:
    r"""The set that an inequality describes, and its variable: `x > 5` is ("(5, \infty)", "x"); None for anything else.

    Its signs are LaTeX's. Parts joined by "or" make a union; a lower and an upper bound joined by "and" an interval.
    """
    if builder := _BUILDER.fullmatch(answer.strip()):
        answer = builder.group(1)
    parts = _OR.split(answer.replace("\\leq", "≤").replace("\\geq", "≥"))
    sets = [found for part in parts if (found := _of_one(part.strip()) or _of_two(part.strip()))]
    if len(sets) < len(parts) or len({variable for _, variable in sets}) > 1:
        return None
    return r" \cup ".join(interval for interval, _ in sets), sets[0][1]


def _of_one(answer: str) -> tuple[str, str] | None:
    if match := _BETWEEN.fullmatch(answer):
        low, first, variable, second, high = match.groups()
        if (first in "<≤") != (second in "<≤"):
            return None
        return _interval(low, first, second, high) if first in "<≤" else _interval(high, second, first, low), variable
    if bound := _bound(answer):
        variable, sign, value = bound
        return _interval(r"-\infty", "<", sign, value) if sign in "<≤" else _interval(value, sign, "<", r"\infty"), variable
    if match := _UNEQUAL.fullmatch(answer):
        variable, values = match.groups()
        return rf"\mathbb{{R}} \setminus \{{{values.strip()}\}}", variable
    return None


def _of_two(answer: str) -> tuple[str, str] | None:
    """Two bounds of the same variable."""
    bounds = [bound for part in _AND.split(answer) if (bound := _bound(part.strip()))]
    below = [bound for bound in bounds if bound[1] in ">≥"]
    above = [bound for bound in bounds if bound[1] in "<≤"]
    if len(_AND.split(answer)) != 2 or len(below) != 1 or len(above) != 1 or below[0][0] != above[0][0]:
        return None
    return _interval(below[0][2], below[0][1], above[0][1], above[0][2]), below[0][0]


def _bound(answer: str) -> tuple[str, str, str] | None:
    """`x < 5`, or `5 > x`, as its variable, sign and value."""
    if match := _ONE_SIDED.fullmatch(answer):
        variable, sign, value = match.groups()
        return variable, sign, value
    if match := _TURNED.fullmatch(answer):
        value, sign, variable = match.groups()
        return variable, sign.translate(_TURN), value
    return None


def _interval(low: str, first: str, second: str, high: str) -> str:
    return f"{'(' if first in '<>' else '['}{low.strip()}, {high.strip()}{')' if second in '<>' else ']'}"
