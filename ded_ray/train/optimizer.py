"""AdamW as language models are trained with it: weight decay on matrices only, not on norms and biases."""

from typing import Any

import torch

from ded_ray.recipe import Train


def make_optimizer(model: Any, train: Train) -> torch.optim.AdamW:
    """Over what is trained: with LoRA the adapter alone."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": train.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=train.learning_rate, betas=train.adam_betas, fused=True)


def set_learning_rate(optimizer: Any, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
