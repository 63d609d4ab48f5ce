"""What comes of a stream within a moment travels together; nothing is lost or kept waiting at the end."""

import asyncio
import time

import pytest

from ded_ray.serve.chunks import together


def chunks(items, seconds=0.1):
    async def read():
        return [chunk async for chunk in together(items, seconds)]

    return asyncio.run(read())


async def quick(number, then=None):
    yield "role"
    for i in range(number):
        yield i
        await asyncio.sleep(0)
    if then:
        raise then
    yield "usage"
    yield "done"


def test_the_first_token_and_the_end_wait_for_nothing():
    started = time.monotonic()
    assert chunks(quick(5), seconds=600) == [["role", 0], [1, 2, 3, 4, "usage", "done"]]
    assert time.monotonic() - started < 300


def test_few_messages_hold_all():
    found = chunks(quick(1000), seconds=0.05)
    assert [item for chunk in found for item in chunk] == ["role", *range(1000), "usage", "done"]
    assert len(found) < 500


def test_nothing_at_all():
    async def nothing():
        return
        yield

    assert chunks(nothing()) == []


def test_what_came_before_an_error_is_handed_on():
    found = []

    async def read():
        async for chunk in together(quick(3, then=ValueError("it broke")), 0.001):
            found.extend(chunk)

    with pytest.raises(ValueError, match="it broke"):
        asyncio.run(read())
    assert found == ["role", 0, 1, 2]


@pytest.mark.parametrize("how", ["closed", "cancelled"])
def test_who_leaves_ends_the_stream(how):
    ended = []

    async def endless():
        try:
            while True:
                yield 1
                await asyncio.sleep(0.01)
        finally:
            ended.append(True)

    async def leave():
        stream = together(endless(), 0.01)
        if how == "closed":
            await anext(stream)
            await stream.aclose()
        else:

            async def read():
                async for _ in stream:
                    pass

            task = asyncio.create_task(read())
            await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await stream.aclose()
        await asyncio.sleep(0.05)
        assert ended, "it goes on though nobody reads"

    asyncio.run(leave())
