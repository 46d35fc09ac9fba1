from typing import ClassVar

import pytest
import torch

from duogen.errors import UserError
from duogen.metrics import leading as subject
from duogen.metrics.leading import LeadingMeasure, part
from duogen.records import Examples, Fact


class First(LeadingMeasure):
    """The mean of the examples' values, and how they came."""

    name = "first"
    columns: ClassVar[int] = 2
    facts: ClassVar = {"first": Fact("units", True)}

    def __init__(self, examples, codes=1):
        super().__init__((2,), examples, codes)
        self.asked = []

    def each(self, model, examples):
        assert not torch.is_autocast_enabled("cpu")
        self.asked.append(examples.values[:, 0].tolist())
        return torch.stack([examples.values[:, 0], -examples.values[:, 0]], 1)

    def values(self):
        return {"first": self.leading()[:, 0].mean()}


def batches(count, size):
    values = torch.arange(count).float()[:, None].expand(-1, 2)
    return [Examples(part) for part in values.split(size)]


CHOSEN = "the first of the split"


@pytest.mark.parametrize(("examples", "seen"), [(3, 3), (5, 5), (9, 9), (11, 11), (50, 11)])
@pytest.mark.parametrize("size", [4, 5, 11])
def test_the_first_examples_alone_are_looked_at_whatever_the_batches(examples, seen, size):
    measure = First(examples)
    for batch in batches(11, size):
        measure.ask(None, batch)
    measure.compute()
    assert measure.leading().tolist() == [[i, -i] for i in range(seen)]
    assert sum(map(len, measure.asked)) == seen
    assert measure.protocol() == {"name": "first", "shape": [2], "n_generated": 0, "n_real": seen, "chosen": CHOSEN}
    assert not measure.validates


@pytest.mark.parametrize("examples", [3, 8, 9, 10, 50])
@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_ranks_that_take_batches_by_turns_find_the_same(examples, ranks, monkeypatch):
    parts = []
    monkeypatch.setattr(subject, "initialised", lambda: True)
    monkeypatch.setattr(subject.distributed, "get_world_size", lambda: ranks)
    for rank in range(ranks):
        monkeypatch.setattr(subject.distributed, "get_rank", lambda rank=rank: rank)
        parts.append(First(examples))
        for batch in batches(11, 4)[rank::ranks]:
            parts[-1].ask(None, batch)
    whole = First(examples)
    whole.numbers = torch.cat([rows for one in parts for rows in one.numbers])
    whole.n_real += 11
    whole._counted = whole.counts()
    assert whole.leading()[:, 0].tolist() == list(range(min(examples, 11)))


def test_many_codes_of_an_example_are_held_for_few_at_a_time(monkeypatch):
    monkeypatch.setattr(subject, "AT_ONCE", 30)
    measure = First(7, codes=13)
    with torch.autocast("cpu"):
        measure.ask(None, batches(11, 11)[0])
    assert measure.asked == [[0, 1], [2, 3], [4, 5], [6]]


def test_more_codes_than_fit_leave_one_example():
    assert First(2, codes=10**9).most == 1


def test_a_new_round_begins_at_the_first_example():
    measure = First(3)
    for _ in range(2):
        measure.reset()
        for batch in batches(8, 4):
            measure.ask(None, batch)
    assert measure.compute()["first"] == 1
    assert len(measure.leading()) == 3


def test_a_part_has_its_own_labels():
    examples = part(Examples(torch.arange(5.0), torch.arange(5) * 2), 1, 3)
    assert (examples.values.tolist(), examples.labels.tolist()) == ([1, 2], [2, 4])
    assert part(Examples(torch.arange(5.0)), 1, 3).labels is None


def test_no_examples_are_refused():
    with pytest.raises(UserError, match="examples=0"):
        First(0)
