r"""Which references of mathematics can be verified at all: numbers, formulas and short answers in words.

is_verifiable_reference("\\frac{1}{2}")   # True
is_verifiable_reference("\\text{ellipse}")   # True
is_verifiable_reference("proof")   # False: what NuminaMath-1.5 (and others) put where there is no answer
is_verifiable_reference("It follows from the triangle inequality.")   # False: prose
"""

import re

from ded_ray.verify.signs import readable

MAX_REFERENCE_CHARS = 2_000
MAX_WORDS = 8
"""An answer in words that is longer is prose."""
MAX_WORDS_OF_CLAUSE = 3
"""So is a longer clause: nothing here can tell whether another text says the same."""

_SENTINEL = re.compile(
    r"(?:"
    r"(?:the |a |this |to be |hence |thus |therefore |it is )?(?:proof|prove|proved|proven|prove it|as required|solution"
    r"|explain|explanation|answers?|figure|fig|diagram|graph|picture|image|table|sketch|drawing|attachment|construction)\.?"
    r"(?: (?:is |are )?(?:omitted|needed|required|only|here|below|above|given|attached|follows|completed?|question|problem"
    r"|provided|\d+[a-z]?|(?:may |will |can )?(?:var(?:y|ies)|differ)))*"
    r"|q\.? ?e\.? ?d|not ?(?:found|available|given|provided|applicable|specified|stated|answered|sure|known)"
    r"|no ?(?:answer|ground ?truth|reference)(?: (?:given|provided|available|found))?"
    r"|n ?/ ?a|na|none|null|nil|nan|unk|unknown|unavailable|unanswered|unspecified|omitted|tbd|todo|placeholder"
    r"|open[ -]ended|<[a-z_]+>"
    r"|(?:please )?(?:see|refer|cf\.?|look|consult|prove|show|verify|draw|sketch|explain|plot)\b .+"
    r"|as (?:shown|above|below|described|in)\b.*|(?:shown|given|proved|proven|described|explained) (?:in|above|below)\b.*"
    r"|(?:the |this )?(?:inequality|identity|equality|statement|claim|theorem|relation|property|assertion)"
    r" (?:holds?|follows|(?:is |has been )?(?:proved|proven|established|verified|shown))"
    r"|略|见解析|证明.*|见图.*|详见.*|无|暂无.*|解析.*|如图.*"
    r")",
    re.IGNORECASE | re.DOTALL,
)
_KNOWN_PHRASE = re.compile(
    r"^(?:yes|no|true|false)\b|do(?:es)? not exist|no such|no (?:[a-z]+ )?(?:solutions?|roots?)|(?:infinitely|in?finite)\b"
    r"|all (?:[a-z]+ )?(?:numbers|reals|integers|values)|(?:cannot|can ?not|can't) be determined|not enough information"
    r"|neither|none of",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"\b(?:is|are|was|were|be|been|being|has|have|had|can|may|must|should|will|would|we|it|they|he|she|you|this|that|these"
    r"|those|which|who|where|when|if|then|thus|hence|because|since|therefore|so|by|use|using|follows?|holds?|prove[dns]?"
    r"|shows?|shown|given|let|there|note|see|the)\b",
    re.IGNORECASE,
)
_COMMAND = re.compile(r"\\(?:text|textbf|textit|textrm|mbox|mathrm|mathbf|mathit|operatorname)\s*(?=\{)|\\[a-zA-Z]+")
_SIGN = re.compile(r"\\(?!blacksquare|square|Box|qed)[a-zA-Z]+|∅|∞|\\\{\s*\\\}")  # an answer without letters and digits
_ANNOUNCED = re.compile(r"^\W*(?:the )?(?:final )?answer(?: is|:)\W*(?=\S)", re.IGNORECASE)


def is_verifiable_reference(answer: str) -> bool:
    """Whether a verdict of right or wrong is possible against this reference; at once, without a child process.

    False for an empty one, a sentinel (`proof`, `notfound`, `see the figure`, `N/A`) and prose. True is no promise: a
    formula that Math-Verify cannot parse is only found out later.
    """
    if len(answer) > MAX_REFERENCE_CHARS:
        return False
    text = _ANNOUNCED.sub("", without_marks(readable(answer)))
    if not any(sign.isalnum() for sign in text) and not re.search(
        r"\\(?!blacksquare|square|Box|qed)[a-zA-Z]+|∅|∞|\\\{\s*\\\}", answer
    ):
        return False
    if _SENTINEL.fullmatch(text):
        return False
    words = re.findall(r"[^\W\d_]{2,}", text)
    if _KNOWN_PHRASE.search(text) and len(words) <= MAX_WORDS:
        return True
    return len(words) <= (MAX_WORDS_OF_CLAUSE if _CLAUSE.search(text) else MAX_WORDS)


def without_marks(answer: str) -> str:
    r"""What a person reads: without commands, braces, the marks of mathematics and what ends a sentence."""
    text = _COMMAND.sub(" ", re.sub(r"\\[()\[\],;:! ]|[$~{}]", " ", answer))
    return " ".join(text.split()).strip(" .!?;:,\"'`*-–—()[]")  # noqa: RUF001
