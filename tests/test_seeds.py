from hashlib import sha256
from itertools import product

import numpy as np
import torch

from duogen.seeds import derive


def test_a_seed_is_the_digest_of_its_arguments():
    digest = sha256(b"7/validate/500/3").digest()
    assert derive(7, "validate", 500, 3) == int.from_bytes(digest[:8], "big") // 2


def test_seeds_never_change_between_versions_or_processes():
    assert derive(0, "networks") == 778194354093651997


def test_seeds_fit_torch():
    for seed in range(50):
        assert 0 <= derive(seed, "x") < 2**63
        torch.Generator().manual_seed(derive(seed, "x"))


def test_no_two_arguments_share_a_seed():
    given = [(seed, purpose, step) for seed, purpose, step in product(range(20), ["a", "b", "ab"], range(20))]
    assert len({derive(*arguments) for arguments in given}) == len(given)
    assert derive(1, 23) != derive(12, 3)
    assert derive(1) != derive(1, 0)


def test_neighbouring_arguments_flip_half_of_the_bits():
    flipped = [(derive(seed, "x") ^ derive(seed + 1, "x")).bit_count() for seed in range(400)]
    assert abs(np.mean(flipped) - 31.5) < 4 * np.sqrt(63) / 2 / np.sqrt(400)
