"""Knobs of the models that answer: how they are asked, how they sample, student and teacher."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from ded_ray.recipe.config import Config
from ded_ray.recipe.engines import EngineConfig, OpenAIEngine, TransformersEngine


class Adaptive(Config):
    """Rollouts in rounds: a group is settled when all that could be checked are correct, or all wrong; only the mixed ones,
    which have something to tell right from wrong by, go on. Our own rule: neither paper samples so."""

    first: Annotated[int, Field(ge=2)] = 4
    """Rollouts of the first round."""
    step: PositiveInt = 4
    """Of each further one."""
    at_most: PositiveInt = 16
    """Of a group that stays mixed: what the settled ones save may be spent here."""

    @model_validator(mode="after")
    def _growing(self) -> "Adaptive":
        if self.first > self.at_most:
            raise ValueError("first: is above at_most")
        return self


class Sampling(Config):
    """How a model answers. Changing any of this makes other rollouts, so it is a part of every group's identity."""

    num_rollouts: PositiveInt = 8
    """G, completions per prompt. AdvDistill: 8 (Fig. 1). DED does not state its M."""
    temperature: NonNegativeFloat = 1.0
    """0: always the likeliest token; then one rollout is all that there is."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: PositiveInt = 512
    """Longer completions are cut off, and named `truncated`."""
    adaptive: Adaptive | None = None
    """Set: rounds instead of num_rollouts, which is then only what the saving is measured by."""

    @model_validator(mode="before")
    @classmethod
    def _one_is_all(cls, given: Any) -> Any:
        is_greedy = isinstance(given, dict) and given.get("temperature") in (0, "0")
        return {"num_rollouts": 1, **given} if is_greedy else given

    @model_validator(mode="after")
    def _differ(self) -> "Sampling":
        if self.temperature == 0 and self.most_rollouts > 1:
            raise ValueError("temperature: 0 makes all rollouts of a prompt the same; set num_rollouts: 1, adaptive: null")
        return self

    def identity(self) -> dict[str, Any]:
        """With adaptive sampling num_rollouts has no say."""
        return self.model_dump(mode="json", exclude={"num_rollouts"} if self.adaptive else set())

    @property
    def rounds(self) -> list[int]:
        """Rollouts of each round, when no group is settled before the last."""
        if self.adaptive is None:
            return [self.num_rollouts]
        starts = range(self.adaptive.first, self.adaptive.at_most, self.adaptive.step)
        return [self.adaptive.first, *[min(self.adaptive.step, self.adaptive.at_most - start) for start in starts]]

    @property
    def most_rollouts(self) -> int:
        return sum(self.rounds)


class Chat(Config):
    """What stands around a prompt when a model is asked. The student's holds for its pass rate, its training, where it is
    served, and in the tokenizer that is exported with it."""

    system: str | None = None
    """A system message."""
    template: str | None = None
    """A Jinja chat template, or the path of one (what has no brace); null: the model's own. Not for endpoints."""
    template_arguments: dict[str, Any] = {}
    """Handed to the template, such as enable_thinking: false."""

    def messages(self, prompt: str) -> list[dict[str, str]]:
        system = [{"role": "system", "content": self.system}] if self.system is not None else []
        return [*system, {"role": "user", "content": prompt}]

    def with_system(self, messages: list[dict[str, str]]) -> list[dict[str, str]]:
        """A client's messages, with the system message in front if they bring none."""
        if self.system is None or messages[0]["role"] == "system":
            return messages
        return [{"role": "system", "content": self.system}, *messages]

    def parts(self) -> list[Any]:
        """What the fingerprint of a stage holds of it; nothing for a plain chat."""
        return [] if self == Chat() else [self.system, self.rendering()]

    def rendering(self) -> dict[str, Any]:
        """Arguments for a tokenizer's apply_chat_template. Raises OSError when the template's file cannot be read."""
        text = Path(self.template).read_text() if self.template and "{" not in self.template else self.template
        return {"chat_template": text, "add_generation_prompt": True, "tokenize": False, **self.template_arguments}


class Generator(Config):
    """A model and how it answers."""

    model: str
    """A hub name, a folder in Hugging Face format, or `tiny/NAME`; for the replay engine only a label."""
    engine: EngineConfig = TransformersEngine()
    chat: Chat = Chat()
    sampling: Sampling = Sampling()

    @model_validator(mode="after")
    def _endpoints_have_their_own_template(self) -> "Generator":
        if isinstance(self.engine, OpenAIEngine) and (self.chat.template or self.chat.template_arguments):
            raise ValueError("chat: an endpoint has its own template; engine.extra_body holds what else it takes")
        return self


class Student(Generator):
    """Its sampling is for the pass rate that compresses the questions; DED does not state its own."""

    measure_pass_rate: bool = True
    """false: no student rollouts, and no question is dropped for being easy."""


class Teacher(Generator):
    """Answers what the student is to learn."""
