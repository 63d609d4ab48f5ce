"""Text <-> what a model sees of it: prompts and completions as tokens, once for everyone; and the thinking part.

    chat = ChatTokenizer("tiny/student")
    chat.prompt_ids("Reverse: 12")       # the prompt in the model's own chat template, ready for an answer
    chat.completion_ids("\\boxed{21}")   # the completion and the end token
    final_part("<think>1 2</think>21")   # "21"

Training, curation, the engines and the report all ask this file, so that a prompt has the same tokens everywhere.
"""

import re
from functools import lru_cache
from typing import Any, Protocol

from ded_ray.models.load import model_path
from ded_ray.models.template import template_with

Message = dict[str, str]
"""{"role": "user" | "assistant" | "system", "content": text}"""

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


PLAIN_RENDERING = {"add_generation_prompt": True, "tokenize": False}


class Chat(Protocol):
    """How a model is asked; the recipe's `chat` knobs (recipe/generate.py)."""

    def messages(self, prompt: str) -> list[Message]: ...

    def rendering(self) -> dict[str, Any]: ...


class PlainChat:
    """One user message in the model's own template."""

    def messages(self, prompt: str) -> list[Message]:
        return [{"role": "user", "content": prompt}]

    def rendering(self) -> dict[str, Any]:
        return PLAIN_RENDERING


class ChatTokenizer:
    """A model's tokenizer and the way in which it is asked. Raises OSError or ValueError when there is no such model."""

    def __init__(self, model: str, chat: Chat | None = None) -> None:
        from transformers import AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(model_path(model))
        self._chat = chat or PlainChat()
        self._rendering = self._chat.rendering()

    def render(self, messages: list[Message]) -> str:
        """Messages as the model sees them, up to where its answer begins."""
        return self.tokenizer.apply_chat_template(messages, **self._rendering)

    def render_prompt(self, prompt: str) -> str:
        """A problem's prompt as the model sees it."""
        return self.render(self._chat.messages(prompt))

    def encode(self, text: str) -> list[int]:
        """A text that is already rendered: no special token is added."""
        return self.tokenizer.encode(text, add_special_tokens=False)

    def prompt_ids(self, prompt: str) -> list[int]:
        return self.encode(self.render_prompt(prompt))

    @property
    def pad_id(self) -> int:
        """What fills a row behind its end: nothing attends to it and nothing is learnt from it."""
        pad, end = self.tokenizer.pad_token_id, self.tokenizer.eos_token_id
        return end if pad is None else pad

    def export(self, folder: str) -> None:
        """Save the tokenizer, its template with everything that the chat says built in."""
        arguments = {name: value for name, value in self._rendering.items() if name not in PLAIN_RENDERING}
        template = arguments.pop("chat_template", None) or self.tokenizer.chat_template
        system = next((m["content"] for m in self._chat.messages("") if m["role"] == "system"), None)
        if arguments or system is not None or template != self.tokenizer.chat_template:
            self.tokenizer.chat_template = template_with(template, system=system, arguments=arguments)
        self.tokenizer.save_pretrained(folder)

    def completion_ids(self, completion: str) -> list[int]:
        """A whole completion, the end token included.

        It is not rendered as a part of the dialogue: a template would edit the thinking part away.
        """
        return [*self.encode(completion), self.tokenizer.eos_token_id]


def with_thought(thought: str, text: str) -> str:
    """A completion of a thought and a text that came apart, in one text."""
    return f"<think>\n{thought}\n</think>\n\n{text}" if thought else text


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


@lru_cache
def _known_tags(tags: Tags) -> tuple[re.Pattern[str], dict[str, str]]:
    """(what looks like a tag; by each tag its kind)."""
    kinds = {tag.casefold(): opening.casefold() for opening, closing in (*_TAGS, *tags) for tag in (closing, opening)}
    own = [re.escape(tag) for pair in tags for tag in pair]
    return re.compile("|".join([*own, _TAG]), re.IGNORECASE if own else 0), kinds
