# ruff: noqa: RUF001, RUF002 (signs that look like others are what this file is about)
r"""What texts are compared by: their words; of scripts that leave no space between words, every character is one.

The same question comes in many signs: with curly quotes, wide digits or invisible characters, and its formulas in TeX or in
Unicode. All of them become one form here, `$7 \times 8$` and `7×8` both `7*8`, and formulas that differ stay different.
"""

import html
import re
import unicodedata
from collections.abc import Iterator

Words = tuple[str, ...]

_QUOTES = "‘’‚‛‹›´′ʼ“”„‟«»″「」『』"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_SIGNS = str.maketrans(
    {**dict.fromkeys(_QUOTES, "'"), **dict.fromkeys(_DASHES, "-"), '"': "'", "\u2215": "/", "\u2044": "/", "\u00f7": "/",
     "\u22c5": "\u00b7", "\u2219": "\u00b7", "\u2217": "*", "\u2713": "", "\u2192": "->", "\u27f6": "->", "\u2a7d": "\u2264",
     "\u2a7e": "\u2265", "\u03d5": "\u03c6", "\u03f5": "\u03b5", "\u2206": "\u03b4", "\u2126": "\u03c9", "\u223c": "~"}
)  # fmt: skip
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff"
                        "\U000e0000-\U000e0fff]")  # fmt: skip
_RAISED = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u207f\u2071]+")
_LOWERED = re.compile("[\u2080-\u209c]+")
_VULGAR = re.compile("(\\d?)([\u00bc-\u00be\u2150-\u215e])")

_SYMBOLS = dict(
    re.findall(
        r"([A-Za-z]+)=(\S+)",
        """times=× cdot=· ast=* div=/ pm=± mp=∓ le=≤ leq=≤ leqslant=≤ ge=≥ geq=≥ geqslant=≥ ne=≠ neq=≠ approx=≈ equiv=≡ sim=~
        cong=≅ propto=∝ infty=∞ degree=° sqrt=√ to=-> rightarrow=-> longrightarrow=-> ldots=... dots=... cdots=... dotsc=...
        dotsb=... in=∈ notin=∉ subset=⊂ subseteq=⊆ cup=∪ cap=∩ emptyset=∅ varnothing=∅ angle=∠ triangle=△ perp=⊥ parallel=∥
        mid=| sum=∑ prod=∏ int=∫ partial=∂ nabla=∇ forall=∀ exists=∃ ell=ℓ lbrace=⦃ rbrace=⦄ lfloor=⌊ rfloor=⌋ lceil=⌈
        rceil=⌉ langle=⟨ rangle=⟩ lvert=| rvert=| vert=| alpha=α beta=β gamma=γ delta=δ epsilon=ε varepsilon=ε zeta=ζ
        eta=η theta=θ vartheta=θ iota=ι kappa=κ lambda=λ mu=μ nu=ν xi=ξ pi=π rho=ρ sigma=σ tau=τ
        upsilon=υ phi=φ varphi=φ chi=χ psi=ψ
        omega=ω Gamma=Γ Delta=Δ Theta=Θ Lambda=Λ Xi=Ξ Pi=Π Sigma=Σ Phi=Φ Psi=Ψ Omega=Ω""",
    )
)
_SYMBOLS |= dict.fromkeys(("quad", "qquad", "newline", "par", "space"), " ")
_SYMBOLS |= dict.fromkeys(re.findall(r"\w+", "left right middle displaystyle textstyle limits nolimits bf rm it"), "")
_SYMBOLS |= {size + side: "" for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r")}
"""What a TeX command is in Unicode; nothing for those that only say how something looks."""

_COMMAND = re.compile(r"\\([A-Za-z]+) ?")
_WRAPPER = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|texttt|textnormal|emph|mbox|hbox|mathrm|mathbf|mathit|mathsf|mathbb|mathcal"
    r"|operatorname|boldsymbol|bm|underline)\*? ?\{([^{}]*)\}"
)
_ARGUMENT = r"(?:\{([^{}]*)\}|([A-Za-z0-9]))"
_FRACTION = re.compile(rf"\\[dtc]?frac ?{_ARGUMENT} ?{_ARGUMENT}")
_BRACES = re.compile(r"(\\[A-Za-z]+|[\^_\u221a]|) ?\{([^{}]*)\}([A-Za-z0-9]?)")
_ATOM = re.compile(r"\u221a?(?:\d+|\w)")
_DEEPEST = 8
"""Levels of braces that are looked into; of deeper ones the braces are left out."""

_ESCAPED = re.compile(r"\\([%#&_$])|\\[()!]")
_TEX_SPACE = re.compile(r"\\[\\\[\],;: ]")
_FACTORIAL = re.compile(r"!(?=\s*(?:\$|\\[)\]]))")
_EMPHASIS = re.compile(
    r"(?<![\w)*])\*{2,3}(?=[^\s*])|(?<=[^\s*])\*{2,3}(?![\w(*])|(?<![\w\\])__(?=[A-Za-z])|(?<=\w)__(?!\w)"
)
_DROPPED = str.maketrans({"$": None, "{": None, "}": None, "~": " ", '"': "'"})
_OPERATORS = "-+*/=<>^|\u00d7\u00b7\u00b1\u2264\u2265\u2260\u2248"
_BRACKETS = {"(": ")", "[": "]", "\u2983": "\u2984"}
_GREEK = re.compile(r"(?<=\d) (?=[\u03b1-\u03c9])|(?<=[\u03b1-\u03c9]) (?=[a-z](?![a-z])|[\u03b1-\u03c9\d])"
                    r"|(?<=(?<![a-z])[a-z]) (?=[\u03b1-\u03c9])")  # fmt: skip
