"""Rows of JSON: one object a line, or one array of objects; plain, or compressed by gzip or zstd."""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ded_ray.errors import BadInput

MAX_DEPTH = 100
"""Of lists and objects within each other; Arrow and this package's own readers are recursive."""

_SHOWN = 60


def read_json(path: Path) -> Iterator[dict[str, Any]]:
    """The rows in order, in bounded memory where there is one a line. Raises BadInput with the line and the remedy."""
    with _opened(path) as file:
        start = file.peek(4)[:4]  # type: ignore[attr-defined]
        if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start:
            raise BadInput(f"{path}: UTF-16, not UTF-8; convert it: iconv -f UTF-16 -t UTF-8")
        if start.startswith(b"\xef\xbb\xbf"):
            file.read(3)
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            if line.lstrip().startswith(b"["):
                yield from _array(path, number, line + file.read())
                return
            yield _row(_parsed(line, f"{path}, line {number}", file), line, f"{path}, line {number}")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        match path.suffix.lower():
            case ".gz":
                with gzip.open(path) as unzipped:
                    yield unzipped  # type: ignore[misc]
            case ".zst":
                import pyarrow as pa

                with pa.input_stream(str(path), compression="zstd") as stream:
                    yield io.BufferedReader(stream)
            case _:
                with path.open("rb") as plain:
                    yield plain
    except (OSError, EOFError, zlib.error) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{path}: cannot be read ({reason}); is it whole, and compressed as its name says?") from error
    except MemoryError as error:
        raise BadInput(f"{path}: an array that does not fit into memory; write one object a line (jq -c '.[]')") from error


def _array(path: Path, number: int, text: bytes) -> Iterator[dict[str, Any]]:
    found = _parsed(text, f"{path}, line {number}", None)
    if not isinstance(found, list):
        raise BadInput(f"{path}, line {number}: a row must be a JSON object")
    for index, item in enumerate(found, start=1):
        yield _row(item, text, f"{path}, item {index}")


def _row(value: Any, text: bytes, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInput(f"{where}: a row must be a JSON object, this is a {type(value).__name__}")
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH and depth_of(value) > MAX_DEPTH:
        raise BadInput(f"{where}: nested more than {MAX_DEPTH} levels deep; write what is inside as a text")
    return storable(value) if b"\\ud" in text.lower() else value


def _parsed(text: bytes, where: str, rest: BinaryIO | None) -> Any:
    """The JSON value. `rest` is what follows the line; None when nothing can. Raises BadInput with what is wrong."""
    try:
        return json.loads(text.decode())
    except UnicodeDecodeError as error:
        if error.end == len(text) and error.reason == "unexpected end of data":
            raise BadInput(f"{where}: ends in the middle of a character; was the file cut off?") from error
        byte = f"byte 0x{text[error.start]:02x} at column {error.start + 1}"
        raise BadInput(
            f"{where}: not UTF-8 ({byte}); convert the file: iconv -f LATIN1 -t UTF-8, or from what it is"
        ) from error
    except json.JSONDecodeError as error:
        raise BadInput(f"{where}: not JSON ({error.msg} at column {error.pos + 1}); {_remedy(text, error, rest)}") from error
    except RecursionError as error:
        raise BadInput(f"{where}: nested more than {MAX_DEPTH} levels deep; write what is inside as a text") from error
    except ValueError as error:  # Python reads no integer of more than 4,300 digits
        raise BadInput(f"{where}: holds a number of too many digits; write it as a text") from error


def _remedy(text: bytes, error: json.JSONDecodeError, rest: BinaryIO | None) -> str:
    if b"\0" in text:
        return "it looks like UTF-16; convert it: iconv -f UTF-16 -t UTF-8"
    if error.msg.startswith("Invalid control character") and error.pos < len(error.doc.rstrip("\r\n")):
        return "a tab or another control character stands in a text as it is; write it as \\t or \\u00.."
    unfinished = error.pos >= len(error.doc.rstrip()) or error.msg.startswith(("Unterminated string", "Invalid control"))
    if not unfinished:
        return f"it begins with {error.doc.strip()[:_SHOWN]!r}; write one object a line"
    if rest is not None and rest.read(1):
        return "the object goes on below; write one object a line (jq -c .)"
    return "was the file cut off?"


def depth_of(value: Any) -> int:
    """How many lists and objects are within each other; without recursion."""
    deepest, pending = 0, [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if isinstance(item, dict | list):
            deepest = max(deepest, depth)
            pending += [(each, depth + 1) for each in (item.values() if isinstance(item, dict) else item)]
    return deepest


def storable(value: Any) -> Any:
    """JSON may name half a surrogate pair, which no text file can hold; each becomes a question mark."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return [storable(item) for item in value] if isinstance(value, list) else value
