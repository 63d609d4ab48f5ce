"""The answer after `####`, as GSM8K ends its solutions; headings of Markdown look alike and are none.

hashes("2 + 40 = 42\\n#### 42\\n\\n#### Remarks\\nNothing.")   # "42"
hashes("#### Step 2\\nThe sum is 42.")                        # None
"""

import re

from ded_ray.verify.signs import END_TOKEN, readable, unwrapped

MAX_LINE_CHARS = 2_000

_LINE = re.compile(r"(?<!#)####(?!#)([^\n]*)")
_NEXT_LINE = re.compile(r"\n\s{0,9}([^\s#][^\n]*)")
_LABEL = re.compile(
    r"(?:the\s+)?(?:(?:final|correct|numerical)\s+)?(?:answer|result|total|solution)\b(?:\s*(?:is\b|:|=)+\s*|\s*$)",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"[-+=~≈$€£¥₹\\(]{0,3}\s?\d[\d.,:/ ]*[\d%)]?\.?"  # 29, -3, $1,234.50, 3/4, 5 : 3, 50%
    r"(?:\s?[°%]|\s?/?[a-zA-Z]{1,3}(?:[/^][a-zA-Z\d]{1,3})?)?"  # 30°, 5kg, 3 m/s
    r"(?:\s+\(?(?:[a-z][a-z.'-]*|USD|EUR|GBP|AM|PM)\)?){0,6}[.!]?"  # 29 euros per month
)
_NUMBERED = re.compile(r"\d+\s*(?:\)|[.:-]\s+\S).*")  # 3. Compute, 2) Add
_FORMULA = re.compile(r"\$[^$]+\$|\\\(.+\\\)|\\\[.+\\\]|[-+]?\\[a-zA-Z]+\W.*|[a-zA-Z]\w{0,3}\s*=\s*\S.*")
_PROSE = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{3,}")
_HEADING = re.compile(
    r"(?:(?:sub)?(?:step|case|part|section|question|problem|example|method|approach|claim|lemma|interval)s?\b"
    r"|(?:remark|note|conclusion|summary|verification|check|explanation|solution|answer|result|final|reasoning|calculation"
    r"|given|thus|therefore|proof|reference|analysis|discussion|introduction)s?\W*$).*",
    re.IGNORECASE,
)
_PARAGRAPH = re.compile(r"\s{1,99}[^\s#]")  # what a numbered heading such as `2.` stands above
MAX_WORDS = 12
"""Of an answer in words, `B. the option's text` for one. A longer last line is a sentence."""
MAX_WORDS_BELOW = 5
"""Of one that stands below its `####`, where sentences are more likely."""


def hashes(text: str) -> str | None:
    """The last `####` whose line is an answer; it may stand on the next line, as `####` or `#### Answer` announces it."""
    for match in reversed(list(_LINE.finditer(text))):
        line = match.group(1).rpartition("####")[2]
        end = len(text) if END_TOKEN.search(line) else match.end()
        content, max_words = _content(line), MAX_WORDS
        if not content and (next_line := _NEXT_LINE.match(text, end)):
            content, max_words, end = _content(next_line.group(1)), MAX_WORDS_BELOW, next_line.end()
        plain = readable(content)
        if not plain or _is_heading(plain):
            continue
        if _is_mathematics(plain, text, end) or _is_last(plain, max_words, after=text[end : end + MAX_LINE_CHARS]):
            return content
    return None


def _content(line: str) -> str:
    if not line or len(line) > MAX_LINE_CHARS:
        return ""
    content = unwrapped(line).strip("*").strip()
    return unwrapped(content[label.end() :]) if (label := _LABEL.match(content)) else content


def _is_heading(content: str) -> bool:
    return content[-1] == ":" or content[0] == "#" or any(form.fullmatch(content) for form in (_HEADING, _NUMBERED))


def _is_mathematics(content: str, text: str, end: int) -> bool:
    """A number with or without its unit, or a formula, by itself."""
    if _NUMBER.fullmatch(content):
        return not re.fullmatch(r"\d\.", content) or not _PARAGRAPH.match(text, end)
    return bool(_FORMULA.fullmatch(content)) and not _PROSE.search(re.sub(r"\\[a-zA-Z]+\{[^{}]*\}", "", content))


def _is_last(content: str, max_words: int, after: str) -> bool:
    """Words are an answer where nothing comes after them."""
    return len(content.split()) <= max_words and not END_TOKEN.sub("", after).strip()
