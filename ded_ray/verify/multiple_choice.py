r"""Verdicts on multiple choice: the reference and the found answer may each be a letter or the option's own text.

A letter only counts where it names one option: `B`, `(b)`, `B. the Moon`, `\textbf{B} - the Moon`, `the Moon (B)`, `option
B, a safe choice`. An `A` that begins a sentence or is a symbol in a formula is none, neither is one of several, and neither
is one beside another option's text.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from ded_ray.verify.extract import MAX_ANSWER_CHARS, box_starts, extract_answer
from ded_ray.verify.verdict import Verdict

# What an answer looks like, without what it means.
_WRAPPER = re.compile(
    r"\\(?:boxed|fbox|text|textbf|textit|textrm|textsf|textnormal|emph|underline|bold|boldsymbol|bm|mathrm|mathbf|mathsf|mathit"
    r"|mbox|bf|rm) *\{([^{}]*)\}"
)
_SWITCH = re.compile(r"\\(?:left|right|displaystyle|bf|bfseries|rm|boldmath|large|Large|LARGE|huge|Huge)(?![A-Za-z])")
_SPACE = re.compile(r"\\(?:[ ,;:!]|q?quad(?![A-Za-z]))|~")
_MARKS = re.compile(r"\\[()\[\]]|[$`]|</?(?:b|strong|i|em|u|mark|span|p|code|answer)>|<br ?/?>|<\|\w{1,20}\|>")
_EMPHASIS = re.compile(
    r"(?<![\w)*])\*{1,3}(?=\S)|(?<=[^\s*])\*{1,3}(?![\w(*])|(?<!\w)_{1,2}(?=[A-Za-z(])|(?<=[A-Za-z).])_{1,2}(?![\w{])"
)
_ENCLOSED = re.compile(r"\{ ?(\(?[A-Za-z][^{}\\]*)\}|\"([^\"]*)\"|'([^']*)'")
_OTHER_DRESS = re.compile("[\uff01-\uff5e\u249c-\u24e9\U0001d400-\U0001d7ff]")  # wide, circled, mathematical
_SIGNS = str.maketrans({"\u3002": ".", "\u3001": ", ", "\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'",
                        "\u2212": "-"})  # fmt: skip

# What it means.
_LEAD = (
    r"(?:(?:the|my|final|most|correct|best|right|likely|appropriate|answer|option|choice|letter|is|it|must|would|be"
    r"|therefore|thus|so|hence|clearly|definitely)\b[\s:,]*)*"
)
_LETTER = re.compile(
    rf"(?P<lead>{_LEAD})(?:\(\s?(?P<round>[a-z])\s?\)|\[\s?(?P<square>[a-z])\s?\]|(?P<bare>[a-z])(?![\w'^]))(?P<rest>.*)",
    re.IGNORECASE,
)
_ALONE = re.compile(r"[\s.:,)!\]]*")
_LETTER_AT_THE_END = re.compile(r"[\s,-]?[(\[](?:(?:option|choice|answer) )?([a-z])[)\]]\.?$", re.IGNORECASE)
_DASH_OR_BRACKET = re.compile(r"^[\u2013\u2014-]+(?: |(?=[^\W\d_]{3}))|^\(")
_REASON = re.compile(r"\(?(?:because|since|as|due to|given that|which)\b", re.IGNORECASE)
_IS_CORRECT = re.compile(
    r"(?:is|would be|must be) (?:(?:the|most|clearly|definitely) )*(?:correct|right|best|true)"
    r"(?: (?:answer|option|choice|one))?[.!]?(?:,? (?:because|since)\b.*)?",
    re.IGNORECASE,
)
_PROSE = re.compile(r"\(?(?:(?:an?|the) )?[^\W\d_]{4,}\b[^\\=^_+*/<>{}|]*", re.IGNORECASE)
_HEDGE = re.compile(r"\b(?:or|nor|not|no|wrong|incorrect|false|either|neither|cannot|\w+n't)\b|^\W*and\b", re.IGNORECASE)
_SYMBOL = re.compile(r"\bA\b(?! (?!is\b|or\b|and\b|was\b|has\b|would\b|will\b)[a-z]{2})|\b(?![AI])[A-Z]\b|\b[b-z]\b")
_NUM_LETTERS = 10
"""Where the options are not known: a later letter beside an answer's is taken for a symbol."""

