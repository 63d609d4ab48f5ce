"""What LeetCode and LiveCodeBench have imported before a solution starts, and their lists and trees as plain data.

Stands alone (standard library only): its text is put into the sandbox beside the program. LeetCode writes a linked list as
the list of its values, and a tree as its values level by level, None where a node has no child. Which arguments are meant
so only the solution's annotations tell.
"""

import builtins
import importlib
import inspect
import re
from typing import Any

MODULES = (
    "string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics", "itertools",
    "functools", "operator", "io", "sys", "json", "typing",
)  # fmt: skip
"""LiveCodeBench's import string (lcb_runner/evaluation/testing_util.py), which follows LeetCode's own list."""


class ListNode:
    def __init__(self, val: Any = 0, next: Any = None) -> None:
        self.val, self.next = val, next


class TreeNode:
    def __init__(self, val: Any = 0, left: Any = None, right: Any = None) -> None:
        self.val, self.left, self.right = val, left, right


def names() -> dict[str, Any]:
    """Every name that is there without an import; Python's own builtins win."""
    found: dict[str, Any] = {"ListNode": ListNode, "TreeNode": TreeNode}
    modules = {name: importlib.import_module(name) for name in MODULES}
    for module in modules.values():
        public = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
        found.update((name, getattr(module, name)) for name in public)
    return {**found, **vars(builtins), **modules}


def as_nodes(function: Any, arguments: Any, namespace: dict[str, Any]) -> list[Any]:
    """The arguments, with nodes of the solution's own classes where its annotations say so."""
    notes = [str(parameter.annotation) for parameter in _signature(function).parameters.values()]
    notes += [""] * len(arguments)
    return [_built(argument, notes[position], namespace) for position, argument in enumerate(arguments)]


def as_values(function: Any, returned: Any) -> Any:
    """What a function returned, as LeetCode writes it: nodes as lists, and no node at all as an empty one."""
    note = str(_signature(function).return_annotation)
    if isinstance(returned, list) and _NODES.search(note):
        return [_values(item) for item in returned]
    if returned is None and not _NODES.search(note):
        return [] if _NODE.search(note) else None
    return _values(returned) if type(returned).__name__ in ("ListNode", "TreeNode") else returned


_NODE = re.compile(r"\b(ListNode|TreeNode)\b")
_NODES = re.compile(r"\b[Ll]ist\[.*\b(ListNode|TreeNode)\b")


def _signature(function: Any) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # of what is written in C
        return inspect.Signature()


def _built(value: Any, note: str, namespace: dict[str, Any]) -> Any:
    kind = _NODE.search(note)
    if kind is None or not isinstance(value, list):
        return value
    if _NODES.search(note):
        return [_built(item, kind[1], namespace) for item in value]
    made = namespace.get(kind[1], globals()[kind[1]])
    return _linked(value, made) if kind[1] == "ListNode" else _tree(value, made)


def _linked(values: list[Any], made: Any) -> Any:
    head = None
    for value in reversed(values):
        node = made(value)
        node.next, head = head, node
    return head


def _tree(values: list[Any], made: Any) -> Any:
    nodes = [made(value) for value in values[:1] if value is not None]
    below = iter(values[1:])
    for node in nodes:  # the list grows as it is walked
        for side in ("left", "right"):
            value = next(below, None)
            child = None if value is None else made(value)
            setattr(node, side, child)
            nodes += [] if child is None else [child]
    return nodes[0] if nodes else None


def _values(node: Any) -> list[Any]:
    if type(node).__name__ == "ListNode":
        values = []
        while node is not None:
            values.append(node.val)
            node = node.next
        return values
    nodes = [node]
    for each in nodes:
        nodes += [] if each is None else [each.left, each.right]
    while nodes and nodes[-1] is None:
        nodes.pop()
    return [None if each is None else each.val for each in nodes]
