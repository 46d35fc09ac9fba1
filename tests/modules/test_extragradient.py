from functools import partial

import numpy as np
import pytest
import torch

from contracts.cases import run
from duogen.errors import UserError
from duogen.modules.average import MovingAverage
from duogen.modules.extragradient import Extragradient
from duogen.modules.turns import Alternate, Simultaneous, Turn
from modules.games import Game, assert_resumes, batch, gan, play, taught

SGD = partial(torch.optim.SGD, lr=0.5)
ADAM = partial(torch.optim.Adam, lr=0.1, betas=(0.5, 0.9), eps=1e-3)


def both(kind, **numbers):
    return kind(y=Turn("y", **numbers), x=Turn("x", **numbers))


def test_one_step_by_hand_each_gradient_from_its_own_batch():
    """x' = 1 - 0.5 * 3 * 2, y' = 2 + 0.5 * 3 * 1 on the extra batch; then b = 1 from (1, 2) with these gradients."""
    game = taught(Game(1.0, 2.0), both(Extragradient), SGD, extra=[batch(2.0, 4.0)])
    assert play(game, 1, [batch(0.5, 1.5)]) == [(1 - 0.5 * 3.5, 2 + 0.5 * -2.0)]
    assert game.progress.extras == 1


def test_with_adam_it_is_the_papers_algorithm():
    """Gidel et al. 2019, algorithm 4, written out: one pair of moments takes in both gradients."""
    extra, batches = [batch(2.0), batch(-1.0), batch(0.5)], [batch(1.0), batch(3.0)]
    game = taught(Game(1.0, 2.0), both(Extragradient), ADAM, extra=extra)
    found_path = play(game, 6, batches)
    w, m, v, expected = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2), []
    for t in range(6):
        at = w
        for half, b in enumerate((float(extra[t % 3].values), float(batches[t % 2].values)), start=1):
            gradient = b * np.array([at[1], -at[0]])
            m, v = 0.5 * m + 0.5 * gradient, 0.9 * v + 0.1 * gradient**2
            count = 2 * t + half
            at = w - 0.1 * (m / (1 - 0.5**count)) / (np.sqrt(v / (1 - 0.9**count)) + 1e-3)
        w = at
        expected.append(w)
    np.testing.assert_allclose(found_path, expected, rtol=1e-12)


def test_it_converges_where_simultaneous_steps_spiral_out_and_alternate_ones_circle():
    ends = {
        kind: np.hypot(*play(taught(Game(1.0, 2.0), both(kind), partial(torch.optim.SGD, lr=0.2)), 200)[-1])
        for kind in (Extragradient, Simultaneous, Alternate)
    }
    assert ends[Extragradient] < 0.1
    assert ends[Simultaneous] > 50
    assert 1 < ends[Alternate] < 4


def test_only_those_who_are_due_extrapolate_and_without_any_no_batch_is_drawn():
    turns = Extragradient(y=Turn("y", every=2), x=Turn("x", every=2, start=1))
    game = taught(Game(1.0, 2.0), turns, SGD)
    # With the other player at rest its gradient is the same at both points.
    assert play(game, 3) == [(1.0, 2.0), (1.0, 2.5), (-0.25, 2.5)]
    assert game.progress.extras == 2


def test_one_update_is_counted_and_feedback_and_averages_see_the_step_alone():
    average = partial(MovingAverage, decay=0.0, start=0)
    game = taught(Game(1.0, 2.0), both(Extragradient), SGD, average=average)
    path = play(game, 3)
    assert game.progress.updates == {"x": 3, "y": 3}
    assert game.seen == [(player, *path[step]) for step in range(3) for player in ("y", "x")]
    assert float(game.averages["x"].network.value) == path[-1][0]
    assert int(game.averages["x"].updates) == 3
    assert all(not window.gradients for window in game.turns.windows.values())
    assert all(parameter.grad is None for parameter in game.parameters())


def test_terms_are_logged_once_and_clip_bounds_both_gradients():
    game = taught(Game(1.0, 2.0), both(Extragradient, clip=0.25), SGD, extra=[batch(100.0)])
    assert play(game, 1) == [pytest.approx((1 - 0.5 * 0.25, 2 + 0.5 * 0.25), rel=1e-6)]
    assert {name: len(series.values) for name, series in game.logged.series.items()} == {
        f"train/{player}/{term}": 1 for player in "xy" for term in ("loss", "gradient_norm")
    }
    assert game.logged.means(lambda v: v).values["train/x/loss"] == pytest.approx((1 - 0.125) * (2 + 0.125), rel=1e-6)


def test_accumulation_is_refused():
    with pytest.raises(UserError, match=r"turns\.x\.accumulate=2"):
        Extragradient(y=Turn("y"), x=Turn("x", accumulate=2))


def test_a_gan_resumes_bit_for_bit(tmp_path):
    options = ("turns=extragradient", "turns.generator.every=2", "discriminator.dropout=0.3")
    assert_resumes(tmp_path, 9, *options, "discriminator.spectral_norm=true", "optimizers.generator.ema.decay=0.9")


def test_a_gan_trains_in_half_precision_with_a_penalty(tmp_path):
    config = gan("budget.steps=3", "turns=extragradient", "penalty=[r1]", "trainer.precision=bf16-mixed")
    assert run(config, tmp_path / "run").record().updates == {"generator": 3, "discriminator": 3}
