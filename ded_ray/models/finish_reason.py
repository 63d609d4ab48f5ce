"""Why a completion ended, in the words of all providers, as one of the three of `records.FinishReason`."""

import re
from typing import Any, Literal

_STOP = frozenset({
    "stop", "stopped", "stopsequence", "stopsequences", "stoptoken", "stopstr", "endturn", "eos", "eostoken", "eosid",
    "eot", "eosreached", "endoftext", "stoppedeos", "endofsequence", "endofturn", "end", "complete", "completed", "finish",
    "finished", "done", "word",
})  # fmt: skip
_LENGTH = frozenset({
    "length", "len", "lengthlimit", "maxlength", "maxlen", "maxtoken", "maxtokens", "maxnewtokens", "maxoutputtokens",
    "maxcompletiontokens", "maxtokensreached", "maxlengthreached", "maxcontext", "maxcontextlength", "modellength",
    "modelcontextwindowexceeded", "contextlength", "contextlengthexceeded", "contextwindowexceeded", "contextlimit",
    "outputlimit", "tokenlimit", "tokenslimit", "limit", "stoppedlimit", "lengthcapped", "incomplete", "truncated", "cutoff",
})  # fmt: skip
"""Of OpenAI, Anthropic, Gemini, Mistral, Cohere, Bedrock, xAI, AI21, TGI, vLLM, SGLang and llama.cpp; letters only."""

_PREFIX = re.compile(r"^(?:finish|stop|done)?reason")
_NOT_LETTERS = re.compile(r"[^a-z]+")
_MAX_CHARS = 100


def finish_reason_of(name: Any) -> Literal["stop", "length", "other"]:
    """`stop`, `length`, or `other` for every reason that is not known, null included: such a rollout is not trained on.

    Case, separators and the class of an enum do not count (`FinishReason.MAX_TOKENS` is `maxTokens`). SGLang gives an
    object, `{"type": "length", "length": 512}`.
    """
    if isinstance(name, dict):
        name = name.get("type")
    if not isinstance(name, str) or len(name) > _MAX_CHARS:
        return "other"
    letters = _NOT_LETTERS.sub("", name.rpartition(".")[2].casefold())
    word = _PREFIX.sub("", letters)
    return "stop" if word in _STOP else "length" if word in _LENGTH else "other"
