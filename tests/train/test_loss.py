import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ded_ray.train.batches import batch_at, micro_batches, num_steps, padded
from ded_ray.train.loss import IGNORED, step_weights, token_losses, weighted_token_loss
from ded_ray.train.sequences import Sequence


def loss_of(logits, batch):
    return weighted_token_loss(token_losses(logits, batch.labels), batch.weights_BT)


def test_the_loss_by_hand():
    logits = torch.zeros(2, 3, 4)
    logits[0, 0, 1] = 2.0
    labels = torch.tensor([[IGNORED, 1, 2], [IGNORED, IGNORED, 3]])
    weights = torch.tensor([[0.0, 3.0, 3.0], [0.0, 0.0, 0.5]])
    ce = torch.nn.functional.cross_entropy
    losses = token_losses(logits, labels)
    assert losses.shape == labels.shape
    assert losses[0, 1] == ce(logits[0, 0], torch.tensor(1))
    assert losses[labels == IGNORED].abs().sum() == 0
    expected = 3.0 * (ce(logits[0, 0], torch.tensor(1)) + ce(logits[0, 1], torch.tensor(2))) + 0.5 * ce(
        logits[1, 1], torch.tensor(3)
    )
    assert float(weighted_token_loss(losses, weights)) == pytest.approx(float(expected))
    assert step_weights([3.0, 0.5], [2, 1]) == ([3.0, 0.5], 6.5)


def test_negative_weights_count_by_their_mean_token_loss():
    """REDI: -mean log p of the right ones + alpha x mean log p of the wrong ones, where all right ones are as long."""
    generator = torch.Generator().manual_seed(0)
    lengths, weights = [4, 4, 2, 6], [1.0, 1.0, -0.8, -0.8]
    table = torch.randn(10, 10, generator=generator)
    scaled, normalizer = step_weights(weights, lengths)
    batch = padded([Sequence([1], [2 + i] * length, scaled[i]) for i, length in enumerate(lengths)], pad_id=0)
    loss = loss_of(table[batch.input_ids], batch) / normalizer
    means = token_losses(table[batch.input_ids], batch.labels).sum(1) / torch.tensor(lengths)
    expected = (means[0] + means[1] - 0.8 * (means[2] + means[3])) / 2
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    assert step_weights([-0.8, 0.0], [3, 3]) == ([0.0, 0.0], 1.0)


def test_labels_and_weights_stand_where_their_token_stands():
    batch = padded([Sequence([5, 6], [7, 8], 0.5), Sequence([5], [9], 2.0)], pad_id=0)
    assert batch.input_ids.tolist() == [[5, 6, 7, 8], [5, 9, 0, 0]]
    assert batch.labels.tolist() == [[IGNORED, IGNORED, 7, 8], [IGNORED, 9, IGNORED, IGNORED]]
    assert batch.weights_BT.tolist() == [[0, 0, 0.5, 0.5], [0, 2.0, 0, 0]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3]] * 2


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 5))
def test_micro_batches_share_out_a_batch_and_match_in_number(size, num_workers, micro_batch_size):
    shares = [micro_batches(list(range(size)), rank, num_workers, micro_batch_size) for rank in range(num_workers)]
    assert len({len(share) for share in shares}) == 1
    assert sorted(i for share in shares for micro in share for i in micro) == list(range(size))
    assert all(len(micro) <= micro_batch_size for share in shares for micro in share)


def test_every_epoch_sees_every_sequence_once_in_its_own_order():
    epochs = [[i for step in range(e * 3, e * 3 + 3) for i in batch_at(step, 10, 4, seed=0)] for e in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(10))
    assert epochs[0] != epochs[1]
    assert num_steps(10, 4, 2, None) == 6
    assert num_steps(10, 4, 2, 5) == 5


def test_how_a_step_is_cut_up_does_not_change_its_loss():
    generator = torch.Generator().manual_seed(0)
    sequences = [Sequence([1] * (i + 1), [2 + i] * (5 - i), float(i)) for i in range(5)]
    table = torch.randn(10, 10, generator=generator)

    def loss(indices):
        batch = padded([sequences[i] for i in indices], pad_id=0)
        return loss_of(table[batch.input_ids], batch)

    whole = loss(range(5))
    parts = sum(loss(micro) for rank in range(2) for micro in micro_batches(list(range(5)), rank, 2, 2) if micro)
    assert float(parts) == pytest.approx(float(whole), rel=1e-5)
