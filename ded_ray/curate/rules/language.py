"""Language: an answer in a script that its question does not use, as some teachers fall into. Our own rule; DED has none.

Told by the scripts of the letters, not by words: exact, quick, and blind to French for English.
"""

import unicodedata
from functools import cache

from ded_ray.curate.rules.answer import Answer, Case
from ded_ray.recipe import Quality

NAME = "foreign_language"

ALWAYS = frozenset({"LATIN", "GREEK", "MATHEMATICAL", "DOUBLE-STRUCK", "SCRIPT", "MODIFIER"})
"""Scripts of formulas."""

CASES: list[Case] = [
    (("The sum of π and x̄ is x.", 9, "What?", {}), False),
    (("答案是五", 4, "What is 2 + 3?", {}), True),
    (("答案是五", 4, "二加三是多少?", {}), False),
    (("The answer is five, 即 5.", 9, "What is 2 + 3?", {}), False),  # 1 of 16 letters
    (("Ответ: 5", 3, "What is 2 + 3?", {}), True),
    (("Ответ: 5", 3, "What is 2 + 3?", {"max_foreign": None}), False),
    (("5", 1, "What is 2 + 3?", {}), False),
    (("五", 1, "2 + 3", {}), True),
    (("ジョンは五つ", 4, "二たす三は?", {}), False),  # one script in three forms
]


def drops(answer: Answer, config: Quality) -> bool:
    if config.max_foreign is None or answer.completion.isascii():
        return False
    allowed = ALWAYS | {script(letter) for letter in set(answer.question) if letter.isalpha()}
    letters = [letter for letter in answer.completion if letter.isalpha()]
    return sum(script(letter) not in allowed for letter in letters) > config.max_foreign * len(letters)


@cache
def script(letter: str) -> str:
    """The first word of its Unicode name: LATIN, CJK, CYRILLIC, ...; kana is CJK, and wide letters are letters."""
    name = unicodedata.name(unicodedata.normalize("NFKC", letter)[0], "UNKNOWN").split(maxsplit=1)[0]
    return "CJK" if name in {"HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"} else name
