"""Each question once: equal ones, and near duplicates by the runs of five words that they share.

MinHash finds the candidates among all that came before, as arXiv 2107.06499 does; their true Jaccard similarity decides.
"""

import hashlib
from typing import Any

import numpy as np

from ded_ray.curate.words import Words, runs
from ded_ray.records import stable_hash

SHINGLE = 5
"""Words of the runs by which near duplicates are known."""

_SOLD = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many in all?"

CASES = [
    ((_SOLD, _SOLD.upper(), 0.9), "duplicate_prompt"),
    ((_SOLD, _SOLD + " Please.", 0.9), "near_duplicate"),
    ((_SOLD, _SOLD + " Please.", None), None),
    ((_SOLD, _SOLD.replace("48", "52"), 0.9), None),  # another number is another question
    ((_SOLD, _SOLD.replace("48", "52"), 0.5), "near_duplicate"),
    (("Sort: 12", "Sort: 21", 0.9), None),
    (("Sort: 12", "sort 12", 0.9), "duplicate_prompt"),
]
"""((one question, a later one, Jaccard threshold), why the later one is dropped)"""


class SeenQuestions:
    """The questions before this one."""

    def __init__(self, threshold: float | None) -> None:
        self._threshold, self._whole = threshold, set[bytes]()
        self._shingles: list[np.ndarray] = []
        if threshold is not None:
            from datasketch import MinHashLSH

            self._index: Any = MinHashLSH(threshold=threshold, num_perm=64)

    def duplicate_reason(self, question: Words) -> str | None:
        """The reason to drop a question that is like one before it; None remembers it, for those after it."""
        whole = hashlib.sha256(" ".join(question).encode()).digest()[:16]  # its words would take kilobytes
        if whole in self._whole:
            return "duplicate_prompt"
        self._whole.add(whole)
        if self._threshold is None or len(question) < SHINGLE:
            return None
        from datasketch import MinHash

        texts = sorted({" ".join(run) for run in runs(question, SHINGLE)})
        sketch = MinHash(num_perm=64, seed=1)
        sketch.update_batch([text.encode() for text in texts])
        shingles = np.array([int(stable_hash(text), 16) for text in texts], np.uint64)
        for other in sorted(self._index.query(sketch)):  # candidates; what counts is the true similarity
            common = len(np.intersect1d(shingles, self._shingles[other]))
            if common >= self._threshold * (len(shingles) + len(self._shingles[other]) - common):
                return "near_duplicate"
        self._index.insert(len(self._shingles), sketch)
        self._shingles.append(shingles)
        return None
