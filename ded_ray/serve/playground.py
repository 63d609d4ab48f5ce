"""The page at `/`: ask what is served, side by side, and see the verdict on a benchmark's problem."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from ded_ray.recipe import Verify
from ded_ray.records import Group, Problem, Rollout
from ded_ray.serve.asked import Refused
from ded_ray.serve.protocol import json_of, parsed

PAGE = Path(__file__).parent / "page.html"


class Checked(BaseModel):
    """POST /playground/check: a completion of one of the problems."""

    model_config = ConfigDict(extra="forbid")

    problem: Annotated[int, Field(ge=0)]
    text: str
    finish_reason: str | None = None


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
        """The verdict on a completion. Raises Refused."""
        from ded_ray.verify.worker import VerifyWorker

        asked = parsed(Checked, json_of(await request.body()))
        if asked.problem >= len(self.problems):
            raise Refused(f"problem: there are {len(self.problems)}, counted from 0", "problem")
        problem = self.problems[asked.problem]
        finish_reason: Any = asked.finish_reason if asked.finish_reason in {"stop", "length"} else "other"
        rollout = Rollout(index=0, completion=asked.text, num_tokens=0, finish_reason=finish_reason, seed=0)
        async with self._checking:
            self._verifier = self._verifier or VerifyWorker(self.verify)
            group = Group.of(problem, "page", "page", [rollout])
            await asyncio.to_thread(self._verifier.verify_group, group)
        return {"status": rollout.status, "extracted": rollout.extracted, "answer": problem.answer}
