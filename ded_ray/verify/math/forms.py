r"""Ways of writing an answer that Math-Verify does not read, rewritten into ones that it does. Plain text functions.

An answer is tried as it stands first and in its plainer form second, so a rule here can only ever make more answers
equal: each must keep the value. What stays unread or is read too kindly is listed in the README under "Verdicts".
"""

import re

from ded_ray.verify.math.plain_text import from_plain_text
from ded_ray.verify.math.relations import with_latex_signs
from ded_ray.verify.math.words import NUMBERS, as_mathematics

_BASE = rf"(?:\d{{1,2}}|{'|'.join(NUMBERS)})"
_BASED = re.compile(
    rf"(?:\\text\{{)?\(?([0-9A-Za-z]{{1,200}})\)?\}}?_(?:\{{\s*(?:\\(?:text|mathrm)\{{)?\s*({_BASE})\s*\}}{{1,2}}|({_BASE}))",
    re.ASCII,
)
_MODULUS = re.compile(r"\s*(?:\\pmod\s*(?:\{\d+\}|\d+)|\(\s*(?:\\(?:text|mathrm)\{\s*)?\\?mod\s*\}?\s*\d+\s*\))\s*$")
_TIME = re.compile(
    r"(\d{1,2})(?::([0-5]\d))?\s*(?:\\[ ,;]|~)?\s*(?:(?:\\(?:text|mathrm)\{\s*)?([aApP])\.?\s?[mM]\.?\s*\}?)?", re.ASCII
)
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:(?:\\[, ]|~|\{,\}|[ _])\d{3})+(?:\.\d+)?")
_LIST = re.compile(r",?\s*(?:\\text\{\s*and\s*\}|(?<![a-zA-Z\\])and(?![a-zA-Z])|[,;])\s*")
_REPEATING = re.compile(r"(?<![\d.])(\d{0,30})\.(\d{0,30})\\overline\{(\d{1,30})\}")
_MATRIX = re.compile(r"\[\s*\[[^\[\]]+\](?:\s*,\s*\[[^\[\]]+\])*\s*\]")
_PLUS_MINUS = re.compile(r"\\pm(?![a-zA-Z])|±|\+/-|(?:^|(?<=\s))\+-")
_MINUS_PLUS = re.compile(r"\\mp(?![a-zA-Z])|∓")
_NUMBER_FOLLOWS = r"(?=\s*[-+]?\s*(?:\\?\$)?\s*(?:[\d.]|\\frac|\\sqrt|\\pi))"
_FUNCTION_OF_DEGREES = re.compile(
    r"\\(sin|cos|tan|cot|sec|csc)\s*[({]?\s*(\d+(?:\.\d+)?)\s*(?:°|\^\{?\s*\\circ\s*\}?|\\degree(?![a-zA-Z]))\s*[)}]?"
)

