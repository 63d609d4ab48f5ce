"""Rollouts, tokens, seconds, GPU-hours and money of each step of a run.

A step holds its GPUs, all that runtime/needs.py says, for as long as it takes; several teachers count as one after the
other. A judge answers while they do, on GPUs that are counted with theirs, and adds no time. `None` is a number that nobody
can know from what there is: a model whose configuration is not here, a CPU whose speed was not measured, a price that was
not given.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ded_ray.plan.fit import GIB, cache_of_embedded, cache_of_engine
from ded_ray.plan.interval import NOTHING, Interval
from ded_ray.plan.shape import Shape
from ded_ray.plan.speed import answering_speed, training_speed
from ded_ray.plan.work import LENGTH, Answering, Known, Model, Training, Work
from ded_ray.recipe import (
    EngineConfig,
    OpenAIEngine,
    Prices,
    Recipe,
    ReplayEngine,
    ScriptedEngine,
    TransformersEngine,
    VllmEngine,
)
from ded_ray.runtime.needs import (
    Needs,
    engine_needs,
    evaluation_needs,
    gpus_held,
    serve_needs,
    streaming_needs,
    train_needs,
)

Shapes = Mapping[str, Shape | None]
"""Of models by their names."""


@dataclass(frozen=True)
class Cost:
    """Of one step, or of a part of it."""

    step: str
    rollouts: Interval = NOTHING
    tokens: Interval = NOTHING  # that are made, or trained on
    gpus: float = 0.0
    seconds: Interval | None = NOTHING
    gpu_hours: Interval | None = NOTHING
    usd: Interval | None = NOTHING

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.step,
            self.rollouts + other.rollouts,
            self.tokens + other.tokens,
            max(self.gpus, other.gpus),
            _sum(self.seconds, other.seconds),
            _sum(self.gpu_hours, other.gpu_hours),
            _sum(self.usd, other.usd),
        )


def _sum(one: Interval | None, other: Interval | None) -> Interval | None:
    return None if one is None or other is None else one + other


@dataclass(frozen=True)
class Coster:
    """What work costs, by what is known of a recipe's models and machines."""

    recipe: Recipe
    known: Known
    shapes: Shapes
    prices: Prices

    def costs(self, work: Sequence[Work]) -> list[Cost]:
        """One per step, in the order of the work."""
        steps: dict[str, Cost] = {}
        for each in work:
            cost = self._training(each) if isinstance(each, Training) else self._answering(each)
            steps[each.step] = steps[each.step] + cost if each.step in steps else cost
        return list(steps.values())

    def tokens_of(self, knob: str, max_tokens: int) -> Interval:
        """Of one completion: measured, or LENGTH of the most it may have."""
        measured = self.known.tokens.get(knob)
        return measured.at_most(max_tokens) if measured else LENGTH * max_tokens

    def _answering(self, work: Answering) -> Cost:
        total = Cost(work.step)
        for model in work.models:
            # Benchmarks are other questions: what was measured on the run's own says little.
            length = LENGTH * work.max_tokens if work.served else self.tokens_of(model.knob, work.max_tokens)
            rollouts = work.prompts * work.rollouts
            form, needs, held = self._form(model, work)
            made = rollouts * length
            seconds: Interval | None = NOTHING
            if not work.beside:
                seconds = self._seconds(model, form, needs, tokens=made, length=length, rollouts=rollouts.mid)
            cost = self._priced(Cost(work.step, rollouts, made, held, seconds))
            total += replace(cost, usd=_sum(cost.usd, self._endpoint_usd(model, work, made)))
        return total

    def _form(self, model: Model, work: Answering) -> tuple[EngineConfig, Needs, float]:
        """(by which engine it answers, what that holds, GPUs that the whole step holds)."""
        engine, recipe = model.generator.engine, self.recipe
        if work.beside:
            return engine, engine_needs(engine), 0
        if not work.served or isinstance(engine, OpenAIEngine | ReplayEngine | ScriptedEngine):
            held = streaming_needs(recipe, [engine], reads=model.knob.startswith("teacher") and not work.served)
            return engine, engine_needs(engine), gpus_held(held)
        return recipe.serve.engine or engine, serve_needs(recipe.serve, engine), gpus_held(evaluation_needs(recipe))

    def _seconds(
        self, model: Model, form: EngineConfig, needs: Needs, *, tokens: Interval, length: Interval, rollouts: float
    ) -> Interval | None:
        if isinstance(form, ReplayEngine | ScriptedEngine):
            return NOTHING
        name, workers = model.generator.model, needs.most_gpus or needs.most
        if measured := self.prices.speed_of(name).tokens_per_second_per_gpu:
            return tokens.at_rate(Interval.exactly(measured * workers))
        shape = self.shapes.get(name)
        if shape is None or not needs.most_gpus or not isinstance(form, TransformersEngine | VllmEngine):
            return None
        mean, memory = self.known.prompt_tokens + length.mid / 2, self.prices.gpu_memory_gib * GIB
        if isinstance(form, VllmEngine):
            most, (_, of_a_token, room) = form.max_num_seqs, cache_of_engine(shape, form, memory)
        else:
            most = form.batch_size * model.generator.sampling.rounds[0]
            _, of_a_token, room = cache_of_embedded(shape, form.kv_cache_gib, memory)
        # One at least: what does not fit at all is told elsewhere.
        at_once = max(1.0, min(most, room / (of_a_token * mean), rollouts / needs.most))
        return tokens.at_rate(answering_speed(shape, form, self.prices, at_once=at_once, tokens=mean) * workers)

    def _endpoint_usd(self, model: Model, work: Answering, tokens: Interval) -> Interval | None:
        """A prompt is paid for once per request, whatever the number of its answers."""
        engine = model.generator.engine
        if not isinstance(engine, OpenAIEngine):
            return NOTHING
        if engine.usd_per_million_completion_tokens is None or engine.usd_per_million_prompt_tokens is None:
            return None
        choices = engine.choices_per_request or math.inf
        requests = Interval(
            *(math.ceil(n / choices) or 1 for n in (work.rollouts.low, work.rollouts.mid, work.rollouts.high))
        )
        read = work.added + Interval.exactly(self.known.prompt_tokens)
        prompts = work.prompts * requests * read * (engine.usd_per_million_prompt_tokens / 1e6)
        return prompts + tokens * (engine.usd_per_million_completion_tokens / 1e6)

    def _training(self, work: Training) -> Cost:
        recipe, needs = self.recipe, train_needs(self.recipe.train)
        max_tokens = max(teacher.sampling.max_tokens for teacher in recipe.teachers.candidates)
        length = (self.tokens_of(work.source, max_tokens) + Interval.exactly(self.known.prompt_tokens)).at_most(
            recipe.train.max_length
        )
        tokens, name, workers = work.sequences * length, recipe.student.model, needs.most
        shape, measured = self.shapes.get(name), self.prices.speed_of(name).train_tokens_per_second_per_gpu
        seconds: Interval | None = None
        if measured:
            seconds = tokens.at_rate(Interval.exactly(measured * workers))
        elif shape is not None and needs.most_gpus:
            checkpointing = recipe.train.activation_checkpointing
            speed = training_speed(shape, self.prices, tokens=length.mid, checkpointing=checkpointing)
            seconds = tokens.at_rate(speed * workers)
        return self._priced(Cost(work.step, NOTHING, tokens, needs.most_gpus, seconds))

    def _priced(self, cost: Cost) -> Cost:
        """The cost with its GPU-hours, and what these cost."""
        if not cost.gpus:
            return cost
        hours = None if cost.seconds is None else cost.seconds * (cost.gpus / 3600)
        price = self.prices.usd_per_gpu_hour
        return replace(cost, gpu_hours=hours, usd=None if hours is None or price is None else hours * price)
