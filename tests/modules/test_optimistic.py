import io
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from duogen.modules.optimistic import OptimisticAdam
from duogen.modules.turns import Simultaneous, Turn
from modules.games import Game, assert_resumes, play, taught

SETTINGS = {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3}


def parameter(*values):
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


def descend(optimizer, weights, gradients):
    for gradient in gradients:
        weights.grad = None if gradient is None else torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    return weights.detach().numpy()


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_steps_are_those_of_the_paper(decay):
    """Daskalakis et al. 2018, algorithm 1: w - 2 lr m_t / (sqrt v_t + eps) + lr m_{t-1} / (sqrt v_{t-1} + eps)."""
    gradients = [[1.0, -2.0], [0.5, 3.0], [-4.0, 0.0], [1.0, 1.0]]
    weights = parameter(0.3, -0.7)
    found = descend(OptimisticAdam([weights], **SETTINGS, weight_decay=decay), weights, gradients)
    w, m, v, before = np.array([0.3, -0.7]), np.zeros(2), np.zeros(2), np.zeros(2)
    for t, gradient in enumerate(np.array(gradients), start=1):
        gradient = gradient + decay * w
        m, v = 0.5 * m + 0.5 * gradient, 0.9 * v + 0.1 * gradient**2
        ratio = m / (1 - 0.5**t) / (np.sqrt(v / (1 - 0.9**t)) + 1e-3)
        w, before = w - 2 * 0.1 * ratio + 0.1 * before, ratio
    np.testing.assert_allclose(found, w, rtol=1e-12)


def test_the_first_step_is_twice_adams():
    one, other = parameter(0.0), parameter(0.0)
    moved = descend(OptimisticAdam([one], **SETTINGS, weight_decay=0.0), one, [[2.0]])
    assert moved == pytest.approx(2 * descend(torch.optim.Adam([other], **SETTINGS), other, [[2.0]]))


def test_a_parameter_without_a_gradient_stays_and_keeps_its_state():
    weights, idle = parameter(1.0), parameter(5.0)
    optimizer = OptimisticAdam([weights, idle], **SETTINGS, weight_decay=0.0)
    descend(optimizer, weights, [[1.0], [2.0]])
    kept = optimizer.state[weights]["previous"].clone()
    before = weights.detach().clone()
    descend(optimizer, weights, [None])
    assert torch.equal(weights, before)
    assert torch.equal(optimizer.state[weights]["previous"], kept)
    assert float(idle.detach()) == 5.0
    assert idle not in optimizer.state


def test_the_state_survives_a_safe_load_to_the_bit():
    gradients = [[1.0, -2.0], [0.5, 3.0], [-4.0, 0.5], [1.0, 1.0], [0.1, 0.2]]
    whole, first = parameter(0.3, -0.7), parameter(0.3, -0.7)
    expected = descend(OptimisticAdam([whole], **SETTINGS, weight_decay=0.1), whole, gradients)
    optimizer, buffer = OptimisticAdam([first], **SETTINGS, weight_decay=0.1), io.BytesIO()
    descend(optimizer, first, gradients[:3])
    torch.save(optimizer.state_dict(), buffer)
    buffer.seek(0)
    second = nn.Parameter(first.detach().clone())
    continued = OptimisticAdam([second], **SETTINGS, weight_decay=0.1)
    continued.load_state_dict(torch.load(buffer, weights_only=True))
    assert (descend(continued, second, gradients[3:]) == expected).all()


def test_hooks_run_once_whatever_was_built_before():
    torch.optim.Adam([parameter(1.0)])
    weights, calls = parameter(1.0), []
    optimizer = OptimisticAdam([weights], **SETTINGS, weight_decay=0.0)
    optimizer.register_step_post_hook(lambda *_: calls.append(float(weights.detach())))
    descend(optimizer, weights, [[1.0]])
    assert calls == [float(weights.detach())]


def test_it_converges_where_adam_spirals_out():
    settings = {"lr": 0.1, "betas": (0.0, 0.99), "eps": 1e-8}
    ends = [
        np.hypot(*play(taught(Game(1.0, 2.0), Simultaneous(y=Turn("y"), x=Turn("x")), optimizer), 400)[-1])
        for optimizer in (partial(torch.optim.Adam, **settings), partial(OptimisticAdam, **settings, weight_decay=0.0))
    ]
    assert ends[0] > np.hypot(1.0, 2.0)
    assert ends[1] < 1e-2


def test_a_gan_resumes_bit_for_bit(tmp_path):
    assert_resumes(tmp_path, 6, "optimizer=optimistic_adam", "optimizers.generator.lr=0.01", "turns=five_to_one")
