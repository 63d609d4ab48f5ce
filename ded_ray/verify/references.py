"""Whether anything here can check answers to a problem: asked before anybody is paid for them."""

from collections.abc import Sequence

from ded_ray.records import Problem
from ded_ray.verify.code.cases import why_unreadable
from ded_ray.verify.math.references import is_verifiable_reference

NUM_NAMED = 3
"""How many of the problems that cannot be checked are named."""


def why_unverifiable(problem: Problem) -> str | None:
    """Why no answer to this problem can be checked, in a few words; None when it can be, as far as its reference shows."""
    match problem.verifier:
        case "code":
            return why_unreadable(problem.answer)
        case "math" if not is_verifiable_reference(problem.answer):
            return f"its reference is no answer: {problem.answer:.40}"
    return None


def tell_unverifiable(problems: Sequence[Problem], what: str) -> str | None:
    """One line on the problems to which no answer can be checked, the first few by name; None when there is none.

    `what` says what they are problems of.
    """
    reasons = [(problem.problem_id, why) for problem in problems if (why := why_unverifiable(problem))]
    if not reasons:
        return None
    first = ", ".join(f"{problem_id!r} ({why})" for problem_id, why in reasons[:NUM_NAMED])
    more = ", ..." if len(reasons) > NUM_NAMED else ""
    return f"{what}: {len(reasons)} of {len(problems)} cannot be verified: {first}{more}"
