r"""Other signs for the same answer: full-width digits, invisible characters, Markdown's marks, a model's end tokens.

readable("**３**<|im_end|>")   # "3"
readable("x² + ½")             # "x^{2} + \frac{1}{2}"

Unicode's compatibility form (NFKC, Unicode Standard Annex 15) folds most of them, but would also turn x² into x2, 1½ into
11/2 and ℝ into R; those are written in LaTeX before it is applied.
"""

import re
import unicodedata

END_TOKEN = re.compile(r"<\|[^<>|\s]{1,40}\|>|</?s>|<(?:eos|bos|pad|end_of_turn|eot)>")
"""What a serving engine should have taken away from the end of a completion."""

_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱˣᵏᵐ", "0123456789+-()nixkm", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ₙₖᵢⱼₘₓ", "0123456789+-nkijmx", strict=True))
_SUPERSCRIPT_RUN, _SUBSCRIPT_RUN = (re.compile(f"[{''.join(signs)}]+") for signs in (_SUPERSCRIPTS, _SUBSCRIPTS))
_LOOKALIKES = str.maketrans("º˚⁄∕∶∗“”‘’", "°°//:*\"\"''")
_NUMBER_SETS = str.maketrans({sign: rf"\mathbb{{{letter}}}" for sign, letter in zip("ℝℤℕℚℂ", "RZNQC", strict=True)})
_FRACTION = re.compile("[¼-¾⅐-⅞↉]")
_EMPHASIS = [
    re.compile(r"(?<![\w)\]}*])\*\*(?=[^\s*])([^*\n]{1,2000})(?<=\S)\*\*(?![\w(*])"),
    re.compile(r"(?<![\w)\]}])__(?=[^\s_])([^_\n]{1,2000})(?<=\S)__(?![\w(])"),
    re.compile(r"`([^`\n]{1,2000})`"),
    re.compile(r"^\*(?=[^\s*])([^*\n]{1,2000})(?<=\S)\*$"),
]


def _in_ascii(text: str) -> str:
    text = _FRACTION.sub(_fraction, text)
    text = _SUPERSCRIPT_RUN.sub(lambda run: f"^{{{''.join(_SUPERSCRIPTS[sign] for sign in run.group())}}}", text)
    text = _SUBSCRIPT_RUN.sub(lambda run: f"_{{{''.join(_SUBSCRIPTS[sign] for sign in run.group())}}}", text)
    text = unicodedata.normalize("NFKC", text.translate(_NUMBER_SETS).translate(_LOOKALIKES)).translate(_LOOKALIKES)
    signs = (str(unicodedata.decimal(sign, sign)) for sign in text)  # ٣ and ३ are 3
    return "".join(sign for sign in signs if sign.isspace() or not unicodedata.category(sign[0]).startswith("C"))


def _fraction(sign: re.Match[str]) -> str:
    above, below = unicodedata.normalize("NFKC", sign.group()).split("⁄")
    return rf"\frac{{{above}}}{{{below}}}"


def readable(text: str) -> str:
    """The same answer in plain signs, without emphasis, end tokens and what follows them; at most linear in its length."""
    if not text.isascii():
        text = _in_ascii(text)
    if token := END_TOKEN.search(text):
        text = text[: token.start()]
    text = text.strip()
    for emphasis in _EMPHASIS:
        text = emphasis.sub(r"\1", text).strip()
    return text
