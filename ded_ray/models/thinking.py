"""The thinking part of a completion, in whatever tags a model thinks in.

final_part("<think>1 2</think>21")   # "21"
final_part("<think>1 2")             # "": nothing that is announced inside an unfinished thought counts
"""

import re
from functools import lru_cache

Tags = tuple[tuple[str, str], ...]
"""(opening, closing) of thinking parts."""

_TAGS: Tags = (
    *[(f"<{name}>", f"</{name}>") for name in ("think", "thinking", "thought", "thoughts", "reasoning", "seed:think")],
    ("[think]", "[/think]"),
    ("◁think▷", "◁/think▷"),
    ("<|start_thinking|>", "<|end_thinking|>"),
    ("<|channel>", "<channel|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|begin_of_thought|>", "<|begin_of_solution|>"),
    ("<|channel|>", "<|end|>"),
)
"""What models think in; case does not count. Of OpenThoughts' tags the one that begins a solution also ends a thought."""

_TAG = r"[<\[◁][^<>\[\]◁▷\s]{1,30}[>\]▷]"
_CHANNEL = re.compile(r"\s{0,9}(\w{0,20})[^<]{0,40}(?:<\|constrain\|>[^<]{0,40})?(?:<\|message\|>)?")
"""Harmony (gpt-oss): `<|channel|>` names the channel of a message, and only `final` is for the reader."""

_BEGINS_ANSWER = frozenset({"<|begin_of_solution|>", "<|channel|>"})
_BARE_CHANNELS, _BARE_FINAL = re.compile(r"\s{0,9}analysis(?=[A-Z])"), "assistantfinal"
"""Harmony that was decoded without its special tokens: `analysisWe need ...assistantfinalThe answer ...`."""


def with_thought(thought: str, text: str) -> str:
    """A completion of a thought and a text that came apart, in one text."""
    return f"<think>\n{thought}\n</think>\n\n{text}" if thought else text


def opens_thought(text: str) -> str | None:
    """The tag at the end of a rendered prompt that has begun a thought already, as the templates of R1 do."""
    end = text.rstrip().casefold()
    return next((tag for tag, _ in _TAGS if end.endswith(tag)), None)


def final_part(completion: str, tags: Tags = ()) -> str:
    """What follows the thinking part; nothing when the thinking never ended. `tags` are known beside the common ones.

    Takes time linear in the completion's length.
    """
    unfinished, marks = _thoughts(completion, tags)
    return "" if unfinished else completion[marks[-1][1] if marks else 0 :]


def think_is_paired(completion: str, tags: Tags = ()) -> bool:
    """No think tags at all, or one pair in the right order.

    A completion may also start inside the thinking part, when the chat template opened it: then only the closing
    tag is there.
    """
    unfinished, marks = _thoughts(completion, tags)
    return not unfinished and [opens for opens, _ in marks] in ([], [False], [True, False])


def thought_has_ended(completion: str, tags: Tags = ()) -> bool:
    """Whether a thinking part ends in this completion, wherever it began."""
    _, marks = _thoughts(completion, tags)
    return any(not opens for opens, _ in marks)


def _thoughts(completion: str, tags: Tags) -> tuple[bool, list[tuple[bool, int]]]:
    """(whether the last thought is unfinished, the tags that count as (does it open?, where it ends), in order).

    Inside a thought only the tags of its own kind count: it may speak of others. A kind is its opening tag.
    """
    if bare := _BARE_CHANNELS.match(completion):
        answer = completion.rfind(_BARE_FINAL)
        opening = (True, bare.end())
        return (True, [opening]) if answer < 0 else (False, [opening, (False, answer + len(_BARE_FINAL))])
    pattern, kinds = _known_tags(tags)
    opened, marks = "", list[tuple[bool, int]]()
    for match in pattern.finditer(completion):
        tag, end = match.group().casefold(), match.end()
        if (kind := kinds.get(tag)) is None or (opened and kind != opened):
            continue
        opens = tag == kind
        if tag == "<|channel|>" and (channel := _CHANNEL.match(completion, end)):
            opens, end = channel.group(1).casefold() != "final", channel.end()
        if not opens and not opened:
            if tag == "<|end|>":  # other models end their turns with it
                continue
            if tag in _BEGINS_ANSWER and marks:
                marks.pop()  # it goes with the end of the thought
        opened = kind if opens else ""
        marks.append((opens, end))
    return bool(opened), marks


def is_tag(text: str) -> bool:
    """Whether a text is one of the common tags."""
    return text.casefold() in _known_tags(())[1]


@lru_cache
def _known_tags(tags: Tags) -> tuple[re.Pattern[str], dict[str, str]]:
    """(what looks like a tag; by each tag its kind)."""
    kinds = {tag.casefold(): opening.casefold() for opening, closing in (*_TAGS, *tags) for tag in (closing, opening)}
    own = [re.escape(tag) for pair in tags for tag in pair]
    return re.compile("|".join([*own, _TAG]), re.IGNORECASE if own else 0), kinds
