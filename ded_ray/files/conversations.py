"""What a model was asked and what it wrote, in the shapes in which files hold them. Total: a text, or one clear error.

    completions(value, "f.jsonl, row 3", "completion")
        "so 2", {"role": "assistant", "content": "so 2"}                          -> ["so 2"]
        [{"from": "human", "value": "1+1?"}, {"from": "gpt", "value": "so 2"}]    -> ["so 2"]
        [{"type": "text", "text": "so 2"}]                                        -> ["so 2"]
        ["so 2", "so 3"], or a list of conversations                              -> several samples
        None, NaN, []                                                             -> [None]

Of a conversation the assistant's last turn counts, whatever others say after it. Its thought, if it stands apart, is put
into <think> tags in front, as the engines do.
"""

import re
from collections.abc import Sequence
from typing import Any, NoReturn

from ded_ray.errors import BadInput
from ded_ray.files.values import is_missing
from ded_ray.models.thinking import with_thought

ASSISTANT = frozenset({"assistant", "gpt", "model", "bot", "chatgpt", "ai"})
USER = frozenset({"user", "human"})
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""Where a message, or a part of one, may hold the model's thought."""

_TEXT_PARTS = frozenset({None, "text", "output_text", "input_text"})
_WRITTEN_OUT = re.compile(r"\s{0,99}(?:\[\s{0,99})?\{\s{0,99}[\"'](?:role|from|content|value)[\"']\s{0,9}:")
_SPEAKER = re.compile(r"[\"'](?:role|from)[\"']\s{0,9}:\s{0,9}[\"'](?:assistant|gpt|user|human|system)[\"']")


def completions(value: Any, where: str, name: str) -> list[str | None]:
    """The samples of one row, at least one; None for one that is missing. Raises BadInput for any other shape."""
    several = isinstance(value, Sequence) and not isinstance(value, str | bytes) and not _is_conversation(value)
    return [_completion(item, where, name) for item in value] or [None] if several else [_completion(value, where, name)]


def prompt_of(value: Any, where: str, name: str) -> str:
    """What is asked: a text, one message of the user's, or a conversation of it and an answer. Raises BadInput."""
    if not isinstance(value, list | tuple | dict):
        return _plain_text(value, where, name)
    messages = _messages(value, where, name)
    if len(messages) > 1 and _speaker(messages[-1], where, name) in ASSISTANT:
        messages = messages[:-1]
    if len(messages) != 1 or _speaker(messages[0], where, name) not in USER:
        turns = ", ".join(_speaker(message, where, name)[:20] for message in messages[:5])
        _refuse(where, name, f"is a conversation ({turns}), not one question",
                "leave one message of the user's; a system message belongs into the recipe's chat.system")  # fmt: skip
    return _content(messages[0], where, name)


def _completion(value: Any, where: str, name: str) -> str | None:
    if not isinstance(value, str | bytes) and is_missing(value):
        return None
    if not isinstance(value, list | tuple | dict):
        return _plain_text(value, where, name)
    if not isinstance(value, dict) and all(isinstance(part, dict) and not _names_speaker(part) for part in value):
        return _joined(value, where, name)
    messages = _messages(value, where, name)
    speakers = [_speaker(message, where, name) for message in messages]
    if not ASSISTANT.intersection(speakers):
        _refuse(where, name, f"holds no turn of the assistant's, only of {speakers[-1]!r:.30}", "add it, or remove the row")
    while speakers[-1] not in ASSISTANT:  # what a user or a tool said afterwards is no part of it
        speakers.pop()
        messages.pop()
    if len(speakers) > 1 and speakers[-2] in ASSISTANT:
        _refuse(where, name, "ends with two turns of the assistant",
                "join them; or make several samples a list of conversations, [[...], [...]]")  # fmt: skip
    return _content(messages[-1], where, name)


def _is_conversation(value: Sequence[Any]) -> bool:
    """A list of messages, or of the parts of one; not a list of samples."""
    return len(value) > 0 and all(isinstance(item, dict) for item in value)


def _messages(value: Any, where: str, name: str) -> list[dict[str, Any]]:
    messages = [value] if isinstance(value, dict) else list(value)
    for message in messages:
        if not isinstance(message, dict):
            _refuse(where, name, f"is a list with a {_kind(message)} among its messages")
    return messages


def _names_speaker(message: dict[str, Any]) -> bool:
    return message.get("role") is not None or message.get("from") is not None


def _speaker(message: dict[str, Any], where: str, name: str) -> str:
    speaker = message["from"] if message.get("role") is None and "from" in message else message.get("role")
    if not isinstance(speaker, str):
        keys = ", ".join(map(str, list(message)[:6]))
        _refuse(where, name, f"holds an object with the keys {keys or 'none'}, which is no message")
    return speaker.strip().casefold()


def _content(message: dict[str, Any], where: str, name: str) -> str:
    """The text of a message, a thought that stands apart included."""
    content = message["value"] if message.get("content") is None and "value" in message else message.get("content")
    thought = _thought(message)
    if content is None and thought:
        content = ""
    text = _joined(content, where, name) if isinstance(content, list | tuple) else _plain_text(content, where, name)
    return text if "<think>" in text else with_thought(thought, text)


def _thought(holder: dict[str, Any]) -> str:
    return next((holder[key] for key in THOUGHTS if isinstance(holder.get(key), str)), "")


def _type(part: dict[str, Any]) -> str:
    """What a part says of itself, if that is a text."""
    kind = part.get("type")
    return kind if isinstance(kind, str) else ""


def _joined(parts: Sequence[Any], where: str, name: str) -> str:
    """The texts of parts such as {"type": "text", "text": ...}, as they stand; thoughts among them go in front."""
    thoughts, texts = [], []
    for part in parts:
        if isinstance(part, dict) and _type(part) in THOUGHTS and (thought := _thought(part) or part.get("text")):
            thoughts.append(_plain_text(thought, where, name))
        elif isinstance(part, dict) and _type(part) in _TEXT_PARTS and isinstance(part.get("text"), str | bytes):
            texts.append(_plain_text(part["text"], where, name))
        elif isinstance(part, str | bytes):
            texts.append(_plain_text(part, where, name))
        else:
            kind = part.get("type") or "/".join(map(str, list(part)[:6])) if isinstance(part, dict) else _kind(part)
            _refuse(where, name, f"holds a part that is no text ({kind!r:.40})")
    return with_thought("\n".join(thoughts), "".join(texts))


def _plain_text(value: Any, where: str, name: str) -> str:
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            _refuse(where, name, "holds bytes that are not UTF-8")
    if not isinstance(value, str):
        _refuse(where, name, f"holds a {_kind(value)}")
    if _WRITTEN_OUT.match(value) and _SPEAKER.search(value):
        _refuse(where, name, "holds a conversation that was written out as a text", "make it a list of messages")
    return value


def _kind(value: Any) -> str:
    return {"NoneType": "null", "dict": "an object"}.get(type(value).__name__, type(value).__name__)


_MESSAGES = "make it a text, or messages with role and content"


def _refuse(where: str, name: str, problem: str, remedy: str = _MESSAGES) -> NoReturn:
    raise BadInput(f"{where}: `{name}` {problem}; {remedy}")
