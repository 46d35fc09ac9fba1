import math

import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.modules.optimistic import OptimisticAdam
from duogen.modules.schedules import Ramped, WarmupCosine
from duogen.ramp import Cosine, Linear
from modules.games import assert_resumes

LR, BETA2 = Linear(1.0, 0.25, 1, 5), Linear(0.9, 0.99, 0, 3)
BY_HAND = [(1.0, 0.9), (1.0, 0.93), (0.8125, 0.96), (0.625, 0.99), (0.4375, 0.99), (0.25, 0.99), (0.25, 0.99)]


def adam(kind=torch.optim.Adam, **more):
    groups = [{"params": [nn.Parameter(torch.ones(2))]}, {"params": [nn.Parameter(torch.ones(3))], "lr": 0.5}]
    return kind(groups, lr=0.1, betas=(0.5, 0.999), **more)


def values(optimizer):
    return [(group["lr"], *group["betas"]) for group in optimizer.param_groups]


def walked(optimizer, schedule, steps):
    path = [values(optimizer)]
    for _ in range(steps):
        optimizer.step()
        schedule.step()
        path.append(values(optimizer))
    return path


@pytest.mark.parametrize(
    ("kind", "more"), [(torch.optim.Adam, {}), (OptimisticAdam, {"eps": 1e-8, "weight_decay": 0.0})]
)
def test_each_group_follows_its_own_rate_times_the_factor_and_the_decay_as_given(kind, more):
    optimizer = adam(kind, **more)
    path = walked(optimizer, Ramped(optimizer, LR, BETA2), 6)
    for found, (factor, decay) in zip(path, BY_HAND, strict=True):
        assert found == [pytest.approx((0.1 * factor, 0.5, decay)), pytest.approx((0.5 * factor, 0.5, decay))]


def test_without_a_ramp_the_decay_stays():
    optimizer = adam()
    path = walked(optimizer, Ramped(optimizer, LR, None), 3)
    assert {decay for step in path for _, _, decay in step} == {0.999}
    sgd = torch.optim.SGD([nn.Parameter(torch.ones(2))], lr=0.1)
    assert Ramped(sgd, LR, None).get_last_lr() == [0.1]


def test_the_step_is_all_the_state():
    optimizer, other = adam(), adam()
    first, second = Ramped(optimizer, LR, BETA2), Ramped(other, LR, BETA2)
    walked(optimizer, first, 2)
    assert first.state_dict() == {"last_epoch": 2}
    second.load_state_dict(first.state_dict())
    assert walked(other, second, 3)[1:] == walked(optimizer, first, 3)[1:]


def test_a_decay_that_the_optimizer_lacks_or_that_leaves_its_range_is_refused():
    with pytest.raises(UserError, match="SGD, which has no betas"):
        Ramped(torch.optim.SGD([nn.Parameter(torch.ones(2))], lr=0.1), LR, BETA2)
    optimizer = adam()
    schedule = Ramped(optimizer, LR, Linear(0.9, 1.0, 0, 2))
    walked(optimizer, schedule, 1)
    with pytest.raises(UserError, match=r"beta2 is 1\.0 at step 2"):
        schedule.step()


@pytest.mark.parametrize("warmup", [0.0, 0.25, 0.3])
def test_a_warm_up_rises_to_the_wave(warmup):
    ramp, steps = WarmupCosine(2.0, 0.5, warmup, 12), int(12 * warmup)
    rise = [2.0 * (t + 1) / steps for t in range(steps)]
    wave = [1.25 + 0.75 * math.cos(math.pi * (t - steps) / (12 - steps)) for t in range(steps, 13)]
    assert [ramp(t) for t in range(13)] == pytest.approx(rise + wave)
    assert ramp(99) == 0.5


@pytest.mark.parametrize(("warmup", "stop"), [(-0.1, 5), (1.0, 5), (0.5, 0)])
def test_a_warm_up_without_a_wave_is_refused(warmup, stop):
    with pytest.raises(UserError, match="WarmupCosine"):
        WarmupCosine(1.0, 0.0, warmup, stop)


def test_the_wave_is_the_ramps_own():
    assert [WarmupCosine(1.0, 0.25, 0.0, 9)(t) for t in range(12)] == [Cosine(1.0, 0.25, 0, 9)(t) for t in range(12)]


@pytest.mark.parametrize("scheduler", ["ramped", "warmup_cosine"])
def test_a_gan_resumes_bit_for_bit(scheduler, tmp_path):
    assert_resumes(tmp_path, 6, f"scheduler={scheduler}")
