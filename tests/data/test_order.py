import hashlib
from itertools import combinations

import numpy as np
import pytest
import torch

from duogen.data.order import Order, permutation, seeded, share
from duogen.errors import UserError


def test_permutation_is_a_pure_function_of_its_arguments():
    expected = permutation(3, "train", 5, 101)
    torch.manual_seed(99)
    torch.randn(7)
    assert torch.equal(permutation(3, "train", 5, 101), expected)
    assert expected.sort().values.tolist() == list(range(101))


def test_permutation_comes_from_the_hash_of_its_key():
    digest = hashlib.sha256(b"3/train/5").digest()
    generator = torch.Generator().manual_seed(int(digest[:8].hex(), 16) // 2)
    assert torch.equal(permutation(3, "train", 5, 50), torch.randperm(50, generator=generator))


def test_permutation_stays_what_it_was():
    assert permutation(0, "train", 0, 10).tolist() == [2, 3, 4, 8, 1, 5, 6, 9, 0, 7]


@pytest.mark.parametrize("other", [(4, "train", 5), (3, "extra", 5), (3, "train", 6)])
def test_each_part_of_the_key_counts(other):
    assert not torch.equal(permutation(*other, 101), permutation(3, "train", 5, 101))


def test_neighbouring_keys_are_unrelated():
    orders = [permutation(seed, "train", epoch, 1000).numpy() for seed in range(5) for epoch in range(4)]
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in combinations(orders, 2)]
    assert len(correlations) == 190
    assert np.abs(correlations).max() < 0.15
    assert 0.02 < np.std(correlations) < 0.045  # 1 / sqrt(999) for independent orders


def test_key_parts_do_not_run_together():
    assert seeded(1, 23).initial_seed() != seeded(12, 3).initial_seed()


def test_default_generator_is_left_alone(global_generators):
    before = global_generators()
    permutation(0, "train", 0, 10)
    Order(0, "train", 10, 2).epoch(1)
    assert global_generators() == before


@pytest.mark.parametrize(("count", "world"), [(7, 3), (8, 4), (2, 3), (1, 1), (0, 2), (64, 5)])
def test_shares_are_those_of_tensor_split(count, world):
    whole = torch.arange(count)
    shares = [whole[share(count, rank, world)].tolist() for rank in range(world)]
    assert shares == [part.tolist() for part in whole.tensor_split(world)]


def test_epoch_is_the_permutation_in_rows_without_its_tail():
    order = Order(1, "train", size=17, batch_size=5)
    assert order.batches_per_epoch == 3
    assert torch.equal(order.epoch(4), permutation(1, "train", 4, 17)[:15].view(3, 5))


def test_ranks_share_the_global_batch():
    whole = Order(1, "train", 23, 7).epoch(2)
    ranks = [Order(1, "train", 23, 7, rank, 3).epoch(2) for rank in range(3)]
    assert [part.shape[1] for part in ranks] == [3, 2, 2]
    assert torch.equal(torch.cat(ranks, 1), whole)


@pytest.mark.parametrize(
    ("size", "batch_size", "world", "proposal"), [(10, 11, 1, 10), (10, 0, 1, 1), (10, -3, 1, 1), (10, 2, 3, 3)]
)
def test_impossible_batch_sizes_are_refused(size, batch_size, world, proposal):
    with pytest.raises(UserError) as refusal:
        Order(0, "train", size, batch_size, 0, world)
    assert f"data.batch_size={batch_size}" in refusal.value.given
    assert f"{world} to {size}" in refusal.value.allowed
    assert refusal.value.remedy.endswith(f"={proposal}")


@pytest.mark.parametrize(("batch_size", "world"), [(10, 1), (1, 1), (3, 3)])
def test_extreme_batch_sizes_are_served(batch_size, world):
    assert Order(0, "train", 10, batch_size, world - 1, world).epoch(0).shape[1] >= 1
