r"""Answers in words, compared as words. Math-Verify reads a word as a product of its letters: `listen` would be `silent`.

compare_words(r"\text{Yes.}", "yes")   # "correct"
compare_words("silent", "listen")      # "wrong"
compare_words("2x", "x^2")             # None: no words
"""

import re

from ded_ray.records import Status
from ded_ray.verify.math.references import without_marks

MAX_PRODUCT_LETTERS = 4
"""Of a product of symbols; a longer run of letters is a word, and another order of them another one."""
MAX_PLAIN_WORDS = 2
"""Two longer texts that differ may still say the same."""

_NUMBERS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty"""
NUMBERS = {word: number for number, word in enumerate(_NUMBERS.split())}

_MATHEMATICS = """pi theta alpha beta gamma delta epsilon lambda mu sigma phi psi omega rho tau exp log ln lg sin cos tan cot
sec csc arcsin arccos arctan asin acos atan sinh cosh tanh sqrt cbrt abs max min gcd lcm mod inf infty infinity oo det arg
and or frac"""
_SHORT_WORDS = "no on up is it in at he we if by us me so do go of to as an be my"
_NEGATIONS = frozenset({"no", "not", "non", "never", "none", "neither", "nor", "cannot", "false", "without"})
_ARTICLES = frozenset({"a", "an", "the"})
_YES_OR_NO = frozenset({"yes", "no", "true", "false"})
_SYNONYMS = {"dne": "does not exist", "infinite": "infinitely many", "nonexistent": "does not exist"}
_FIRST_WORD = re.compile(r"([a-zA-Z]+)\s*[,.;:]")  # Yes, it is
_TEXT = re.compile(r"\\(?:text[a-z]*|mbox|mathrm|mathbf|mathit|operatorname)\s*\{")
_NO_SOLUTION = re.compile(
    r"(?:there (?:is|are|exists?) )?no (?:such |real |possible |valid |integer )?(?:real )?(?:solutions?|roots?)"
    r"(?: exists?)?|(?:the )?empty ?set"
)
_EVERY_REAL = re.compile(
    r"all (?:the )?reals?(?: numbers?)?|(?:the )?(?:set of )?(?:all )?real numbers|every real number|any real number"
)


def as_mathematics(answer: str) -> str:
    r"""Words that have a sign: `two` as 2, `no solution` as the empty set, `all real numbers` as \mathbb{R}."""
    text = without_marks(answer).casefold()
    if text in NUMBERS:
        return str(NUMBERS[text])
    if _NO_SOLUTION.fullmatch(text):
        return r"\emptyset"
    return r"\mathbb{R}" if _EVERY_REAL.fullmatch(text) else answer


def compare_words(found: str, wanted: str) -> Status | None:
    """The verdict where the reference is in words; `unverifiable` where one answer says more than the other.

    None where the reference is mathematics, or might be and the answer is.
    """
    is_text = _TEXT.search(wanted) is not None
    is_name = wanted.isupper() and len(wanted) > 2  # the vertices of a polygon, an order of runners
    wanted_words, found_words = _words(wanted), _words(found)
    if not wanted_words or not all(_is_word(word, is_text or is_name) for word in wanted_words):
        return None
    if found_words == wanted_words:
        return "correct"
    if wanted_words[0] in _YES_OR_NO and len(wanted_words) == 1 and (first := _FIRST_WORD.match(without_marks(found))):
        return "correct" if first.group(1).casefold() == wanted_words[0] else "wrong"
    if found_words is None:
        if len(wanted_words) == 1 and not is_text:
            return None
        found_words = tuple(re.findall(r"[^\W\d_]{2,}", without_marks(found).casefold()))
    return _difference(set(found_words), set(wanted_words), is_text or _TEXT.search(found) is not None)


def _words(answer: str) -> tuple[str, ...] | None:
    """The words of an answer that is nothing but letters, without articles and case; None for anything else."""
    text = without_marks(answer).casefold()
    text = _SYNONYMS.get(text, text)
    tokens = re.split(r"[\s,;/-]+", text)
    if not all(token.replace("'", "").isalpha() for token in tokens) or max(map(len, tokens)) == 1:
        return None
    return tuple(token for token in tokens if token not in _ARTICLES) or None


def _is_word(token: str, is_text: bool) -> bool:
    """Not a product of symbols: those are short, of neighbours in the alphabet (abc, xyz), or have no vowel (mgh)."""
    if token in _MATHEMATICS.split():
        return False
    if not token.isascii() or token in _SHORT_WORDS.split():
        return True
    if len(token) < 3:
        return is_text and len(token) == 2
    letters = sorted(set(token))
    are_neighbours = ord(letters[-1]) - ord(letters[0]) == len(letters) - 1
    return is_text or (not are_neighbours and re.search("[aeiouy]", token) is not None)


def _difference(found: set[str], wanted: set[str], is_text: bool) -> Status:
    """What to say of texts that are not the same: as little as is certain."""
    fewer, more = sorted([wanted, found], key=len)
    if fewer and fewer <= more:
        return "wrong" if (more - fewer) & _NEGATIONS else "unverifiable"
    letters = ["".join(sorted("".join(words))) for words in (found, wanted)]
    if not is_text and letters[0] == letters[1] and len(letters[0]) <= MAX_PRODUCT_LETTERS:
        return "unverifiable"  # `ahk` and `hak` may be products
    return "unverifiable" if found and len(wanted) > MAX_PLAIN_WORDS else "wrong"
