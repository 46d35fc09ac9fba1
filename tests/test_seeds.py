from hashlib import sha256
from itertools import combinations

import numpy as np

from duogen.seeds import derive


def test_a_seed_is_half_of_the_first_eight_bytes_of_the_hash():
    digest = sha256(b"3/noise/1").digest()
    assert derive(3, "noise", 1) == int(digest[:8].hex(), 16) // 2


def test_seeds_fit_torch_and_differ_by_every_part():
    seeds = {derive(seed, purpose, index) for seed in range(20) for purpose in ("a", "b") for index in range(20)}
    assert len(seeds) == 800
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive(1, 23) != derive(12, 3)


def test_neighbouring_seeds_are_unrelated():
    streams = [np.random.default_rng(derive(seed, "x")).standard_normal(1000) for seed in range(6)]
    assert max(abs(np.corrcoef(a, b)[0, 1]) for a, b in combinations(streams, 2)) < 0.15
