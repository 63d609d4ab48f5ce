"""What a candidate's answers look like to the student, before and after it has learnt from them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ded_ray.files.parts import read_records
from ded_ray.recipe import Chat, Generator, OpenAIEngine, Reading
from ded_ray.records import CHECKED, Group

if TYPE_CHECKING:
    from ded_ray.models.surprisal import Reader


def as_corpus(groups: list[Group]) -> list[Group]:
    """Groups as DED's smoke test trains on them: one answer each, right or wrong, all with weight 1; none that was cut off
    or could not be checked."""
    for group in groups:
        for rollout in group.rollouts:
            rollout.weight = 1.0
            rollout.dropped_because = None if rollout.status in CHECKED - {"truncated"} else rollout.status
    return groups


def answers_of(corpus: Path, generator: Generator) -> dict[str, Any]:
    """Shares, lengths and costs of a candidate's answers. Rates are in [0, 1] over all of them, lengths in its tokens (None
    where its engine does not count them)."""
    rollouts = [rollout for group in read_records(corpus, Group) for rollout in group.rollouts]
    verified = sum(rollout.status == "correct" for rollout in rollouts)
    tokens = sum(rollout.num_tokens for rollout in rollouts)
    found: dict[str, Any] = {
        "num_answers": len(rollouts),
        "verified_rate": verified / len(rollouts) if rollouts else None,
        "cut_off_rate": sum(r.finish_reason == "length" for r in rollouts) / len(rollouts) if rollouts else None,
        "mean_tokens": tokens / len(rollouts) if tokens else None,
        "tokens_per_verified": tokens / verified if tokens and verified else None,
    }
    if (
        isinstance(generator.engine, OpenAIEngine)
        and generator.engine.usd_per_million_completion_tokens
        and tokens
        and verified
    ):
        found["usd_per_verified"] = tokens * generator.engine.usd_per_million_completion_tokens / 1e6 / verified
    return found


def read(corpus: Path, student: Generator, config: Reading) -> dict[str, float | None]:
    """The student reads what a candidate wrote: surprisal, Rank-Surprisal Ratio, entropy (nats). For a Ray worker."""
    from ded_ray.models.surprisal import rsr_of

    texts = [(g.prompt, r.completion) for g in read_records(corpus, Group) for r in g.rollouts if r.dropped_because is None]
    if not texts:
        return {"mean_surprisal": None, "rsr": None, "mean_entropy": None, "median_entropy": None}
    surprises = _reader(student.model, config, student.chat).surprises(texts)
    entropies = np.concatenate([np.asarray(surprise.entropies, np.float32) for surprise in surprises])
    return {
        "mean_surprisal": float(np.mean([surprise.mean_surprisal for surprise in surprises])),
        "rsr": rsr_of(surprises),
        "mean_entropy": float(entropies.mean()),
        "median_entropy": float(np.median(entropies)),
    }


def _reader(model: str, config: Reading, chat: Chat | None = None) -> "Reader":
    from ded_ray.models.surprisal import Reader

    threads, use_gpu = max(1, int(config.num_cpus)), config.num_gpus > 0
    return Reader(model, threads, chat=chat, use_gpu=use_gpu, batch_tokens=config.batch_tokens)


def pca_shift(models: tuple[str, str], texts: list[str], config: Reading) -> float:
    """How far the hidden states of these texts are apart in two models, a student and its base (DED, Figure 4). For a Ray
    worker.

    DED uses the tool of arXiv 2507.00432: of each layer, the mean state of a text's first 128 tokens, on the base model's
    first two principal components. Ours is the distance between the two models' centroids there, averaged over layers; the
    tool averages the points before it takes the distance, which depends on the components' arbitrary signs, and counts
    padding. So values compare within one table, not with DED's.
    """
    before_LND, after_LND = (_reader(model, config).layer_means(texts).numpy() for model in models)
    return centroid_shift(before_LND, after_LND)


def centroid_shift(before_LND: np.ndarray, after_LND: np.ndarray) -> float:
    """Mean over layers of the distance between centroids, in the plane of the first two components of `before`."""
    distances = []
    for before_ND, after_ND in zip(before_LND, after_LND, strict=True):
        _, _, components = np.linalg.svd(before_ND - before_ND.mean(0), full_matrices=False)
        distances.append(np.linalg.norm(components[:2] @ (after_ND.mean(0) - before_ND.mean(0))))
    return float(np.mean(distances))
