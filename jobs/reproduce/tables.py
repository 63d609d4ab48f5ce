"""What came out, with intervals: problems and seeds are resampled together, and every difference is taken in pairs."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.stats import spearmanr

from jobs.reproduce.experiments import TEACHER, sizes, student_tokens, teacher_tokens
from jobs.reproduce.world import OUT_OF_DOMAIN, TEACHERS, World

RESAMPLES = 2000
BUDGETS = {"naive": "naive", "ours": "ours", "ours-long": "ours for as many steps as naive"}
Result = dict[str, Any]


class Results:
    """All students of all seeds, by name."""

    def __init__(self, worlds: Sequence[World]) -> None:
        self.worlds = worlds
        self._students: dict[tuple[int, str], Result] = {}
        for world in worlds:
            for name, key in json.loads(world.names_file.read_text()).items():
                self._students[world.seed, name] = json.loads(world.scores_file(key).read_text())

    def rates(self, name: str, world: World, out_of_domain: bool = False) -> np.ndarray:
        """Pass rates by problem."""
        rates = self._students[world.seed, name]["rates"]
        return np.concatenate([rates[each] for each in (OUT_OF_DOMAIN if out_of_domain else ("chain",))])

    def mean(self, name: str, world: World, out_of_domain: bool = False) -> float:
        return float(self.rates(name, world, out_of_domain).mean())

    def count(self, name: str, what: str) -> int:
        """num_examples or num_steps, mean over seeds."""
        return round(np.mean([self._students[world.seed, name][what] for world in self.worlds]))

    def row(self, name: str, against: str, label: str) -> Result:
        """In- and out-of-domain score, and the paired difference in-domain to another student, with its interval."""
        found: Result = {"label": label, "name": name}
        found |= {"examples": self.count(name, "num_examples"), "steps": self.count(name, "num_steps")}
        for key, outside in (("in", False), ("out", True)):
            scores, changes = [], []
            for world in self.worlds:
                scores.append(self.rates(name, world, outside))
                changes.append(scores[-1] - self.rates(against, world, outside))
            found[key] = round(float(np.mean([each.mean() for each in scores])), 3)
            found[f"{key}_change"] = [round(value, 3) for value in interval(changes)]
        found["against"] = against
        return found


def interval(by_seed: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """(mean, low, high): 95 %, seeds drawn with replacement and then problems within each."""
    rng, means = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        drawn = [by_seed[i] for i in rng.integers(len(by_seed), size=len(by_seed))]
        means.append(np.mean([each[rng.integers(len(each), size=len(each))].mean() for each in drawn]))
    low, high = np.percentile(means, [2.5, 97.5])
    return float(np.mean([each.mean() for each in by_seed])), float(low), float(high)


def compared(results: Results) -> dict[str, list[Result]]:
    """Experiments (ii) to (v), the budgets of (vi), and the student before all of them, as rows."""
    worlds = results.worlds
    rows = {
        "ii": [("all-unweighted", "all 8, unweighted"), ("all-softmax", "all 8, softmax of advantage (AdvDistill-style)"),
               ("correct-relu", "right ones, relu of advantage"), ("correct-only", "right ones, unweighted")],
        "iii": [("one-each", "1 each, unfiltered"), ("right", "+Right"), ("right-hard", "+Right-Hard"),
                ("right-hard-farthest", "+Right-Hard-Diverse (farthest 4)"), ("right-hard-random", "control: random 4"),
                ("right-hard-lowest_rsr", "control: lowest-RSR 4"),
                ("right-hard-long", "control: random 1, as many steps")],
        "iv": [(f"questions-{n}", f"{n} questions x 4") for n in sizes(worlds[0])],
        "v": [(f"trajectories-{n}", f"{n} per hard question") for n in (1, 2, 4, 8)],
        "vi": [(f"{kind}-{n}", f"{label}, {n} questions") for n in sizes(worlds[0]) for kind, label in BUDGETS.items()],
    }  # fmt: skip
    baselines = {"ii": "all-unweighted", "iii": "right-hard-random", "iv": "base", "v": "trajectories-1", "vi": "base"}
    found = {key: [results.row(name, baselines[key], label) for name, label in of] for key, of in rows.items()}
    for row in found["vi"]:
        row["teacher_tokens"] = round(np.mean([teacher_tokens(world, row["name"]) for world in worlds]))
        row["student_tokens"] = round(np.mean([student_tokens(world, row["name"]) for world in worlds]))
    return found | {"base": [results.row("base", "base", "the student before")]}


def smoke(results: Results) -> Result:
    """(i): by candidate what it scores itself, RSR and surprisal of its smoke corpus, its smoke student and the truth; and
    how well each of them orders the candidates (Spearman, mean over seeds)."""
    names = [model.rsplit("/", 1)[-1] for model in TEACHERS]
    by_seed: dict[str, list[list[float]]] = {key: [] for key in ("own", "rsr", "surprisal", "smoke", "truth")}
    for world in results.worlds:
        columns: dict[str, list[float]] = {key: [] for key in by_seed}
        for model, name in zip(TEACHERS, names, strict=True):
            groups = world.answers(model)
            rollouts = [rollout for group in groups for rollout in group.rollouts]
            read = [group.rollouts[0] for group in groups[: len(groups) // 4]]
            surprisal = [rollout.surprisal or 0.0 for rollout in read]
            columns["own"].append(float(np.mean([rollout.status == "correct" for rollout in rollouts])))
            columns["surprisal"].append(float(np.mean(surprisal)))
            columns["rsr"].append(sum((r.rsr or 0) * (r.surprisal or 0) for r in read) / sum(surprisal))
            for key in ("smoke", "truth"):
                columns[key].append(results.mean(f"{key}-{name}", world))
        for key, values in columns.items():
            by_seed[key].append(values)
    means = {key: np.mean(values, axis=0) for key, values in by_seed.items()}
    best = names[int(np.argmax(means["truth"]))]
    behind = [
        interval([results.rates(f"truth-{name}", w) - results.rates(f"truth-{best}", w) for w in results.worlds])
        for name in names
    ]
    signs = {"own": 1, "rsr": -1, "surprisal": -1, "smoke": 1}
    return {
        "candidates": names,
        **{key: values.round(3).tolist() for key, values in means.items()},
        "behind_the_best": [[round(value, 3) for value in each] for each in behind],
        "spearman_with_truth": {
            key: round(float(np.mean([spearman(np.array(mine) * sign, truth)
                                      for mine, truth in zip(by_seed[key], by_seed["truth"], strict=True)])), 2)
            for key, sign in signs.items()
        },
        "picks_the_best": {
            key: sum(int(np.argmax(np.array(mine) * sign) == np.argmax(truth))
                     for mine, truth in zip(by_seed[key], by_seed["truth"], strict=True))
            for key, sign in signs.items()
        },
        "seeds": len(results.worlds),
    }  # fmt: skip


def spearman(mine: np.ndarray, truth: Sequence[float]) -> float:
    """0 where one of them tells no two candidates apart."""
    if len(set(mine)) < 2 or len(set(truth)) < 2:
        return 0.0
    return float(spearmanr(mine, truth).statistic)


def tokens_to_reach(results: Results, kind: str = "ours") -> Result:
    """(vi): teacher tokens that ours (of the kind) needs to score what the naive pipeline does, over what that needs, for
    its score on each number of questions; all seeds together, with an interval drawn as in `interval`. None: never reached.

    More tokens cannot be worth less: both curves are made non-decreasing (isotonic regression) first, so that one lucky
    student on the way counts for nothing. Where the smallest corpus of ours scores as much already, its tokens count: the
    ratio is at most that. The student's own answers, which ours begins with, are not counted.
    """
    counts, kinds = sizes(results.worlds[0]), ("naive", kind)
    rates_NSP = {k: np.array([[results.rates(f"{k}-{n}", w) for w in results.worlds] for n in counts]) for k in kinds}
    tokens_NS = {k: np.array([[teacher_tokens(w, f"{k}-{n}") for w in results.worlds] for n in counts]) for k in kinds}

    def ratios(seeds_S: np.ndarray, problems_SP: np.ndarray) -> list[float]:
        naive, ours = (isotonic_regression(rates_NSP[k][:, seeds_S[:, None], problems_SP].mean((1, 2))).x for k in kinds)
        paid, cheaper = (tokens_NS[k][:, seeds_S].mean(1) for k in kinds)
        curve = list(zip(cheaper, ours, strict=True))
        return [reach(curve, score) / tokens for score, tokens in zip(naive, paid, strict=True)][1:]

    _, num_seeds, num_problems = rates_NSP["naive"].shape
    rng = np.random.default_rng(0)
    drawn_RN = [
        ratios(rng.integers(num_seeds, size=(num_seeds,)), rng.integers(num_problems, size=(num_seeds, num_problems)))
        for _ in range(RESAMPLES)
    ]
    found = ratios(np.arange(num_seeds), np.tile(np.arange(num_problems), (num_seeds, 1)))
    low_N, high_N = np.percentile(drawn_RN, [2.5, 97.5], axis=0, method="nearest")
    return {
        "by_questions": {
            str(n): {"ratio": finite(ratio), "ci95": [finite(low), finite(high)]}
            for n, ratio, low, high in zip(counts[1:], found, low_N, high_N, strict=True)
        },
        "median": finite(float(np.median(found))),
    }


def finite(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None


def reach(curve: Sequence[tuple[float, float]], score: float) -> float:
    """Tokens at which a curve of (tokens, score) first reaches a score, linear in between; its first point if that does;
    infinity where none does."""
    before: tuple[float, float] | None = None
    for tokens, found in curve:
        if found >= score:
            if before is None:
                return float(tokens)
            return float(before[0] + (tokens - before[0]) * (score - before[1]) / (found - before[1]))
        before = (tokens, found)
    return float("inf")


def markdown(found: Result) -> str:
    """One table for the README."""
    titles = {"ii": f"(ii) weights, the same 8 answers of {TEACHER} to every question",
              "iii": "(iii) DED's Table 3, with controls", "iv": "(iv) corpus size",
              "v": "(v) trajectories per question", "vi": "(vi) budgets"}  # fmt: skip
    lines = [
        "| experiment | examples | steps | in-domain | difference | out-of-domain | difference |",
        "|---|---|---|---|---|---|---|",
        *[_line(row) for row in found["base"]],
    ]
    for key, title in titles.items():
        [compared_with] = {row["label"] for row in found[key] + found["base"] if row["name"] == found[key][0]["against"]}
        lines.append(f"| **{title}; differences to: {compared_with}** | | | | | | |")
        lines += [_line(row) for row in found[key]]
    first = found["i"]
    lines += [
        "",
        "| (i) teacher | own score | RSR | surprisal | smoke-test student | student after all of it | behind the best |",
        "|---|---|---|---|---|---|---|",
    ]
    for i, name in enumerate(first["candidates"]):
        lines.append(
            f"| {name} | "
            + " | ".join(f"{first[key][i]:.3f}" for key in ("own", "rsr", "surprisal", "smoke", "truth"))
            + f" | {_interval(first['behind_the_best'][i])} |"
        )
    told = ", ".join(f"{key} {value:+.2f}" for key, value in first["spearman_with_truth"].items())
    best = ", ".join(f"{key} {value} of {first['seeds']}" for key, value in first["picks_the_best"].items())
    lines += ["", f"Spearman with the truth, mean over seeds: {told}. Picks the best teacher: {best}."]
    lines += [
        "",
        "| (vi) teacher tokens over those of naive, at the score of naive on | "
        + " | ".join(list(BUDGETS.values())[1:])
        + " |",
        "|---|---|---|",
    ]
    for count in found["tokens_to_reach"]["ours"]["by_questions"]:
        ratios = (_ratio(found["tokens_to_reach"][kind]["by_questions"][count]) for kind in list(BUDGETS)[1:])
        lines.append(f"| {count} questions | {' | '.join(ratios)} |")
    return "\n".join(lines) + "\n"


def _line(row: Result) -> str:
    tokens = f"; {row['teacher_tokens']:,} teacher tokens" if "teacher_tokens" in row else ""
    tokens += f" and {row['student_tokens']:,} of the student" if row.get("student_tokens") else ""
    inside, outside = _interval(row["in_change"]), _interval(row["out_change"])
    cells = [row["label"] + tokens, row["examples"], row["steps"], f"{row['in']:.3f}", inside,
             f"{row['out']:.3f}", outside]  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def _interval(change: Sequence[float]) -> str:
    return f"{change[0]:+.3f} ({change[1]:+.3f} to {change[2]:+.3f})"


def _ratio(found: Result) -> str:
    ratio, low, high = ("never" if value is None else f"{value:.2f}" for value in (found["ratio"], *found["ci95"]))
    return ratio if ratio == low == high else f"{ratio} ({low} to {high})"