_RULES: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), by)
    for pattern, by in [
        (r"\\[()\[\]]|\\?\$", ""),  # the marks of mathematics: \( 5 \), $5$; and dollars
        (r"^\s*~", ""),
        (r"\\[!;:]|\\q?quad(?![a-zA-Z])|~", " "),
        (r"[−‐‑]", "-"),  # noqa: RUF001
        (r"(^|[(\[{,=^*/])\s*–", r"\1-"),  # noqa: RUF001  between two numbers it makes a range
        (r"[×·⋅∙]|\\cdot(?![a-zA-Z])", r"\\times "),  # noqa: RUF001
        (r"÷", "/"),
        (r"√\s*(\w+(?:\.\d+)?|\([^()]*\))", r"\\sqrt{\1}"),
        (r"∛\s*(\w+(?:\.\d+)?|\([^()]*\))", r"\\sqrt[3]{\1}"),
        (r"∞", r"\\infty "),
        (r"∪", r"\\cup "),  # noqa: RUF001
        (r"(?<=[\])])\s?U\s?(?=[\[(])", r"\\cup "),
        (r"\\middle(?![a-zA-Z])", ""),
        (r"\\backslash(?![a-zA-Z])|(?<=\\mathbb\{R\})\s?-\s?(?=\\\{)", r"\\setminus "),
        (r"^[a-z]\s?\\in\s?\\mathbb\{R\}\s?,\s?(?=[a-z])", ""),
        (r"\\text\{:\}", ":"),
        (r"∩", r"\\cap "),
        (r"∈", r"\\in "),
        (r"\\langle(?![a-zA-Z])", "("),
        (r"\\rangle(?![a-zA-Z])", ")"),
        (r"\\lbrace(?![a-zA-Z])", r"\\{"),
        (r"\\rbrace(?![a-zA-Z])", r"\\}"),
        (r"∅|\\varnothing(?![a-zA-Z])", r"\\emptyset "),
        (r"\\mathbb\s+([A-Z])|\\(?=[RZNQ](?![a-zA-Z]))", r"\\mathbb{\1}"),
        (r"\\sqrt\s+([a-zA-Z])(?![a-zA-Z])", r"\\sqrt{\1}"),
        (r"\\pmod\s*(\d+)", r"\\pmod{\1}"),
        (r"^\s*[a-zA-Z]\s*\\equiv(?![a-zA-Z])\s*", ""),
        (r"\\(?:underline|textstyle|large|Large|LARGE|huge|bf|rm|it)(?![a-zA-Z])|\\\s*$", ""),
        (r"\\(?:text)?color\s*\{[a-zA-Z]{1,20}\}", ""),
        (r"\\(?:mathrm|text|mathit)\{\s*([ei])\s*\}", r"\1 "),
        (r"\\lg(?![a-zA-Z])", r"\\log "),
        (r"\\(?:dots|cdots|dotsc|hdots)(?![a-zA-Z])|…|\.\.\.+", r"\\ldots "),
        (r"°|\^\s*\{?\\circ\}?|(?<=\d)\^\{?(?:o|\\text\{o\})\}?$|\\degrees?(?![a-zA-Z])", ""),
        (r"[€£¥₹¢]|\\(?:euro|pounds|yen)(?![a-zA-Z])|^\s*(?:USD|EUR|GBP|INR|Rs\.?|US)\s*(?=\d)", ""),
        (r"^\s*(?:\\text\{\s*)?(?:[Tt]he )?(?:final )?[Aa]nswer(?: is|:)\s*:?\s*\}?", ""),
        (rf"^\s*(?:\\text\{{)?\s*[A-Za-z][A-Za-z ]{{3,40}}(?::|\s(?:is|are|equals))\s*\}}?{_NUMBER_FOLLOWS}", ""),
        (
            r"^\s*(?:\\(?:approx|sim(?:eq)?)(?![a-zA-Z])|≈|=|:|[Aa]bout\s|[Aa]pprox(?:imately\s|\.)|[Rr]oughly\s|[Aa]round\s)\s*",
            "",
        ),
        (rf"^\s*(?:\\text(?:bf)?\{{\s*\(?[A-E]\)?[.:]?\s*\}}|\([A-E]\))(?:\\[ ,;]|\s)*{_NUMBER_FOLLOWS}", ""),
        (r"^\s*(?:(?:[Oo]ption|[Cc]hoice)\s+\(?([A-Z])\)?|([A-Z])[.)])\s*$", r"\1\2"),
        (r"^\s*([-+]?\d+(?:\.\d+)?)\s*\\ldots\s*$", r"\1"),
        (r"^\s*\\(?:text|textbf|mathrm|mbox)\{\s*([-+]?[\d.,/]*\d[^{}\d]*)\}\s*$", r"\1"),  # \text{5 apples}
        (r"(?<=\d)\s*(?:\\?%|percent)\s*$", ""),
        (r"(?<=[\d}])\s*\\%\s*$", ""),
        (r"(?<=\d)(?:\^\{?)?\s?(?:\\text\{)?\s?(?:st|nd|rd|th)\}{0,2}$", ""),
        (r"(?<![\d./}])(\d{1,12})\s+(\d{1,12})/(\d{1,12})(?![\d/])", r"\1\\frac{\2}{\3}"),
        (r"^\s*([-+]?\d+(?:\.\d+)?)(?:[eE]|\s*(?:\*|x)\s*10\^)\{?([-+]?\d{1,4})\}?\s*$", r"\1 \\times 10^{\2}"),
        (r"^\s*(\d+)\s*(?:\\text\{\s*to\s*\}|to)\s*(\d+)\s*$", r"\1:\2"),
        (r"(?:\{\})?(?:\^\{?|_\{?)(\d{1,9})\}?\s?C_\{?(\d{1,9})\}?", r"\\binom{\1}{\2}"),
        (r"^([-+]?[\d./]+)\s?=\s?[a-zA-Z]$", r"\1"),
        (r"\{smallmatrix\}", "{pmatrix}"),
        (r"\.(\d{0,30})\\dot\{?(\d)\}?(\d{0,30})\\dot\{?(\d)\}?", r".\1\\overline{\2\3\4}"),
        (r"\.(\d{0,30})\\dot\{?(\d)\}?", r".\1\\overline{\2}"),
        (r",\s*(?:\\text\{\s*(?:where|for|with)?\s*\})?\s*\(?[a-z]\s*\\in\s*\\mathbb\{[ZN]\}\)?\s*$", ""),
        (r"^\](\s*[^\[\](),]+,[^\[\](),]+)([\[\]])$", r"(\1\2"),  # ]0, 1[
        (r"^([(\[]\s*[^\[\](),]+,[^\[\](),]+)\[$", r"\1)"),
        (r"(?<=\d)\.\s*$", ""),
    ]
]


