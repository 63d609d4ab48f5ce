"""The tests of a program, where a data set spreads them over several columns."""

import json
from typing import Any


def with_function_name(tests: str, row: dict[str, Any]) -> str:
    """The tests as they are, and LiveCodeBench's `metadata` beside them where it names the function that they call.

    Both are JSON; the tests are not parsed, because they can be long.
    """
    metadata = row.get("metadata")
    try:
        found = json.loads(metadata) if isinstance(metadata, str) else metadata
    except (ValueError, RecursionError):
        return tests
    name = found.get("func_name") or found.get("fn_name") if isinstance(found, dict) else None
    if not isinstance(name, str):
        return tests
    key, tests = f'{{"func_name": {json.dumps(name)}, ', tests.strip()
    if tests.startswith("["):
        return f'{key}"cases": {tests}}}'
    return key + tests[1:] if tests.startswith("{") and tests[1:].strip() != "}" else tests
