"""Text <-> what a model sees of it: prompts and completions as tokens, once for everyone; and the thinking part.

    chat = ChatTokenizer("tiny/student")
    chat.prompt_ids("Reverse: 12")       # the prompt in the model's own chat template, ready for an answer
    chat.completion_ids("\\boxed{21}")   # the completion and the end token
    final_part("<think>1 2</think>21")   # "21"

Training, curation, the engines and the report all ask this file, so that a prompt has the same tokens everywhere.
"""

from typing import Any, Protocol

from ded_ray.models.load import model_path
from ded_ray.models.template import template_with

Message = dict[str, str]
"""{"role": "user" | "assistant" | "system", "content": text}"""


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


def final_part(completion: str) -> str:
    """What follows the thinking part; nothing when the thinking never ended."""
    _, closing, after = completion.rpartition("</think>")
    if closing:
        return "" if "<think>" in after else after
    return "" if "<think>" in completion else completion


def think_is_paired(completion: str) -> bool:
    """No think tags at all, or one pair in the right order.

    A completion may also start inside the thinking part, when the chat template opened it: then only the closing
    tag is there.
    """
    opening, closing = completion.count("<think>"), completion.count("</think>")
    if closing > 1 or opening > closing:
        return False
    return opening == 0 or completion.index("<think>") < completion.index("</think>")
