r"""Finds the final answer in a completion. Strict: an answer must be announced, and only after the thinking part.

Forms: `boxed` is the last \boxed{...} (or several joined by commas or "and"); `hashes` what stands after the last '####'
that is no heading (hashes.py); `phrase` what follows the last "the answer is" or "Answer:" up to the end of its sentence.
Every step takes time linear in the completion's length, because models write megabytes of nothing.
"""

import re
from collections.abc import Sequence

from ded_ray.models.thinking import final_part
from ded_ray.verify.hashes import hashes
from ded_ray.verify.signs import unwrapped

MAX_ANSWER_CHARS = 2_000
"""A longer answer is no answer; it would only feed the parser's worst cases."""

_BOX = re.compile(
    r"\\(?:boxed|fbox)(?:\s{0,9}\{|\s{0,9}(?=[-+]?\\?[$]?\d[\d.,/]*(?![\w{])"  # \boxed{8}; \boxed 8, TeX's own short form
    r"|(?:[a-zA-Z]|\\[a-zA-Z]{1,20}(?:\{[^{}\n]{0,200}\}){0,2})\s?(?:\$|\\\)|\\\]|\.?\s*\Z)))"
)
_BARE = re.compile(r"[-+]?\\?[$]?\d[\d.,/]*\d|[-+]?\\?[$]?\d|\\[a-zA-Z]+(?:\{[^{}\n]*\})*|[a-zA-Z]")
_BETWEEN_BOXES = re.compile(r"[\s$]{0,9}(?:,|;|and|or|,\s?and|,\s?or|\\text\{ ?(?:and|or) ?\})[\s$]{0,9}")
_PHRASE = re.compile(r"\banswer(?:\s{1,3}is|\*{0,2}:)[:\s*]{0,9}", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\.(?=\s|\*|$)")


def box_starts(text: str) -> list[tuple[int, int]]:
    r"""Where each \boxed{ (or \fbox{, or \boxed before a number without braces) starts, and where its content does."""
    return [match.span() for match in _BOX.finditer(text)]


def _box_end(text: str, start: int) -> int | None:
    """Where the content that begins at `start` ends, braces balanced; None if it never does, or is no answer."""
    if text[start - 1] != "{":
        bare = _BARE.match(text, start)
        return bare.end() if bare else None
    depth, position = 1, start
    while position < min(len(text), start + MAX_ANSWER_CHARS + 1):
        character = text[position]
        if character == "\\":
            position += 1  # an escaped brace, as in a set \{1, 2\}, does not nest
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return position
        position += 1
    return None


def last_box(text: str) -> str | None:
    r"""The content of the last outermost \boxed{...}; several that are only joined by commas, "and" or "or" are one answer.

    None without one, or when the last one never closes: the model had not finished its answer, and an earlier box is
    not what it meant. A box inside a box counts as the answer by itself.
    """
    contents: list[str] = []
    after: int | None = None  # where the text begins that must join this box to the one after it
    for box, start in reversed(box_starts(text)):
        end = _box_end(text, start)
        if after is None:
            if end is None:
                return None
        elif end is None or end >= after or not _BETWEEN_BOXES.fullmatch(text, end + 1, after):
            break
        contents.append(text[start:end])
        after = box
    return ", ".join(reversed(contents)) if contents else None


def _phrase(text: str) -> str | None:
    ends = [match.end() for match in _PHRASE.finditer(text)]
    if not ends:
        return None
    line = text[ends[-1] : ends[-1] + MAX_ANSWER_CHARS].split("\n", 1)[0]
    end = _SENTENCE_END.search(line)
    return line[: end.start() if end else None].strip().strip("*").removeprefix("\\(").removesuffix("\\)")


_FINDERS = {"boxed": last_box, "hashes": hashes, "phrase": _phrase}


def extract_answer(completion: str, forms: Sequence[str]) -> str | None:
    """The announced answer, stripped, by the first form that is present; None when there is none, or an empty one."""
    text = final_part(completion)
    for form in forms:
        answer = (_FINDERS[form](text) or "").strip()
        if len(answer) <= MAX_ANSWER_CHARS and (answer := unwrapped(answer)):
            return answer
        if form == "boxed" and box_starts(text):
            return None  # a box that is empty or never closes is a failed answer, not an invitation to look elsewhere
    return None
