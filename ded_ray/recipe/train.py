"""Knobs of training."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from ded_ray.recipe.config import Config, LabelSelector, Rate


class Ddp(Config):
    """A whole copy of model and optimiser per worker: 16 bytes a parameter."""

    kind: Literal["ddp"] = "ddp"


class Fsdp2(Config):
    """Parameters, gradients and optimiser state divided over the workers, by torch."""

    kind: Literal["fsdp2"] = "fsdp2"
    cpu_offload: bool = False
    """Keep what is sharded in main memory."""


class DeepSpeed(Config):
    """Optimiser state (1), gradients too (2), parameters too (3) divided over the workers, by DeepSpeed."""

    ADDED = frozenset({"offload_optimizer", "offload_parameters"})

    kind: Literal["deepspeed"] = "deepspeed"
    zero_stage: Literal[1, 2, 3] = 2
    offload_optimizer: bool = False
    """Keep the optimiser's state in main memory."""
    offload_parameters: bool = False
    """Keep the parameters there too; zero_stage 3 only."""

    @model_validator(mode="after")
    def _offload_suits_stage(self) -> "DeepSpeed":
        if self.offload_parameters and self.zero_stage != 3:
            raise ValueError("offload_parameters: needs zero_stage 3")
        return self


class Lora(Config):
    """Train an adapter of low rank and leave the model as it is (arXiv 2106.09685). Neither paper does."""

    rank: PositiveInt = 16
    alpha: PositiveInt = 32
    """The adapter's product is multiplied by alpha / rank."""
    dropout: Rate = 0.0
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    """The last part of the modules' names, such as q_proj; never the output head."""
    export: Literal["merged", "adapter"] = "merged"
    """A whole model, or the adapter alone in PEFT's format."""


class PassRate(Config):
    """Ask the student the held-out questions at every measurement, and check what it answers as `verify` says; a judge is
    not asked. Its answers are sampled, each with a random stream of its own."""

    SPEED = frozenset({"questions_at_once"})

    num_samples: PositiveInt = 4
    """Answers to each question."""
    max_questions: PositiveInt = 32
    """Of the held-out ones, always the same."""
    temperature: PositiveFloat = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: PositiveInt | None = None
    """Of an answer, and never more than the prompt leaves of train.max_length; null: all of that. A longer one is cut off,
    and not correct."""
    questions_at_once: PositiveInt = 8
    """That each worker answers together, each `num_samples` times: what their keys and values may take in memory."""


class HeldOut(Config):
    """Questions that are not trained on, to choose by how long to train. Neither paper does; DED trains 10 epochs."""

    ADDED = frozenset({"pass_rate"})

    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Of the questions."""
    every_steps: PositiveInt = 25
    """Their loss is measured and a checkpoint written each time; the best one is what comes out."""
    patience: PositiveInt | None = None
    """Stop after so many measurements without a better one; null: train to the end all the same."""
    pass_rate: PassRate | None = None
    """Set, `{}` for its defaults: the best is the one with the highest pass rate, not the lowest loss. It takes as long as
    writing so many answers does."""


class Wandb(Config):
    """Weights & Biases beside TensorBoard (`pip install 'ded-ray[wandb]'`). Its key and mode come from wandb's own places:
    `wandb login` or WANDB_API_KEY, which every machine that may train needs, and WANDB_MODE, which may be offline."""

    project: Annotated[str, Field(min_length=1)]
    name: str | None = None
    """Of the run; null: RUN/checkpoint, RUN being the run folder's name."""


