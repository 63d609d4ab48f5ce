r"""Ways of writing an answer that Math-Verify does not read, rewritten into ones that it does. Plain text functions.

An answer is tried as it stands first and in its plainer form second, so a rule here can only ever make more answers
equal: each must keep the value. What stays unread or is read too kindly is listed in the README under "Verdicts".
"""

import re
from fractions import Fraction

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_INEQUALITY = r"(<=?|>=?|\\leq?(?:slant)?(?![a-zA-Z])|\\geq?(?:slant)?(?![a-zA-Z])|\\[lg]t(?![a-zA-Z])|≤|≥)"
_BETWEEN = re.compile(rf"(.+?){_INEQUALITY}\s*([a-zA-Z])\s*{_INEQUALITY}(.+)")
_ONE_SIDED = re.compile(rf"([a-zA-Z])\s*{_INEQUALITY}(.+)")
_BASED = re.compile(r"\(?([0-9A-Za-z]{1,200})\)?_\{?(?:\\text\{)?(\d{1,2})\}*", re.ASCII)
_MODULUS = re.compile(r"\s*(?:\\pmod\s*(?:\{\d+\}|\d+)|\(\s*(?:\\(?:text|mathrm)\{\s*)?\\?mod\s*\}?\s*\d+\s*\))\s*$")
_SCIENTIFIC = re.compile(
    r"([-+]?\d{1,30}(?:\.\d{1,30})?)(?:\s*(?:\\times|\\cdot)\s*10\^\{?\s*([-+]?\d{1,3})\s*\}?)?", re.ASCII
)
_UNIT = re.compile(
    r"(?<=[\d}])\s*(?:dollars?|cents?|euros?|pounds?|pence|yen|rupees?|hours?|minutes?|seconds?|days?|weeks?|months?|years?"
    r"|miles?|(?:kilo|centi|milli)?(?:met(?:er|re)s?|grams?|lit(?:er|re)s?)|feet|foot|inch(?:es)?|yards?|acres?|cups?"
    r"|gallons?|pints?|quarts?|ounces?|tons?|square|cubic|units?|degrees?|per|hour|people|students|children|apples?)"
    r"(?:\s+(?:square|cubic|per|an?|units?|cent(?:imet(?:er|re))?s?|met(?:er|re)s?|feet|foot|inch(?:es)?|hours?|minutes?|miles?))*\s*$"
)

_RULES: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), by)
    for pattern, by in [
        (r"\\[()\[\]]|\$", ""),  # the marks of mathematics: \( 5 \), $5$
        (r"\\[!;:]|\\q?quad(?![a-zA-Z])", " "),
        (r"−", "-"),  # noqa: RUF001
        (r"(^|[(\[{,=^*/])\s*–", r"\1-"),  # noqa: RUF001  between two numbers it makes a range
        (r"[×·]|\\cdot(?![a-zA-Z])", r"\\times "),  # noqa: RUF001
        (r"÷", "/"),
        (r"√\s*(\d+(?:\.\d+)?|\([^()]*\))", r"\\sqrt{\1}"),
        (r"∞", r"\\infty "),
        (r"∪", r"\\cup "),  # noqa: RUF001
        (r"\\langle(?![a-zA-Z])", "("),
        (r"\\rangle(?![a-zA-Z])", ")"),
        (r"∅|\\varnothing(?![a-zA-Z])", r"\\emptyset "),
        (r"½", r"\\frac{1}{2}"),
        (r"¼", r"\\frac{1}{4}"),
        (r"¾", r"\\frac{3}{4}"),
        (r"°|\^\{?\\circ\}?|\\degrees?(?![a-zA-Z])", ""),
        (r"[€£¥₹]|\\(?:euro|pounds|yen)(?![a-zA-Z])", ""),
        (r"^\s*(?:\\text\{\s*)?(?:[Tt]he )?(?:final )?answer(?: is|:)\s*:?\s*\}?", ""),
        (r"^\s*(?:\\approx(?![a-zA-Z])|≈|=|:)\s*", ""),
        (r"^\s*([-+]?\d+(?:\.\d+)?)\s*(?:\\[lc]?dots|\.\.\.|…)\s*$", r"\1"),
        (r"^\s*\\(?:text|textbf|mathrm|mbox)\{\s*([-+]?[\d.,/]*\d[^{}\d]*)\}\s*$", r"\1"),  # \text{5 apples}
        (r"(?<=\d)\s*(?:\\?%|percent)\s*$", ""),
        (r"(?<=[\d}])\s*\\%\s*$", ""),
        (r"(?<![\d./}])(\d{1,12})\s+(\d{1,12})/(\d{1,12})(?![\d/])", r"\1\\frac{\2}{\3}"),
        (r"^\s*([-+]?\d+(?:\.\d+)?)(?:[eE]|\s*(?:\*|x)\s*10\^)([-+]?\d{1,4})\s*$", r"\1 \\times 10^{\2}"),
        (r"(?<=\d)\.\s*$", ""),
    ]
]
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:(?:\\[, ]|~|\{,\}|[ \u00a0\u202f])\d{3})+(?:\.\d+)?")


