from itertools import islice

import pytest
import torch

from duogen.data.order import Order, permutation, seeded
from duogen.data.splits import Split
from duogen.data.stream import Batches, EvaluationBatches, Restartable, loaded, uniform_table
from duogen.data.transforms import Transform

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


class Noise(Transform):
    """Adds the numbers of its first three draws, each to a row of an image (1, 3, 2), times 10."""

    draws = 3

    def __call__(self, values, uniform):
        return values.float() + 10 * uniform.view(-1, 1, 3, 1)


class Invert(Transform):
    draws = 0

    def __call__(self, values, uniform):
        return 255 - values


def resident(split, order, transforms=()):
    return Batches(split, order, transforms)


def batch(split, order, step, transforms=()):
    return next(Batches(split, order, transforms).since(step))


def test_batch_is_the_row_of_its_epochs_permutation(images):
    found = batch(images, order(), 4 * 2 + 3)
    index = permutation(1, "train", 2, SIZE)[15:20]
    assert torch.equal(found.labels, index)
    torch.testing.assert_close(found.values, images.values[index].double().mul(2 / 255).sub(1).float())


def test_an_epoch_holds_no_example_twice_and_the_next_differs(images):
    labels = torch.cat([batch.labels for batch in islice(resident(images, order()).since(0), 8)])
    first, second = labels[:20], labels[20:]
    assert len(first.unique()) == len(second.unique()) == 20
    assert not torch.equal(first, second)


def test_random_access_in_any_order(images):
    stream = resident(images, order())
    forward = list(islice(stream.since(0), 13))
    assert all(same(stream[step].examples(), forward[step]) for step in (12, 0, 7, 3, 11, 4))


def test_batches_by_number_stay_as_stored(images):
    stored = resident(images, order())[0]
    assert stored.values.dtype == torch.uint8
    assert torch.equal(stored.values, images.values[permutation(1, "train", 0, SIZE)[:BATCH]])


def test_floats_come_as_they_are_and_without_labels(vectors):
    found = batch(vectors, order(), 0)
    assert found.labels is None
    assert torch.equal(found.values, vectors.values[permutation(1, "train", 0, SIZE)[:BATCH]])


@pytest.mark.parametrize("start", [0, 1, 4, 6, 11])
def test_stream_from_a_step_is_the_stream_after_as_many_batches(images, start):
    whole = list(islice(resident(images, order()).since(0), start + 6))
    later = islice(resident(images, order()).since(start), 6)
    lazy = islice(loaded(resident(images, order()), start, 0, CPU), 6)
    assert all(same(a, b) and same(a, c) for a, b, c in zip(whole[start:], later, lazy, strict=True))


@pytest.mark.parametrize("kind", ["images", "vectors"])
@pytest.mark.parametrize(("workers", "start", "rank", "world"), [(2, 3, 0, 1), (1, 0, 1, 3)])
def test_workers_yield_the_same_bits(request, kind, workers, start, rank, world):
    split, mine = request.getfixturevalue(kind), order(rank=rank, world=world)
    stream = loaded(resident(split, mine), start, workers, CPU)
    found = list(islice(stream, 9))
    stream.close()
    assert all(same(a, b) for a, b in zip(found, resident(split, mine).since(start), strict=False))


def test_ranks_together_see_the_global_batch(images):
    whole = batch(images, order(), 6)
    ranks = [batch(images, order(rank=rank, world=3), 6) for rank in range(3)]
    assert [part.count for part in ranks] == [2, 2, 1]
    assert torch.equal(torch.cat([part.values for part in ranks]), whole.values)
    assert torch.equal(torch.cat([part.labels for part in ranks]), whole.labels)


@pytest.mark.parametrize("changed", [{"seed": 2}, {"purpose": "extra"}])
def test_streams_of_another_seed_or_purpose_differ(images, changed):
    assert not same(batch(images, order(**changed), 0), batch(images, order(), 0))


@pytest.mark.parametrize("workers", [0, 2])
def test_global_generators_are_left_alone(images, global_generators, workers):
    before = global_generators()
    stream = loaded(resident(images, order(), [Noise()]), 0, workers, CPU)
    list(islice(stream, 6))
    stream.close()
    list(islice(resident(images, order()).since(0), 6))
    assert global_generators() == before


@pytest.mark.parametrize(("purpose", "epoch"), [("train", 0), ("train", 3), ("extra", 3)])
def test_table_is_a_function_of_seed_purpose_and_epoch(purpose, epoch):
    expected = torch.rand(SIZE, 4, generator=seeded(1, f"{purpose} transforms", epoch))
    assert torch.equal(uniform_table(order(purpose), epoch, 4), expected)


def test_transform_gets_the_row_of_each_example(images):
    found = resident(images, order(), [Noise()])[4 * 2 + 3]
    index, table = permutation(1, "train", 2, SIZE)[15:20], uniform_table(order(), 2, 3)
    for value, label in zip(found.values, found.labels, strict=True):
        assert torch.equal(value, images.values[label].float() + 10 * table[label].view(1, 3, 1))
    assert torch.equal(found.labels, index)


def test_transforms_share_the_row_in_their_order(images):
    found = resident(images, order(), [Noise(), Invert(), Noise()])[0]
    index, table = permutation(1, "train", 0, SIZE)[:5], 10 * uniform_table(order(), 0, 6)[:, None, :, None]
    first = images.values[index].float() + table[index, :, :3]
    assert torch.equal(found.values, 255 - first + table[index, :, 3:])


def test_transform_differs_by_epoch_and_by_index():
    drawn = [uniform_table(order(), epoch, 3) for epoch in range(2)]
    assert len({tuple(row) for table in drawn for row in table.tolist()}) == 2 * SIZE


@pytest.mark.parametrize("workers", [0, 2])
def test_transform_is_the_same_for_any_start_number_of_workers_and_ranks(images, workers):
    alone = list(islice(resident(images, order(), [Noise()]).since(0), 7))
    stream = loaded(resident(images, order(), [Noise()]), 5, workers, CPU)
    resumed = list(islice(stream, 2))
    stream.close()
    assert all(same(a, b) for a, b in zip(alone[5:], resumed, strict=True))
    halves = [batch(images, order(rank=rank, world=2), 5, [Noise()]).values for rank in range(2)]
    assert torch.equal(torch.cat(halves), alone[5].values)


def test_transform_sees_stored_values_and_conversion_follows(images):
    torch.testing.assert_close(batch(images, order(), 0, [Invert()]).values, -batch(images, order(), 0).values)


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
