"""A chat template that carries what a recipe says of it, for an exported tokenizer.

    template_with(template, system="Think first.", arguments={"enable_thinking": False})

Whoever then renders a user's message with the plain tokenizer (vLLM, transformers, an endpoint) gets the trained prompt.
"""

import json
from typing import Any


def template_with(template: str, *, system: str | None, arguments: dict[str, Any]) -> str:
    """The template with its arguments as defaults, and with a system message in front of messages that have none."""
    settings = "".join(
        f"{{%- if {name} is not defined %}}{{%- set {name} = {_literal(value)} %}}{{%- endif %}}"
        for name, value in arguments.items()
    )
    if system is not None:
        message = f"[{{'role': 'system', 'content': {_literal(system)}}}]"
        settings += f"{{%- if messages[0]['role'] != 'system' %}}{{%- set messages = {message} + messages %}}{{%- endif %}}"
    return settings + template


def _literal(value: Any) -> str:
    """A JSON value as Jinja writes it: the same but for three words."""
    match value:
        case None | bool():
            return {None: "none", True: "true", False: "false"}[value]
        case dict():
            return "{" + ", ".join(f"{json.dumps(str(key))}: {_literal(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_literal, value)) + "]"
    return json.dumps(value)
