import torch

from duogen.data.order import seeded
from duogen.data.points import PointsData
from duogen.data.splits import Split


class Coins(PointsData):
    """Points [c, c] of fair coins c, labelled by c."""

    def draw(self, count, generator):
        faces = torch.randint(2, (count,), generator=generator)
        return Split(torch.stack([faces, faces], 1).float(), faces)


def coins(seed=7, points_seed=3):
    return Coins([2], 2, 4, 0, seed, train_size=50, evaluation_size=20, points_seed=points_seed)


def test_sizes():
    assert {name: len(split) for name, split in coins().splits.items()} == {"train": 50, "validate": 20, "test": 20}


def test_each_split_is_drawn_from_its_own_generator():
    for name, split in coins().splits.items():
        expected = torch.randint(2, (len(split),), generator=seeded(3, name))
        assert torch.equal(split.labels, expected)


def test_points_depend_on_their_own_seed_alone():
    assert coins(seed=8).checksum() == coins().checksum() != coins(points_seed=4).checksum()