class Train(Config):
    SPEED = frozenset({
        "num_cpus", "checkpoint_every_steps", "max_failures", "activation_checkpointing", "compile", "wandb",
        "label_selector",
    })  # fmt: skip
    ADDED = frozenset(
        {
            "packing",
            "row_tokens",
            "attention",
            "precision",
            "export_dtype",
            "lora",
            "dft",
            "schedule",
            "adam_betas",
            "held_out",
        }
    )

    strategy: Annotated[Ddp | Fsdp2 | DeepSpeed, Field(discriminator="kind")] = Ddp()
    """How model and optimiser are spread over the workers."""
    workers: PositiveInt = 2
    num_cpus: PositiveFloat = 1
    """CPUs and computing threads per worker."""
    use_gpu: bool = False
    label_selector: LabelSelector = {}
    """Of the nodes that workers may be on: {ray.io/market-type: on-demand} keeps them off those that may be taken back."""
    precision: Literal["bf16", "float32"] | None = None
    """What matrices are multiplied in; the optimiser's parameters are float32 always. null: bf16 on GPUs, else float32."""
    export_dtype: Literal["bfloat16", "float32"] | None = None
    """Of the weights that are written; null: the type that the student came in."""
    lora: Lora | None = None

    epochs: PositiveInt = 10
    """DED: 10."""
    max_steps: PositiveInt | None = None
    """Stop after this many optimiser steps, whatever the epochs say."""
    held_out: HeldOut | None = None
    """Choose the number of steps on questions that are held out."""
    batch_size: PositiveInt = 48
    """Sequences per optimiser step, over all workers. DED: 48."""
    micro_batch_size: PositiveInt = 16
    """Without packing: sequences per forward pass of one worker."""

    learning_rate: PositiveFloat = 1e-5
    """Its peak. DED: 1e-5; scheduler and warm-up not stated."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """After the warm-up: down to a tenth of the peak, or not at all."""
    warmup_fraction: Rate = 0.05
    adam_betas: tuple[Rate, Rate] = (0.9, 0.999)
    weight_decay: NonNegativeFloat = 0.0
    """AdamW's, on matrices only."""
    max_grad_norm: PositiveFloat = 1.0
    dft: bool = False
    """Multiply every token's loss by its probability under the student, held constant (DFT, arXiv 2508.05629)."""

    max_length: PositiveInt = 2048
    """Longest sequence in tokens, prompt included, and never above the student's context; a longer example is dropped as
    `over_train_max_length`, never cut."""
    packing: bool | None = None
    """Sequences side by side in one row, each blind to the others; false: one per row, padded to the longest. null: packed
    where the model takes positions, which is how it sees where a sequence begins."""
    row_tokens: PositiveInt | None = None
    """Most tokens of a packed row, which is one forward pass of one worker; null: max_length."""
    attention: Literal["eager", "sdpa", "flex_attention", "flash_attention_2", "flash_attention_3"] | None = None
    """null: flash attention where it is installed, flex attention on other GPUs, on a CPU our own over packed rows."""
    activation_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: about a third slower, far less memory."""
    compile: bool = False
    """torch.compile each layer."""

    checkpoint_every_steps: PositiveInt = 50
    max_failures: NonNegativeInt = 3
    """Worker failures that are answered by a restart from the last checkpoint."""
    wandb: Wandb | None = None
    """null: the curve goes to `curve.jsonl` and TensorBoard alone."""

    def identity(self) -> dict[str, Any]:
        """The number of workers does not count: another one goes on from the same checkpoint, to the same result."""
        return super().identity() | {"workers": 2}  # the number that earlier versions counted, at its default

    @property
    def in_bf16(self) -> bool:
        return self.precision == "bf16" if self.precision else self.use_gpu

    @property
    def tokens_per_row(self) -> int:
        return self.row_tokens or self.max_length

    @model_validator(mode="after")
    def _attention_has_its_device(self) -> "Train":
        if self.attention and self.attention.startswith(("flex", "flash")) and not self.use_gpu:
            raise ValueError(f"attention: {self.attention} trains on GPUs only; leave it out, or set use_gpu")
        return self

    @model_validator(mode="after")
    def _lengths_fit(self) -> "Train":
        asked = self.held_out and self.held_out.pass_rate
        if asked and asked.max_tokens is not None and asked.max_tokens >= self.max_length:
            raise ValueError("held_out.pass_rate.max_tokens: must be below max_length, which holds the prompt too")
        if self.row_tokens is not None and self.row_tokens < self.max_length:
            raise ValueError("row_tokens: is below max_length, so that a sequence may not fit into a row")
        return self
