import numpy as np
import pytest

from duogen.metrics.disentanglement.groups import companions, in_blocks


def test_companions_share_the_value_and_are_all_of_them_alike():
    factor = np.array([2, 0, 2, 5, 2, 0])
    rows = np.arange(6).repeat(3000).reshape(6, 3000)
    found = companions(factor, rows, np.random.default_rng(0))
    assert found.shape == (6, 3000)
    assert (factor[found] == factor[rows]).all()
    shares = np.bincount(found[0], minlength=6) / 3000
    assert shares == pytest.approx([1 / 3, 0, 1 / 3, 0, 1 / 3, 0], abs=0.04)
    assert (found[3] == 3).all()


@pytest.mark.parametrize(("groups", "size", "blocks"), [(7, 3, 3), (6, 3, 2), (2, 3, 1), (0, 3, 1)])
def test_blocks_are_the_whole(groups, size, blocks):
    rows = np.arange(groups * 2).reshape(groups, 2)
    found = in_blocks(rows, size)
    assert len(found) == blocks
    assert max(map(len, found)) <= size
    assert (np.concatenate(found) == rows).all()