_TEXT_ENDS = re.compile(r"$|[\s;:)]|[.,](?!\d)|[(\u2013\u2014-](?=[^\W\d_]{3})")
_LETTER_AND_PERIOD = re.compile(r"(?<![\w.])([A-Z])(\**)\.(?=\**[ \t])")


def choice_index(answer: str, choices: Sequence[str]) -> int | None:
    """Which option an answer means, from 0: by its letter, by the option's text, or by both; None when it means none.

    Without options any single letter counts; with them only a letter that names one, and a text beside the letter must
    not be another option's. A lone letter is the option's name, not its text; a small one that is another option's text
    is neither.
    """
    if len(answer) > MAX_ANSWER_CHARS:
        return None
    plain, options = _plain(answer), _options(tuple(choices))
    letter = _LETTER.fullmatch(plain)
    index = _index(letter["round"] or letter["square"] or letter["bare"], choices) if letter else None
    if letter and index is not None and _ALONE.fullmatch(letter["rest"]):
        is_text = plain.islower() and any(option.plain == plain for option in options if option is not options[index])
        return None if is_text else index
    by_text = _by_text(answer, options)
    if by_text is not None:
        return by_text
    if letter and index is not None and _is_label(letter, index, options):
        return index
    if choices and (at_the_end := _LETTER_AT_THE_END.search(plain)):
        index = _index(at_the_end[1], choices)
        by_text = _by_text(plain[: at_the_end.start()], options)
        if index is not None and by_text is not None and options[by_text].text == options[index].text:
            return index
    return None


class _Option(NamedTuple):
    text: str
    plain: str
    folded: str


@lru_cache(maxsize=64)
def _options(choices: tuple[str, ...]) -> list[_Option]:
    """Of a question, once for all answers to it."""
    return [_Option(choice.strip(), plain, _folded(plain)) for choice in choices for plain in [_plain(choice)]]


def _plain(text: str) -> str:
    r"""Without the marks of mathematics, of emphasis and of markup, without \text{} and its like, and on one line."""
    if not text.isascii():
        text = _OTHER_DRESS.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text).translate(_SIGNS)
        text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    text = _SWITCH.sub("", _SPACE.sub(" ", _MARKS.sub("", text)))
    text = re.sub(r"\\[dt]frac(?![A-Za-z])", r"\\frac", text)
    for _ in range(4):
        text = _WRAPPER.sub(r"\1", text)
    text = " ".join(_EMPHASIS.sub("", text).split())
    enclosed = _ENCLOSED.fullmatch(text)
    return next(part for part in enclosed.groups() if part is not None).strip() if enclosed else text


def _tight(text: str) -> str:
    """Without spaces around signs, and without full stops and commas at its end."""
    return re.sub(r" ?([^\w\s]) ?", r"\1", text.rstrip(" .,;!"))


def _folded(text: str) -> str:
    return _tight(text).casefold()


def _index(letter: str, choices: Sequence[str]) -> int | None:
    index = ord(letter.upper()) - ord("A")
    return index if not choices or index < len(choices) else None


def _by_text(answer: str, options: Sequence[_Option]) -> int | None:
    """The one option with this text: as it stands, else in other marks, else in another case (BB and Bb are two)."""
    plain = _plain(answer)
    whole = plain.rstrip(".")
    for is_it in (
        lambda option: option.text == answer.strip(),
        lambda option: option.plain in {plain, whole},
        lambda option: option.folded == _folded(plain),
    ):
        found = [index for index, option in enumerate(options) if option.text and is_it(option)]
        if found:
            return found[0] if len({options[index].text for index in found}) == 1 else None
    return None


