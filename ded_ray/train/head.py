"""The output head and the loss in one: cross-entropy of the trained positions, without the logits of all of them.

    loss, losses_N = weighted_head_loss(hidden_ND, weight_VD, labels_N, weights_N)
    loss.backward()

A step of 18k positions over 152k tokens has 11 GB of float32 logits, several times over. Here the logits of one chunk of
positions exist at a time. The weights are constants, so the gradient is made while the chunk is there: three matrix
products in all, nothing is computed again (Liger's fused linear cross-entropy, arXiv 2410.10989, with a weight per token).
"""

from dataclasses import dataclass
from typing import Any

import torch

CHUNK_ELEMENTS = 2**25
"""Logits that exist at once: 128 MiB in float32."""


@dataclass(frozen=True)
class Head:
    """What a model does with its hidden states beside the matrix product."""

    scale: float = 1.0  # logits are multiplied by it
    softcap: float | None = None  # c: logits become c tanh(logits / c), as Gemma 2 has it
    dft: bool = False  # multiply each token's loss by its probability, held constant (DFT, arXiv 2508.05629)


def weighted_head_loss(
    hidden_ND: torch.Tensor,
    weight_VD: torch.Tensor,
    labels_N: torch.Tensor,
    weights_N: torch.Tensor,
    *,
    bias_V: torch.Tensor | None = None,
    head: Head = Head(),
) -> tuple[torch.Tensor, torch.Tensor]:
    """(sum of weight x loss over N positions; the losses in nats, N, without gradient).

    Gradients go to hidden states, weight and bias. The weight's is summed in float32 whatever the inputs are: rounding
    each chunk's product to bfloat16 biases training. No positions give a loss of 0 and gradients of 0.
    """
    loss, losses_N = _HeadLoss.apply(hidden_ND, weight_VD, bias_V, labels_N, weights_N, head)
    return loss, losses_N


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: torch.Tensor,
        weight_VD: torch.Tensor,
        bias_V: torch.Tensor | None,
        labels_N: torch.Tensor,
        weights_N: torch.Tensor,
        head: Head,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        num_positions, vocabulary = hidden_ND.shape[0], weight_VD.shape[0]
        dtype = torch.get_autocast_dtype(hidden_ND.device.type) if _autocasts(hidden_ND) else weight_VD.dtype
        inputs_ND, matrix_VD = hidden_ND.detach().to(dtype), weight_VD.detach().to(dtype)
        losses_N = torch.zeros(num_positions, dtype=torch.float32, device=hidden_ND.device)
        grad_hidden = torch.empty_like(inputs_ND) if needs_hidden else None
        grad_weight = torch.zeros_like(weight_VD, dtype=torch.float32) if needs_weight else None
        grad_bias = torch.zeros_like(bias_V, dtype=torch.float32) if bias_V is not None and needs_bias else None
        loss_weights_N = weights_N.float().clone()
        chunk = max(1, CHUNK_ELEMENTS // vocabulary)
        with torch.autocast(hidden_ND.device.type, enabled=False):
            for start in range(0, num_positions, chunk):
                piece = slice(start, start + chunk)
                logits = (inputs_ND[piece] @ matrix_VD.t()).float()
                if bias_V is not None:
                    logits += bias_V.detach()
                if head.scale != 1.0:
                    logits *= head.scale
                if head.softcap is not None:
                    logits.div_(head.softcap).tanh_().mul_(head.softcap)
                labels_n1, weights_n1 = labels_N[piece, None], loss_weights_N[piece, None]
                slope = 1 - (logits / head.softcap) ** 2 if head.softcap is not None else None
                # One exponential of each logit, in the logits' own memory: it becomes the loss, and then the gradient.
                logits -= logits.amax(1, keepdim=True)
                chosen_n1 = logits.gather(1, labels_n1)
                totals_n1 = logits.exp_().sum(1, keepdim=True)
                losses_n1 = totals_n1.log() - chosen_n1
                if head.dft:
                    weights_n1 = weights_n1 * (-losses_n1).exp()
                    loss_weights_N[piece] = weights_n1.squeeze(1)
                losses_N[piece] = losses_n1.squeeze(1)
                if grad_hidden is None and grad_weight is None:
                    continue
                scaled_n1 = weights_n1 * head.scale
                grad = logits.mul_(scaled_n1 / totals_n1).scatter_add_(1, labels_n1, -scaled_n1)
                if slope is not None:
                    grad *= slope
                if grad_bias is not None:
                    grad_bias += grad.sum(0)
                grad = grad.to(dtype)
                if grad_hidden is not None:
                    torch.matmul(grad, matrix_VD, out=grad_hidden[piece])
                if grad_weight is not None:
                    _add_product(grad_weight, grad, inputs_ND[piece])
                del logits, grad  # else they would be there beside the next chunk's
        ctx.gradients = (
            None if grad_hidden is None else grad_hidden.to(hidden_ND.dtype),
            None if grad_weight is None else grad_weight.to(weight_VD.dtype),
            None if grad_bias is None or bias_V is None else grad_bias.to(bias_V.dtype),
        )
        ctx.mark_non_differentiable(losses_N)
        return (losses_N * loss_weights_N).sum(), losses_N

    @staticmethod
    def backward(ctx: Any, grad_loss: torch.Tensor, _: torch.Tensor) -> Any:
        gradients, ctx.gradients = ctx.gradients, None  # a second backward pass would need the first one's buffers
        if grad_loss != 1:
            gradients = [None if gradient is None else gradient.mul_(grad_loss) for gradient in gradients]
        return *gradients, None, None, None


def _autocasts(tensor: torch.Tensor) -> bool:
    return torch.is_autocast_enabled(tensor.device.type)


def _add_product(total_VD: torch.Tensor, left_nV: torch.Tensor, right_nD: torch.Tensor) -> None:
    """total += left^T right, summed in float32."""
    if left_nV.dtype == torch.float32:
        total_VD.addmm_(left_nV.t(), right_nD)
    elif left_nV.is_cuda:
        torch.addmm(total_VD, left_nV.t(), right_nD, out_dtype=torch.float32, out=total_VD)
    else:
        total_VD += (left_nV.t() @ right_nD).float()
