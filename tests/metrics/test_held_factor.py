import pytest
import torch

from duogen.errors import UserError
from duogen.metrics.held_factor import BetaVaeScore, FactorVaeScore
from duogen.records import Examples
from metrics.coding import FACTORS, asked, batches, grid

VOTE = {"train": 300, "test": 200, "size": 32, "least_spread": 0.05, "seed": 0}
PAIRS = {"train": 300, "test": 200, "size": 32, "seed": 0}

both = pytest.mark.parametrize(("kind", "settings"), [(FactorVaeScore, VOTE), (BetaVaeScore, PAIRS)])


@both
def test_a_perfect_code_names_each_factor_and_noise_none(kind, settings):
    measure = kind(FACTORS, **settings)
    assert 0.9 <= asked(measure, *batches(grid(600), 250))[measure.name] <= 1.0
    measure.reset()
    noise = torch.randn(600, 3, generator=torch.Generator().manual_seed(1))
    assert asked(measure, Examples(noise, grid(600).labels))[measure.name] < 0.5


@both
def test_all_examples_serve_and_the_seed_decides(kind, settings):
    examples = grid(600, noise=3.0)
    first, again, other = (kind(FACTORS, **settings | {"seed": seed}) for seed in (0, 0, 1))
    assert asked(first, examples) == asked(again, *batches(examples, 77)) != asked(other, examples)
    assert first.remarks() == ()
    assert first.protocol() == again.protocol() | {"n_real": 600}
    assert {name: first.protocol()[name] for name in ("train", "test", "size")} == {
        "train": 300, "test": 200, "size": 32
    }  # fmt: skip


def test_dead_codes_have_no_vote():
    dead = Examples(torch.full((60, 3), 0.1), grid(60).labels)
    assert asked(FactorVaeScore(FACTORS, **VOTE), dead) == {"factor_vae_score": 0.0}


@pytest.mark.parametrize("changed", [{"size": 1}, {"least_spread": -0.1}, {"least_spread": float("nan")}])
def test_groups_without_a_variance_are_refused(changed):
    with pytest.raises(UserError, match=r"size >= 2, least_spread >= 0"):
        FactorVaeScore(FACTORS, **VOTE | changed)