_THOUSANDS = re.compile(r"(?<![\d.,(\[\u2983])\d{1,3}(?:,\d{3})+(?![\d,)\]\u2984])")
_LIST_COMMA = re.compile(r"(?<=\d), (?=-?\d)")
_PRODUCT = re.compile(r"(?<=\d)[\u00d7\u00b7]|(?<![^\W\d_])[\u00d7\u00b7](?=\d)")
_LETTER_PRODUCT = re.compile(r"(\d) ?x ?(?=\d)")
_BARE_DECIMAL = re.compile(r"\.(?<![\d.]\.)(?=\d)")
_UNIT = re.compile(r"(\d)(?=[a-z]{2})")
_LONG_DASH = re.compile(r"(?<=[a-z]{2})-{2,3}(?=[a-z]{2})")

_UNSPACED = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")  # kana and Han

_PUNCTUATION = ".,;:!?'`()[]\u3002\u3001"
_INTERVAL = re.compile(r"[(\[][^()\[\]]*,[^()\[\]]*[)\]]")
"""The brackets of (1,2] are not punctuation."""


def words(text: str) -> Words:
    """What is compared: words without case, punctuation at their ends, the markup of formulas, and where lines break."""
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        text = _one_dress(text)
    if "!" in text:
        text = _FACTORIAL.sub("\u01c3", text)
    if "\\" in text or "{" in text:
        text = _without_tex(text)
    if "**" in text or "__" in text:
        text = _EMPHASIS.sub("", text)
    plain = _tight(" ".join(text.translate(_DROPPED).casefold().split()))
    return tuple(stripped for word in split(plain) if (stripped := _strip(word)))


def _tight(text: str) -> str:
    """One form for numbers and operators, without spaces around them."""
    text = text.replace("<=", "\u2264").replace(">=", "\u2265")
    for opening, closing in _BRACKETS.items():
        if opening in text:
            text = text.replace(opening + " ", opening).replace(" " + closing, closing)
    for operator in _OPERATORS:
        if operator in text:
            text = text.replace(" " + operator, operator).replace(operator + " ", operator)
    if not text.isascii():
        text = _GREEK.sub("", text)
    if "--" in text:
        text = _LONG_DASH.sub("-", text)
    if "\u00d7" in text or "\u00b7" in text:
        text = _PRODUCT.sub("*", text)
    if "," in text:
        text = _LIST_COMMA.sub(",", _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text))
    return _UNIT.sub(r"\1 ", _LETTER_PRODUCT.sub(r"\1*", _BARE_DECIMAL.sub("0.", text)))


def _one_dress(text: str) -> str:
    """Letters, digits, quotes, dashes and operators in one form each; without characters that nobody sees."""
    text = _INVISIBLE.sub("", text).translate(_SIGNS)
    text = _RAISED.sub(lambda found: "^" + found[0] if len(found[0]) == 1 else f"^{{{found[0]}}}", text)
    text = _LOWERED.sub(lambda found: "_" + found[0] if len(found[0]) == 1 else f"_{{{found[0]}}}", text)
    text = _VULGAR.sub(lambda found: (found[1] and found[1] + " ") + found[2], text)
    return unicodedata.normalize("NFKC", text).translate(_SIGNS)


def _without_tex(text: str) -> str:
    r"""TeX as plain text: `\frac{x+1}{2}` is (x+1)/2, `x^{10}` x^10 and `x^{n+1}` x^(n+1), `\text{cm}` cm, `\le` a sign."""
    text = text.replace("\\{", "\u2983").replace("\\}", "\u2984")
    text = _ESCAPED.sub(lambda found: found[1] or "", re.sub(r"(?<=\d)\\,(?=\d{3})", "", text.replace("{,}", ",")))
    text = _TEX_SPACE.sub(" ", text)
    text = re.sub(r"\^ ?(?:\{ ?\\circ ?\}|\\circ(?![A-Za-z]))", "\u00b0", text)
    text = _COMMAND.sub(lambda found: _SYMBOLS.get(found[1], found[0]), text)
    for _ in range(_DEEPEST):
        if "{" not in text and "frac" not in text:
            break
        before = text
        text = _BRACES.sub(_grouped, _FRACTION.sub(_as_quotient, _WRAPPER.sub(r"\1", text)))
        if text == before:
            break
    return text


def _as_quotient(found: re.Match[str]) -> str:
    numerator, denominator = (_bracketed(found[i] if found[i] is not None else found[i + 1]) for i in (1, 3))
    before, after = found.string[: found.start()][-1:], found.string[found.end() : found.end() + 1]
    return f"{' ' * before.isalnum()}{numerator}/{denominator}{' ' * after.isalnum()}"  # 2 1/2 is not 21/2


def _grouped(found: re.Match[str]) -> str:
    before, content, after = found.groups()
    if before.endswith("frac"):
        return found[0]  # its other argument has braces inside
    inside = _bracketed(content) if before else content
    return f"{before}{inside}{' ' * bool(before and after)}{after}"


def _bracketed(content: str) -> str:
    """An argument in brackets, where it is not one number, letter or root of one."""
    return content.strip() if _ATOM.fullmatch(content.strip()) else f"({content.strip()})"


def _strip(word: str) -> str:
    bare = word.strip(_PUNCTUATION)
    if "," not in bare:
        return bare
    outer = word.strip(".,;:!?'`")
    return outer if _INTERVAL.fullmatch(outer) and any(map(str.isdigit, outer)) else bare


def split(text: str) -> list[str]:
    """Words, and single characters of Chinese and Japanese."""
    return (text if text.isascii() else _UNSPACED.sub(r" \1 ", text)).split()


def runs(said: Words, length: int) -> Iterator[Words]:
    """All runs of so many words, in order."""
    return (said[i : i + length] for i in range(len(said) - length + 1))
