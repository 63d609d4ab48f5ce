"""Every attack of hostile.py, and random ones, against one verifier actor: `python -m jobs.bench.torture [SECONDS]`.

Counted are late verdicts (over the deadline + 1 s, on a busy machine over the backstop; a hang never ends the benchmark),
forged ones (`correct` where it cannot be), processes left behind, and attacks after which the actor no longer serves. The
random part mutates the attacks for SECONDS more (default 60). One JSON object last.
"""

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import psutil

from ded_ray.recipe import Code, Verify
from ded_ray.records import Group, Problem, Rollout
from ded_ray.verify.time_budget import wall_limit
from ded_ray.verify.worker import VerifyWorker
from jobs.bench.hostile import (
    ANSWERS,
    CALLS,
    CHECK,
    DOUBLE,
    MORE_ANSWERS,
    MORE_PROGRAMS,
    PROGRAMS,
    Attack,
    boxed,
    fenced,
)  # fmt: skip

SECONDS_FOR_GOODBYE = 0.5
"""A process that was killed may still be seen for so long."""


def config(deadline_seconds: float) -> Verify:
    """Everything on, and little time."""
    return Verify(
        timeout_seconds=deadline_seconds,
        cpu_seconds=2,
        answer_forms=("boxed", "hashes", "phrase"),
        code=Code(timeout_seconds=deadline_seconds, memory_bytes=512 << 20, disk_bytes=16 << 20),
    )


HONEST = {
    "math": (boxed("x + 1"), "1 + x"),
    "code": (fenced("def double(x): return x + x\nif __name__ == '__main__': print(double(int(input())))"), DOUBLE),
}


@dataclass
class Tally:
    """What happened, counted; `examples` holds one line for every thing that must not happen."""

    statuses: Counter[str] = field(default_factory=Counter)
    wrongs: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")

    def note(self, what: str, attack: Attack, status: str, seconds: float) -> None:
        self.wrongs[what] += 1
        self.examples.append(f"{what}: {attack.name}: {status} after {seconds:.2f} s")


def verdict(verifying: VerifyWorker, verifier: str, completion: str, answer: str) -> tuple[str, float]:
    """Status and seconds of one completion, through the actor's own method."""
    problem = Problem(problem_id="p", prompt="?", answer=answer, verifier=verifier)
    rollout = Rollout(index=0, completion=completion, num_tokens=1, finish_reason="stop", seed=0)
    started = time.monotonic()
    verifying.verify_group(Group.of(problem, "g", "m", [rollout]))
    return str(rollout.status), time.monotonic() - started


def left_behind(before: set[int]) -> list[str]:
    """Command lines of what still runs of a program of a model, anywhere on the machine, that did not run before."""
    for wait in (0.0, 0.05, SECONDS_FOR_GOODBYE):
        time.sleep(wait)
        new = [process for process in psutil.process_iter(["pid", "cmdline"]) if process.info["pid"] not in before]
        found = [process.info["cmdline"] for process in new if process.info["cmdline"]]
        left = [" ".join(line) for line in found if "program.py" in line or line[0] == "/bin/sleep"]
        if not left:
            break
    return left


def seconds_allowed(deadline_seconds: float) -> float:
    """Of the wall clock: the deadline and a second on an idle machine; on a busy one only the backstop is promised."""
    is_idle = os.getloadavg()[0] < (os.cpu_count() or 1) / 2
    return deadline_seconds + 1 if is_idle else wall_limit(deadline_seconds)


def torture(verifying: VerifyWorker, verifier: str, attacks: Iterable[Attack], deadline_seconds: float) -> Tally:
    """Try every attack, and after each an honest answer."""
    tally = Tally()
    for attack in attacks:
        before = set(psutil.pids())
        status, seconds = verdict(verifying, verifier, attack.completion, attack.answer)
        tally.statuses[status] += 1
        tally.slowest = max(tally.slowest, (seconds, attack.name))
        if status == "correct" and not attack.may_be_correct:
            tally.note("forged", attack, status, seconds)
        if seconds > seconds_allowed(deadline_seconds):
            tally.note("late", attack, status, seconds)
        if left_behind(before):
            tally.note("left_behind", attack, status, seconds)
        honest, seconds = verdict(verifying, verifier, *HONEST[verifier])
        if honest != "correct" or seconds > seconds_allowed(deadline_seconds):
            tally.note("not_serving", attack, honest, seconds)
    return tally


def random_attacks(verifier: str, seed: int) -> Iterable[Attack]:
    """The known attacks cut up and put together again, without end."""
    rng = random.Random(seed)
    if verifier == "math":
        short = [attack.completion for attack in [*ANSWERS, *MORE_ANSWERS] if len(attack.completion) < 3_000]
        pieces = [completion[3 + len("\\boxed{") : -2] for completion in short]
        while True:
            parts = rng.choices(pieces, k=rng.randint(1, 3))
            cut = [part[rng.randint(0, len(part)) :][: rng.randint(1, 700)] for part in parts]
            joined = rng.choice(["+", "^", ",", r"\cdot ", "}{", "=", ""]).join(cut)
            yield Attack(f"random {joined[:60]!r}", boxed(joined), rng.choice(pieces), True)
    programs = [attack.completion.split("\n", 2)[2].rsplit("\n```", 1)[0] for attack in [*PROGRAMS, *MORE_PROGRAMS]]
    while True:
        lines = "\n".join(rng.choices(programs, k=2)).split("\n")
        del lines[rng.randrange(len(lines))]
        yield Attack(f"random {lines[0][:60]!r}", fenced("\n".join(lines)), rng.choice([CHECK, CALLS, DOUBLE]))


def until(end: float, attacks: Iterable[Attack]) -> Iterable[Attack]:
    for attack in attacks:
        if time.monotonic() > end:
            return
        yield attack


def main() -> None:
    seconds, deadline = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0, 3.0
    os.environ["SECRET"] = "SECRET"  # noqa: S105  what the attacks look for
    verifying, tallies = VerifyWorker(config(deadline)), []
    for verifier, attacks in (("math", [*ANSWERS, *MORE_ANSWERS]), ("code", [*PROGRAMS, *MORE_PROGRAMS])):
        if verdict(verifying, verifier, *HONEST[verifier])[0] != "correct":
            sys.exit(f"the {verifier} verifier does not work on this machine")
        tallies.append(torture(verifying, verifier, attacks, deadline))
        endless = until(time.monotonic() + seconds / 2, random_attacks(verifier, seed=0))
        tallies.append(torture(verifying, verifier, endless, deadline))
    verifying.close()
    for tally in tallies:
        print(*tally.examples, sep="\n")
    statuses, wrongs = Counter[str](), Counter[str]()
    for tally in tallies:
        statuses, wrongs = statuses + tally.statuses, wrongs + tally.wrongs
    slowest, name = max(tally.slowest for tally in tallies)
    names = ("forged", "late", "left_behind", "not_serving")
    result = {"num_attacks": statuses.total(), **{name: wrongs[name] for name in names}, "deadline_seconds": deadline,
              "slowest_seconds": round(slowest, 2), "slowest": name, "statuses": dict(statuses)}  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main()
