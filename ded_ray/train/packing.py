"""Sequences side by side in one row, so that no forward pass computes padding.

    rows_by_worker = share_out([3, 1, 7], lengths, num_workers=2, capacity=2048)

A forward pass is one row: flash attention sees the borders between sequences only then.
"""

from bisect import bisect_left, insort
from collections.abc import Mapping
from collections.abc import Sequence as Many


def best_fit(indices: Many[int], lengths: Mapping[int, int], capacity: int) -> list[list[int]]:
    """Rows of indices, each at most `capacity` tokens long: the longest first, each into the fullest row that has room.

    Raises ValueError for a sequence that is longer than a row.
    """
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (tokens left, row), sorted
    for index in sorted(indices, key=lambda i: (-lengths[i], i)):
        if lengths[index] > capacity:
            raise ValueError(f"a sequence of {lengths[index]} tokens is longer than a row of {capacity}")
        place = bisect_left(room, (lengths[index], -1))
        left, row = room.pop(place) if place < len(room) else (capacity, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(index)
        insort(room, (left - lengths[index], row))
    return rows


def share_out(batch: Many[int], lengths: Mapping[int, int], *, num_workers: int, capacity: int) -> list[list[list[int]]]:
    """The rows of each worker for one step. Every worker gets equally many, some of them empty: collectives must match.

    As many rounds as best fit needs; then the sequences are spread so that rows are equally long, where that fits.
    """
    rows = best_fit(batch, lengths, capacity)
    rounds = -(-len(rows) // num_workers)
    even = _spread(batch, lengths, rounds * num_workers)
    if max(sum(lengths[i] for i in row) for row in even) <= capacity:
        rows = even
    return [rows[rank::num_workers] + [[]] * (rounds - len(rows[rank::num_workers])) for rank in range(num_workers)]


def _spread(batch: Many[int], lengths: Mapping[int, int], num_rows: int) -> list[list[int]]:
    """The longest first, each into the emptiest row."""
    rows: list[list[int]] = [[] for _ in range(num_rows)]
    used = [(0, row) for row in range(num_rows)]
    for index in sorted(batch, key=lambda i: (-lengths[i], i)):
        tokens, row = used.pop(0)
        rows[row].append(index)
        insort(used, (tokens + lengths[index], row))
    return rows
