"""Text <-> what a model sees of it: prompts and completions as tokens, once for everyone.

    chat = ChatTokenizer("tiny/student")
    chat.prompt_ids("Reverse: 12")                    # the prompt in the model's own chat template, ready for an answer
    chat.sequence_ids("Reverse: 12", "\\boxed{21}")   # (the prompt, the completion and its end token), to train on

Training, curation, the engines and the report all ask this file, so that a prompt has the same tokens everywhere.
"""

import inspect
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Protocol

from ded_ray.models.load import model_path
from ded_ray.models.template import template_with
from ded_ray.models.thinking import is_tag, opens_thought

Message = dict[str, str]
"""{"role": "user" | "assistant" | "system", "content": text}"""

MARK = re.compile("\ue000(\\d+)\ue001")
"""Private characters around a number: what stands for a control token's name while a template is rendered."""

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

    def render(self, messages: list[Message], arguments: Mapping[str, Any] | None = None) -> str:
        """Messages as the model sees them, up to where its answer begins. `arguments` are for the template, and go before
        those of the chat; none of `rendering_names`."""
        return self.tokenizer.apply_chat_template(messages, **{**self._rendering, **(arguments or {})})

    @cached_property
    def rendering_names(self) -> frozenset[str]:
        """Arguments that say how to render: what, by which template, up to where."""
        return frozenset({"messages", *inspect.signature(self.tokenizer.apply_chat_template).parameters})

    def render_prompt(self, prompt: str) -> str:
        """A problem's prompt as the model sees it."""
        return self.render(self._chat.messages(prompt))

    def encode(self, text: str) -> list[int]:
        """A text that is already rendered: no special token is added."""
        return self.tokenizer.encode(text, add_special_tokens=False)

    def prompt_ids(self, prompt: str) -> list[int]:
        """A problem's prompt as tokens."""
        return self.message_ids(self._chat.messages(prompt))

    def message_ids(self, messages: list[Message], arguments: Mapping[str, Any] | None = None) -> list[int]:
        """Messages as tokens, see `render`. The name of a control token in what a user or a tool says is text there, no
        control token: nobody opens a turn from inside one."""
        marked, found = self._marked(messages)
        if not found:
            return self.encode(self.render(messages, arguments))
        ids = list[int]()
        for i, piece in enumerate(MARK.split(self.render(marked, arguments))):
            if i % 2 == 0:
                ids += self.encode(piece)
            else:
                ids += self.tokenizer.encode(found[int(piece)], add_special_tokens=False, split_special_tokens=True)
        return ids

    def _marked(self, messages: list[Message]) -> tuple[list[Message], list[str]]:
        """The messages with marks in the places of control tokens' names, and the names."""
        found = list[str]()

        def mark(match: re.Match[str]) -> str:
            found.append(match[0])
            return f"\ue000{len(found) - 1}\ue001"

        if self._control_names is None or not any(self._control_names.search(m["content"]) for m in messages):
            return messages, found
        return [
            message if message["role"] in {"assistant", "system"}
            else message | {"content": self._control_names.sub(mark, message["content"])}
            for message in messages
        ], found  # fmt: skip

    @cached_property
    def _control_names(self) -> re.Pattern[str] | None:
        """Special tokens, and what the template itself writes around messages; thinking tags are a model's own words."""
        template = self._rendering.get("chat_template") or self.tokenizer.chat_template or ""
        added = self.tokenizer.added_tokens_decoder.values()
        names = [t.content for t in added if t.special or (t.content in template and not is_tag(t.content))]
        return re.compile("|".join(map(re.escape, sorted(filter(None, names), key=len, reverse=True)))) if names else None

    @cached_property
    def longest_token(self) -> int:
        """Characters of the longest token: a text has at least its length divided by this as tokens."""
        return max(map(len, self.tokenizer.get_vocab()))

    @property
    def template(self) -> str:
        """The chat template with everything that the chat says built in."""
        arguments = {name: value for name, value in self._rendering.items() if name not in PLAIN_RENDERING}
        template: str = arguments.pop("chat_template", None) or self.tokenizer.chat_template
        system = next((m["content"] for m in self._chat.messages("") if m["role"] == "system"), None)
        return template_with(template, system=system, arguments=arguments)

    def export(self, folder: str) -> None:
        """Save the tokenizer with this template."""
        self.tokenizer.chat_template = self.template
        self.tokenizer.save_pretrained(folder)

    def sequence_ids(self, prompt: str, completion: str) -> tuple[list[int], list[int]]:
        """(the prompt, the completion and one end token): what is trained on.

        The completion is not rendered as a part of the dialogue: a template would edit the thinking part away. It ends
        where an end token stands in its text. A thought that the template has opened is not opened again.
        """
        rendered = self.render_prompt(prompt)
        if (tag := opens_thought(rendered)) and completion.lstrip().casefold().startswith(tag):
            completion = completion.lstrip()[len(tag) :]
            completion = completion.lstrip("\n") if rendered.endswith("\n") else completion
        ids, ends = self.encode(completion), {self.end_id, self.tokenizer.eos_token_id}
        length = next((i for i, token in enumerate(ids) if token in ends), len(ids))
        return self.prompt_ids(prompt), [*ids[:length], self.end_id]

    @cached_property
    def end_id(self) -> int:
        """The token that ends an answer: what the chat template writes behind one, else the tokenizer's own end token.

        Raises ValueError when there is neither.
        """
        own = self.tokenizer.eos_token_id
        if (behind := self._behind_an_answer()) and behind[0] in self.tokenizer.added_tokens_decoder:
            return behind[0]
        if own is None:
            raise ValueError("the tokenizer has no end token, and its template writes none behind an answer")
        return own

    def _behind_an_answer(self) -> list[int]:
        """The tokens between an answer's last word and the end of the dialogue, as the template has them."""
        word = "ANSWER"
        from jinja2 import TemplateError

        rendering = self._rendering | {"add_generation_prompt": False}
        try:
            dialogue = [*self._chat.messages("?"), {"role": "assistant", "content": word}]
            text = self.tokenizer.apply_chat_template(dialogue, **rendering)
        except (TemplateError, TypeError, ValueError):  # a template may refuse an assistant's turn
            return []
        return self.encode(text.rpartition(word)[2]) if word in text else []

    def decode(self, ids: list[int]) -> str:
        """A completion as text, without its end token. Thinking tags stay, also where they are special tokens."""
        return self.tokenizer.decode(ids, skip_special_tokens=not self.thinks_in_special_tokens)

    @cached_property
    def thinks_in_special_tokens(self) -> bool:
        """Whether thinking tags would be lost with the special tokens."""
        return any(is_tag(token) for token in self.tokenizer.all_special_tokens)