def _is_label(letter: re.Match[str], index: int, options: Sequence[_Option]) -> bool:
    """Whether a letter with something after it names its option, and what follows does not speak against it."""
    separator, text = _split(letter["rest"], options)
    by_text, first = _by_text(text, options), _longest_first(_folded(text), options)
    if by_text is not None:
        return options[by_text].text == options[index].text
    if _IS_CORRECT.fullmatch(text) or (_REASON.match(text) and not first and separator in {"", ",", ".", ":", ")"}):
        return True
    if not separator and letter["bare"]:
        return False  # it may be an article
    is_name = not letter["bare"] or separator[0] in ".)]" or re.search("option|choice", letter["lead"], re.IGNORECASE)
    if first:
        return first == options[index].folded and not _speaks_against(_tight(text)[len(first) :], index, options)
    return bool(is_name or _PROSE.fullmatch(text)) and not _speaks_against(_tight(text), index, options)


def _split(rest: str, options: Sequence[_Option]) -> tuple[str, str]:
    """(signs between a letter and a text, the text). A dash or bracket that begins an option's text is not between."""
    text = rest.lstrip(" .,:;)]")
    if not any(option.plain and text.startswith(option.plain) for option in options):
        text = _DASH_OR_BRACKET.sub("", text)
    return rest[: len(rest) - len(text)].strip(), text


def _longest_first(folded: str, options: Sequence[_Option]) -> str:
    """The longest option, folded, that a folded text begins with; "" for none."""
    begun = [each.folded for each in options if each.folded and folded.startswith(each.folded)]
    return max((each for each in begun if _TEXT_ENDS.match(folded, len(each))), key=len, default="")


def _speaks_against(tail: str, index: int, options: Sequence[_Option]) -> bool:
    """Whether words beside a letter and its text name another option, by letter or text, or take the answer back."""
    own, folded = options[index].folded if options else "", tail.casefold()
    others = [each.folded for each in options if each.folded in folded and each.folded and each.folded not in own]
    if any(re.search(rf"(?<!\w){re.escape(other)}(?!\w)", folded) for other in others):
        return True
    named = {ord(symbol[0].upper()) - ord("A") for symbol in _SYMBOL.finditer(tail)}
    return bool(_HEDGE.search(tail)) or any(other != index for other in named if other < (len(options) or _NUM_LETTERS))


def _announced(completion: str, forms: Sequence[str]) -> Iterator[str]:
    """What each form announces, in their order; beside a box only what follows it, for there the model changed its mind."""
    for number, form in enumerate(forms):
        answer = extract_answer(completion, forms[number:])
        if answer is None:
            return
        yield answer
        if form == "boxed" and (boxes := box_starts(completion)):
            completion = completion[boxes[-1][0] :]


def _is_contradicted(whole: str, index: int, choices: Sequence[str]) -> bool:
    """Whether a letter stands before another option's text: `whole` is what was announced, past the full stop of `C.`"""
    letter, options = _LETTER.fullmatch(_plain(whole)), _options(tuple(choices))
    by_text = _by_text(_split(letter["rest"], options)[1], options) if letter else None
    return by_text is not None and options[by_text].text != options[index].text


class ChoiceVerifier:
    """Needs no child: nothing here can run for long."""

    def __init__(self, answer_forms: Sequence[str]) -> None:
        self._forms = answer_forms

    def verify(self, completion: str, answer: str, choices: list[str]) -> Verdict:
        wanted = choice_index(answer, choices)
        extracted = extract_answer(completion, self._forms)
        if wanted is None:
            return Verdict("unverifiable", extracted)
        if extracted is None:
            return Verdict("no_answer")
        wholes = _announced(_LETTER_AND_PERIOD.sub(r"\1\2)", completion), self._forms)
        for announced, whole in zip(_announced(completion, self._forms), wholes, strict=False):
            found = choice_index(announced, choices)
            if found is not None and not _is_contradicted(whole, found, choices):
                same = found == wanted or (bool(choices) and choices[found] == choices[wanted])
                return Verdict("correct" if same else "wrong", announced)
        return Verdict("wrong", extracted)

    def close(self) -> None:
        pass
