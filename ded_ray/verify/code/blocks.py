"""Finds the program in a completion: Markdown's fenced blocks, and which of them is meant.

Fences are CommonMark's: three or more backticks or tildes, closed by at least as many; in a list or a quotation their
indentation is taken off every line. All in time linear in the completion's length.
"""

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ded_ray.models.thinking import final_part

_FENCE = re.compile(r"((?:[ \t]|>|[-*+][ \t]|[0-9]{1,3}[.)][ \t]){0,40})(`{3,}|~{3,})(.*)")
_PYTHON = re.compile(r"i?py(?:thon)?(?:[23](?:\.[0-9]+)?)?|pypy3?")
_READS = re.compile(r"\binput\s{0,3}\(|\bstdin\b|\bfileinput\b|\bopen\(0|\bos\.read\(")
_PRINTS = re.compile(r"\bprint\s{0,3}\(|\bstdout\b")
_SESSION = re.compile(r"\s{0,99}(?:>>>|In \[|\$ )")


@dataclass(frozen=True, slots=True)
class Block:
    language: Literal["python", "markdown", "other", ""]  # '': it names none
    text: str


def extract_program(completion: str, entry_point: str | None = None) -> str | None:
    """The program of the part after the thinking; `entry_point` is the function that tests call, None for whole programs.

    Blocks of Python come before those that name no language. Of each the last is taken that defines the entry point, or
    that reads its input, or else prints something: what follows it is often only an example of its use. Without any block
    all of the text is the program. None when there is nothing, and when an opened fence never closes: the model had not
    finished its program.
    """
    text = final_part(completion)
    blocks = find_blocks(text)
    if blocks is None:
        return None
    if not blocks:
        return text if text.strip() and "```" not in text else None
    by_language = [[block.text for block in blocks if block.language == language] for language in ("python", "")]
    tests = [lambda block: defines(block, entry_point)] if entry_point else [_reads, _prints]
    for programs in by_language:
        for is_meant in tests:
            if found := _last(programs, is_meant):
                return textwrap.dedent(found)
    return next((programs[-1] for programs in by_language if programs), None)


def defines(program: str, name: str) -> bool:
    """Whether a program defines this function, or a method of this name, as far as its lines show."""
    name = re.escape(name)
    found = re.search(rf"^[ \t]*(?:async[ \t]+)?def[ \t]+{name}\b|^[ \t]*{name}[ \t]*=(?!=)", program, re.MULTILINE)
    return found is not None


def _reads(block: str) -> bool:
    return bool(_READS.search(block)) and not _SESSION.match(block)


def _prints(block: str) -> bool:
    return bool(_PRINTS.search(block)) and not _SESSION.match(block)


def _last(blocks: list[str], is_meant: Callable[[str], bool]) -> str | None:
    return next((block for block in reversed(blocks) if is_meant(block)), None)


def find_blocks(text: str, *, nested: bool = False) -> list[Block] | None:
    """The fenced blocks of a text, those within a block of Markdown in its place; None when the last never closes."""
    blocks: list[Block] = []
    opened: re.Match[str] | None = None
    lines: list[str] = []
    for line in text.split("\n"):
        fence = _FENCE.fullmatch(line.rstrip("\r"))
        if opened is None:
            if fence and not (fence[2].startswith("`") and "`" in fence[3]):
                opened, lines = fence, []
        elif fence and fence[2].startswith(opened[2]) and not fence[3].strip() and not fence[1].strip(" \t>"):
            content = "".join(f"{_cut(each, opened[1])}\n" for each in lines)
            block = Block(_language(opened[3]), content)
            inner = None if nested or block.language not in {"markdown", ""} else find_blocks(content, nested=True)
            blocks += inner or ([block] if content.strip() else [])
            opened = None
        else:
            lines.append(line)
    if opened is not None and (opened[3].strip() or any(line.strip() for line in lines)):
        return None
    return blocks


def _cut(line: str, lead: str) -> str:
    """A line of a block without what its fence stands behind: indentation, and the marks of a quotation."""
    marks = " \t>" if ">" in lead else " \t"
    end = 0
    while end < min(len(lead), len(line)) and line[end] in marks:
        end += 1
    return line[end:]


def _language(info: str) -> Literal["python", "markdown", "other", ""]:
    """What a fence's info string names: `python`, `py3 title="a.py"`, `{.python .numberLines}`, `python:main.py`."""
    words = [word.lstrip(".") for word in re.findall(r"[^\s{},;]+", info.lower()) if "=" not in word]
    in_braces = info.strip().startswith("{")
    names = [word.partition(":")[0] for word in (words if in_braces else words[:1])]
    if any(_PYTHON.fullmatch(name) for name in names):
        return "python"
    if any(name in {"markdown", "md"} for name in names):
        return "markdown"
    return "" if not words or (in_braces and "." in info) else "other"