def plainer(answer: str) -> str:
    """The same answer in a form that Math-Verify reads; unchanged where no rule applies."""
    answer = " ".join(as_mathematics(answer).split())  # long runs of white space would take the rules long, too
    if _GROUPED.fullmatch(answer.strip()):  # 1\\,000 and 1 000
        answer = re.sub(r"[^-+.\d]", "", answer)
    answer = with_latex_signs(from_plain_text(answer))
    answer = _FUNCTION_OF_DEGREES.sub(r"\\\1(\\frac{\2\\pi}{180})", answer)
    for pattern, by in _RULES:
        answer = pattern.sub(by, answer)
    answer = " ".join(_REPEATING.sub(_repeating_as_fraction, answer).split())
    if _MATRIX.fullmatch(answer):
        rows = r"\\".join(row.replace(",", "&") for row in re.findall(r"\[([^\[\]]+)\]", answer))
        answer = rf"\begin{{pmatrix}}{rows}\end{{pmatrix}}"
    return _both_signs(answer)


def _both_signs(answer: str) -> str:
    r"""`\frac{-1 \pm \sqrt5}{2}` as its two values; Math-Verify reads the sign outside a fraction only."""
    if not _PLUS_MINUS.search(answer) or "," in answer:
        return answer
    answer = re.sub(r"^\s*[a-zA-Z]\s*=\s*", "", answer)
    return ", ".join(_MINUS_PLUS.sub(other, _PLUS_MINUS.sub(sign, answer)) for sign, other in (("+", "-"), ("-", "+")))


def _repeating_as_fraction(found: re.Match[str]) -> str:
    r"""0.1\overline{6} is (16 - 1) / 90."""
    whole, fixed, period = found.groups()
    below = (10 ** len(period) - 1) * 10 ** len(fixed)
    above = int(whole + fixed + period) - int(whole + fixed or 0)
    return f"\\frac{{{above}}}{{{below}}}"


def without_modulus(answer: str) -> str:
    r"""`4 \pmod 7` as `4`, where the other answer names no modulus."""
    return _MODULUS.sub("", answer)


def as_tuple(answer: str) -> str | None:
    """`x = 1, y = 2` as `(1, 2)`; None for anything else. Math-Verify would take it for a set."""
    sides = [part.partition("=") for part in _LIST.split(answer)]
    names = [name.strip() for name, _, _ in sides]
    values = [value.strip() for _, _, value in sides]
    if len(sides) < 2 or len(set(names)) < len(names) or not all(re.fullmatch("[a-zA-Z]", name) for name in names):
        return None
    return None if any("=" in value or not value for value in values) else f"({', '.join(values)})"


def without_spaces(answer: str) -> str:
    """For a comparison as text: only the white space that separates two words or numbers is left."""
    return re.sub(r"(?<![a-zA-Z\d])\s+|\s+(?![a-zA-Z\d])", "", answer)


def times_of_day(answer: str) -> tuple[set[int], bool]:
    """The minutes of the day that `5:30` or `5:30 PM` may mean, and whether it says AM or PM; none for anything else."""
    match = _TIME.fullmatch(" ".join(answer.strip("$ ").split()))
    if match is None or int(match.group(1)) > 23 or not (match.group(2) or match.group(3)):
        return set(), False
    hour, minute, half = int(match.group(1)), int(match.group(2) or 0), match.group(3)
    if half:
        return {(hour % 12 + (12 if half in "pP" else 0)) * 60 + minute}, True
    return {(hour * 60 + minute), ((hour + 12) % 24 if 1 <= hour <= 12 else hour) * 60 + minute}, False


def based_number(answer: str) -> int | None:
    """The value of a numeral that names its base, 1011_2 or (1F)_{16}; None for anything else."""
    match = _BASED.fullmatch(answer.strip().strip("$").strip())
    if match is None:
        return None
    digits, name = match.group(1), match.group(2) or match.group(3)
    base = NUMBERS[name] if name in NUMBERS else int(name)
    if not 2 <= base <= 36:
        return None
    if not digits[0].isdigit() and not (base == 16 and re.fullmatch("[0-9A-F]+", digits)):
        return None  # x_{12} is a symbol
    try:
        return int(digits, base)
    except ValueError:  # a digit that the base does not have
        return None
