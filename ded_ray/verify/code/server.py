"""Both ends of a call into model code: plain data as JSON, and the loop that answers calls from inside the sandbox.

Stands alone (standard library only): its text is put into the sandbox beside the program. What comes out of the
sandbox is rebuilt as None, bool, int, float, str, list, tuple, set or dict and nothing else, so that no object with
an `__eq__` of its own can reach a comparison.
"""

import importlib
import json
import os
import sys
from typing import Any

TAGS: dict[Any, str] = {list: "l", tuple: "t", set: "s", frozenset: "f"}


def encode(value: Any) -> list[Any]:
    """A value as nested [tag, content] lists. Raises TypeError for anything that is not plain data."""
    kind = type(value)
    if value is None or kind in (bool, float, str):
        return ["v", value]
    if kind is int:
        return ["i", hex(value)]  # decimal text of a huge integer takes quadratic time
    if kind in (list, tuple, set, frozenset):
        return [TAGS[kind], [encode(item) for item in value]]
    if kind is dict:
        return ["d", [[encode(key), encode(item)] for key, item in value.items()]]
    raise TypeError(f"not plain data: {kind.__name__}")


def decode(pair: Any) -> Any:
    """The value of what `encode` made. Raises ValueError, TypeError or StopIteration for anything else."""
    tag, content = pair
    if tag == "v" and (content is None or type(content) in (bool, float, str)):
        return content
    if tag == "i":
        return int(content, 16)
    if tag == "d":
        return {decode(key): decode(item) for key, item in content}
    kind = next(kind for kind, its_tag in TAGS.items() if its_tag == tag)
    return kind(decode(item) for item in content)


def serve(path: str, entry_point: str, is_leetcode: str) -> None:
    """Load the program, then answer one call per line. What it prints goes nowhere.

    With `is_leetcode`, "True" or "False", it finds LeetCode's names as if they were Python's own: its own still come first.
    """
    calls, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0), os.dup2(nowhere, 1)
    namespace: dict[str, Any] = {"__name__": "solution"}
    leetcode: Any = None
    if is_leetcode == "True":
        sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
        leetcode = importlib.import_module("leetcode")
        sys.path.pop(0)
        namespace["__builtins__"] = leetcode.names()
        sys.setrecursionlimit(50_000)
    with open(path, encoding="utf-8", errors="surrogatepass") as file:
        exec(compile(file.read(), path, "exec"), namespace)  # noqa: S102  the one place where model code runs
    for line in calls:
        arguments, named = json.loads(line)
        try:
            function = namespace.get(entry_point) or getattr(namespace["Solution"](), entry_point)
            given, given_by_name = decode(arguments), decode(named)
            if leetcode:
                value = leetcode.as_values(
                    function, function(*leetcode.as_nodes(function, given, namespace), **given_by_name)
                )
            else:
                value = function(*given, **given_by_name)
            reply: dict[str, Any] = {"value": encode(value)}
        except BaseException as error:  # the boundary: model code raises what it likes, in a sandbox of its own
            reply = {"error": type(error).__name__}
        print(json.dumps(reply), file=replies)


if __name__ == "__main__":
    serve(*sys.argv[1:])
