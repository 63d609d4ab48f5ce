"""How a stream is cut into messages: a message costs a proxy as much as a token costs a small model."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

T = TypeVar("T")

SECONDS_BETWEEN_CHUNKS = 0.04
"""Tokens of a stream that come within this time travel together."""


async def together(items: AsyncIterator[T], seconds: float) -> AsyncGenerator[list[T], None]:
    """The items in lists: the first at once, then whatever has come `seconds` after the last list, and the rest at once when
    they are over. Raises what `items` raises; ends them when it is left."""
    waiting, has_come = list[T](), asyncio.Event()

    async def read() -> None:
        try:
            async for item in items:
                waiting.append(item)
                has_come.set()
        finally:
            has_come.set()

    reading = asyncio.create_task(read())
    try:
        while waiting or not reading.done():
            await has_come.wait()
            has_come.clear()
            if waiting:
                come, waiting[:] = waiting[:], []
                yield come
            await asyncio.wait({reading}, timeout=seconds)
        reading.result()
    finally:
        reading.cancel()
