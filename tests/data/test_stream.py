from itertools import islice

import pytest
import torch

from duogen.data.order import Order, permutation, seeded
from duogen.data.splits import Split
from duogen.data.stream import (
    EndlessSampler,
    EvaluationBatches,
    KeyedDataset,
    ResidentStream,
    Restartable,
    collate,
    loaded,
)

CPU = torch.device("cpu")
SIZE, BATCH = 23, 5


@pytest.fixture
def images():
    values = torch.randint(256, (SIZE, 1, 3, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Split(values, torch.arange(SIZE))


@pytest.fixture
def vectors():
    return Split(torch.randn(SIZE, 2, generator=torch.Generator().manual_seed(0)), None)


def order(purpose="train", seed=1, rank=0, world=1):
    return Order(seed, purpose, SIZE, BATCH, rank, world)


def same(one, other):
    if (one.labels is None) != (other.labels is None):
        return False
    return torch.equal(one.values, other.values) and (one.labels is None or torch.equal(one.labels, other.labels))


def noisy(value, generator):
    return value.float() + torch.rand(value.shape, generator=generator)


def test_batch_is_the_row_of_its_epochs_permutation(images):
    batch = ResidentStream(images, order()).batch(4 * 2 + 3)
    index = permutation(1, "train", 2, SIZE)[15:20]
    assert torch.equal(batch.labels, index)
    torch.testing.assert_close(batch.values, images.values[index].double().mul(2 / 255).sub(1).float())


def test_an_epoch_holds_no_example_twice_and_the_next_differs(images):
    labels = torch.cat([batch.labels for batch in islice(ResidentStream(images, order()).since(0), 8)])
    first, second = labels[:20], labels[20:]
    assert len(first.unique()) == len(second.unique()) == 20
    assert not torch.equal(first, second)


def test_random_access_in_any_order(images):
    stream = ResidentStream(images, order())
    forward = list(islice(stream.since(0), 13))
    assert all(same(stream.batch(step), forward[step]) for step in (12, 0, 7, 3, 11, 4))


def test_floats_come_as_they_are_and_without_labels(vectors):
    batch = ResidentStream(vectors, order()).batch(0)
    assert batch.labels is None
    assert torch.equal(batch.values, vectors.values[permutation(1, "train", 0, SIZE)[:BATCH]])


@pytest.mark.parametrize("start", [0, 1, 4, 6, 11])
def test_stream_from_a_step_is_the_stream_after_as_many_batches(images, start):
    whole = list(islice(ResidentStream(images, order()).since(0), start + 6))
    resident = islice(ResidentStream(images, order()).since(start), 6)
    lazy = islice(loaded(images, order(), start, 0, CPU), 6)
    assert all(same(a, b) and same(a, c) for a, b, c in zip(whole[start:], resident, lazy, strict=True))


@pytest.mark.parametrize("kind", ["images", "vectors"])
@pytest.mark.parametrize(("workers", "start", "rank", "world"), [(2, 3, 0, 1), (1, 0, 1, 3)])
def test_workers_yield_the_same_bits(request, kind, workers, start, rank, world):
    split, mine = request.getfixturevalue(kind), order(rank=rank, world=world)
    stream = loaded(split, mine, start, workers, CPU)
    found = list(islice(stream, 9))
    stream.close()
    assert all(same(a, b) for a, b in zip(found, ResidentStream(split, mine).since(start), strict=False))


def test_ranks_together_see_the_global_batch(images):
    whole = ResidentStream(images, order()).batch(6)
    ranks = [ResidentStream(images, order(rank=rank, world=3)).batch(6) for rank in range(3)]
    assert [batch.count for batch in ranks] == [2, 2, 1]
    assert torch.equal(torch.cat([batch.values for batch in ranks]), whole.values)
    assert torch.equal(torch.cat([batch.labels for batch in ranks]), whole.labels)


@pytest.mark.parametrize("changed", [{"seed": 2}, {"purpose": "extra"}])
def test_streams_of_another_seed_or_purpose_differ(images, changed):
    assert not same(ResidentStream(images, order(**changed)).batch(0), ResidentStream(images, order()).batch(0))


@pytest.mark.parametrize("workers", [0, 2])
def test_global_generators_are_left_alone(images, global_generators, workers):
    before = global_generators()
    stream = loaded(images, order(), 0, workers, CPU, noisy)
    list(islice(stream, 6))
    stream.close()
    list(islice(ResidentStream(images, order()).since(0), 6))
    assert global_generators() == before


def test_sampler_names_epoch_and_index():
    keys = list(islice(EndlessSampler(order(), 3), 2))
    assert keys[0] == [(0, index) for index in permutation(1, "train", 0, SIZE)[15:20].tolist()]
    assert keys[1] == [(1, index) for index in permutation(1, "train", 1, SIZE)[:5].tolist()]


def test_transform_draws_from_the_generator_of_its_key(images):
    value, label = KeyedDataset(images, order(), noisy)[4, 9]
    expected = images.values[9] + torch.rand(1, 3, 2, generator=seeded(1, "train transform", 4, 9))
    assert torch.equal(value, expected)
    assert label == 9


def test_transform_differs_by_epoch_and_by_index():
    dataset = KeyedDataset(Split(torch.zeros(SIZE, 4), None), order(), noisy)
    drawn = {tuple(dataset[key][0].tolist()) for key in ((0, 1), (0, 2), (1, 1), (1, 2))}
    assert len(drawn) == 4


def test_transform_is_the_same_for_any_start_number_of_workers_and_ranks(images):
    alone = list(islice(loaded(images, order(), 0, 0, CPU, noisy), 7))
    stream = loaded(images, order(), 5, 2, CPU, noisy)
    resumed = list(islice(stream, 2))
    stream.close()
    assert all(same(a, b) for a, b in zip(alone[5:], resumed, strict=True))
    halves = [next(loaded(images, order(rank=rank, world=2), 5, 0, CPU, noisy)).values for rank in range(2)]
    assert torch.equal(torch.cat(halves), alone[5].values)


def test_transform_sees_stored_values_and_conversion_follows(images):
    inverted = next(loaded(images, order(), 0, 0, CPU, lambda value, generator: 255 - value))
    torch.testing.assert_close(inverted.values, -ResidentStream(images, order()).batch(0).values)


def test_collate_stacks():
    values, labels = collate([(torch.zeros(3, 2), torch.tensor(4)), (torch.ones(3, 2), torch.tensor(6))])
    assert values.shape == (2, 3, 2)
    assert labels.tolist() == [4, 6]
    assert collate([(torch.zeros(3), None)])[1] is None


def test_restartable_asks_anew_each_time():
    starts = iter([3, 8])
    batches = Restartable(lambda: iter([next(starts)]))
    assert list(batches) == [3]
    assert list(batches) == [8]


def test_evaluation_runs_once_in_order_with_a_smaller_last_batch(images):
    batches = EvaluationBatches(images, 10, CPU)
    assert len(batches) == 3
    assert [batch.count for batch in batches] == [10, 10, 3]
    assert torch.cat([batch.labels for batch in batches]).tolist() == list(range(SIZE))
    assert next(iter(batches)).values.dtype == torch.float32


def test_evaluation_of_nothing():
    assert list(EvaluationBatches(Split(torch.zeros(0, 2), None), 10, CPU)) == []