def plainer(answer: str) -> str:
    """The same answer in a form that Math-Verify reads; unchanged where no rule applies."""
    answer = re.sub(r"[⁰¹²³⁴-⁹]+", lambda found: f"^{{{found.group().translate(_SUPERSCRIPTS)}}}", answer)
    if _GROUPED.fullmatch(answer.strip()):  # 1\\,000 and 1 000
        answer = re.sub(r"[^-+.\d]", "", answer)
    for pattern, by in _RULES:
        answer = pattern.sub(by, answer)
    return _REPEATING.sub(_repeating_as_fraction, answer).strip()


_REPEATING = re.compile(r"(?<![\d.])(\d{0,30})\.(\d{0,30})\\overline\{(\d{1,30})\}")


def _repeating_as_fraction(found: re.Match[str]) -> str:
    r"""0.1\overline{6} is (16 - 1) / 90."""
    whole, fixed, period = found.groups()
    below = (10 ** len(period) - 1) * 10 ** len(fixed)
    above = int(whole + fixed + period) - int(whole + fixed or 0)
    return f"\\frac{{{above}}}{{{below}}}"


def without_unit(answer: str) -> str:
    """`7.5 dollars` as `7.5`, for a reference that has no letters and so no product of variables.

    Only words that are known to be units: `5 million` and `2 thirds` are other numbers.
    """
    return _UNIT.sub("", answer)


def without_modulus(answer: str) -> str:
    r"""`4 \pmod 7` as `4`, where the other answer names no modulus."""
    return _MODULUS.sub("", answer)


def are_far_apart(found: str, wanted: str) -> bool:
    r"""Two numbers, plain or as `6.02 \times 10^{-23}`, more than a thousandth apart. Math-Verify looks at six decimals."""
    first, second = _value(found), _value(wanted)
    return first is not None and second is not None and abs(first - second) > abs(second) / 1000


def _value(answer: str) -> Fraction | None:
    match = _SCIENTIFIC.fullmatch(answer.strip().strip("$").strip())
    return Fraction(match.group(1)) * Fraction(10) ** int(match.group(2) or 0) if match else None


def as_interval(answer: str) -> str:
    r"""`1 \le x < 2` as `[1, 2)`, `x > 5` as `(5, \infty)`; anything else as it is."""
    if match := _BETWEEN.fullmatch(answer):
        low, first, _, second, high = match.groups()
        if _is_less(first) and _is_less(second):
            return f"{'(' if _is_strict(first) else '['}{low.strip()}, {high.strip()}{')' if _is_strict(second) else ']'}"
    elif match := _ONE_SIDED.fullmatch(answer):
        sign, bound = match.group(2), match.group(3).strip()
        if _is_less(sign):
            return f"(-\\infty, {bound}{')' if _is_strict(sign) else ']'}"
        return f"{'(' if _is_strict(sign) else '['}{bound}, \\infty)"
    return answer


def _is_less(sign: str) -> bool:
    return sign[0] in "<≤" or sign.startswith("\\l")


def _is_strict(sign: str) -> bool:
    return sign in {"<", ">", "\\lt", "\\gt"}


def is_inequality(answer: str) -> bool:
    return re.search(_INEQUALITY, answer) is not None


def based_number(answer: str) -> int | None:
    """The value of a numeral that names its base, 1011_2 or (1F)_{16}; None for anything else."""
    match = _BASED.fullmatch(answer.strip().strip("$").strip())
    if match is None:
        return None
    digits, base = match.group(1), int(match.group(2))
    if not digits[0].isdigit() and not (base == 16 and re.fullmatch("[0-9A-F]+", digits)):
        return None  # x_{12} is a symbol
    try:
        return int(digits, base)
    except ValueError:  # a digit that the base does not have, or no base
        return None
