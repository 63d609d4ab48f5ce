"""The page at `/`: ask what is served, side by side, and see the verdict on a benchmark's problem."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import Request

from ded_ray.recipe import Verify
from ded_ray.records import Group, Problem, Rollout
from ded_ray.serve.asked import Refused

PAGE = Path(__file__).parent / "page.html"


@dataclass
class Playground:
    """What the page shows: models by name, and problems with answers that stay on the server until something is checked."""

    models: Sequence[str]
    problems: Sequence[Problem]
    verify: Verify
    _checking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _verifier: Any = None

    def page(self) -> str:
        # In a script, "</" could end it: JSON may write the stroke as "\\/".
        shown = json.dumps({"models": list(self.models)}).replace("</", "<\\/")
        return PAGE.read_text().replace("{{shown}}", shown)

    async def list_problems(self) -> list[dict[str, Any]]:
        return [{"id": i, "name": p.problem_id, "prompt": p.prompt} for i, p in enumerate(self.problems)]

    async def check(self, request: Request) -> dict[str, Any]:
        """The verdict on {"problem": its number, "text": a completion, "finish_reason": ...}."""
        from ded_ray.verify.worker import VerifyWorker

        try:
            body = await request.json()
            problem, text, reason = self.problems[int(body["problem"])], str(body["text"]), body.get("finish_reason")
        except (AttributeError, TypeError, ValueError, LookupError) as error:
            raise Refused("send {problem: a number, text: ..., finish_reason: stop or length}") from error
        finish_reason: Any = reason if reason in {"stop", "length"} else "other"
        rollout = Rollout(index=0, completion=text, num_tokens=0, finish_reason=finish_reason, seed=0)
        async with self._checking:
            self._verifier = self._verifier or VerifyWorker(self.verify)
            group = Group.of(problem, "page", "page", [rollout])
            await asyncio.to_thread(self._verifier.verify_group, group)
        return {"status": rollout.status, "extracted": rollout.extracted, "answer": problem.answer}
