"""Truncation, styles, standing statistics and paths, each against its formula."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from duogen.errors import UserError
from duogen.modules.average import MovingAverage
from duogen.modules.gan import GAN
from duogen.modules.infogan import InfoGAN
from duogen.modules.sampling import Centred, Manner, Truncated, noisy, paths, put, restate, slerp, truncated
from duogen.networks.generator import Generator
from duogen.objectives.adversarial import NonSaturating

SEED = 5


def randn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class Normed(Generator):
    """Batch norm of the noise, then of an affine map of it; the class is added."""

    def __init__(self, size=3):
        super().__init__()
        self.first, self.map, self.second = nn.BatchNorm1d(size), nn.Linear(size, 4), nn.BatchNorm1d(4)
        self.told = []

    def forward(self, latent, labels=None):
        self.told.append(labels)
        values = self.second(self.map(self.first(latent)))
        return values if labels is None else values + labels[:, None]


class WithStyles(Generator):
    """Styles are three times the noise, with mean (1, 2, 3); examples are the styles."""

    mean_style = torch.tensor([1.0, 2.0, 3.0])

    def forward(self, latent, labels=None):
        return self.render(self.styles(latent, labels), labels)

    def styles(self, latent, labels=None):
        return 3 * latent if labels is None else 3 * latent + labels[:, None]

    def truncated(self, styles, psi):
        return self.mean_style + psi * (styles - self.mean_style)

    def render(self, styles, labels=None):
        return styles


def gan(generator, classes=None):
    return GAN(
        generator, nn.Linear(4, 1), NonSaturating(), {}, None,
        latent_dim=3, pack=1, top_k=1.0, classes=classes, weight_clip=None,
    ).eval()  # fmt: skip


def info_gan(generator):
    return InfoGAN(
        generator, nn.Linear(4, 1), NonSaturating(), {}, None, latent_dim=8, top_k=1.0, weight_clip=None,
        categories=[3], continuous=2, information=1.0, continuous_information=0.1,
    ).eval()  # fmt: skip


@pytest.mark.parametrize("limit", [0.04, 0.5, 2.0])
def test_truncated_noise_is_of_the_truncated_normal_distribution(limit):
    found = truncated(randn(20_000, dtype=torch.float64), limit).numpy()
    assert np.abs(found).max() <= limit
    assert stats.kstest(found, stats.truncnorm(-limit, limit).cdf).pvalue > 0.01


def test_each_number_is_mapped_by_the_quantile_function_in_order():
    noise = torch.tensor([[-37.0, -8.0, -1.5, -0.0], [0.0, 1e-9, 0.7, 9.0]], dtype=torch.float64)
    expected = stats.truncnorm(-1.2, 1.2).ppf(stats.norm.cdf(noise.numpy()))
    np.testing.assert_allclose(truncated(noise, 1.2).numpy(), expected, atol=1e-9)
    assert (truncated(-noise, 1.2) == -truncated(noise, 1.2)).all()


def test_a_wide_limit_changes_nothing_even_far_out_and_a_narrow_one_leaves_next_to_nothing():
    noise = torch.tensor([-8.2, -3.0, 0.1, 8.2])
    torch.testing.assert_close(truncated(noise, 30.0), noise, rtol=1e-6, atol=0)
    assert truncated(randn(100), 1e-12).abs().max() <= 1e-12
    assert truncated(randn(2, 3).half(), 0.5).dtype == torch.float16


def by_hand(first, last, t):
    angle = math.acos(first @ last / math.sqrt((first @ first) * (last @ last)))
    return (math.sin((1 - t) * angle) * first + math.sin(t * angle) * last) / math.sin(angle)


def test_slerp_is_its_formula_with_fixed_ends():
    first, last = randn(4, 6, seed=1), randn(4, 6, seed=2)
    found = slerp(first, last, 5)
    assert found.shape == (4, 5, 6)
    assert (found[:, 0] == first).all()
    assert (found[:, -1] == last).all()
    for row in range(4):
        for step, t in enumerate((0.0, 0.25, 0.5, 0.75, 1.0)):
            expected = by_hand(first[row].double().numpy(), last[row].double().numpy(), t)
            np.testing.assert_allclose(found[row, step], expected, atol=1e-6)


def test_a_path_between_vectors_of_one_length_keeps_it():
    first, last = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    torch.testing.assert_close(slerp(first, last, 9).norm(dim=2), torch.full((1, 9), 3.0))
    torch.testing.assert_close(slerp(first, last, 3)[0, 1], torch.tensor([3 / math.sqrt(2)] * 2))


@pytest.mark.parametrize(("first", "last"), [([1.0, 2.0], [2.0, 4.0]), ([1.0, 2.0], [-1.0, -2.0]), ([1.5], [-0.5])])
def test_vectors_on_one_line_are_joined_by_it(first, last):
    middle = slerp(torch.tensor([first]), torch.tensor([last]), 3)[0, 1]
    torch.testing.assert_close(middle, (torch.tensor(first) + torch.tensor(last)) / 2)


def test_a_path_keeps_the_code_of_its_start():
    module = info_gan(nn.Linear(8, 4))
    first, last = randn(2, 8, seed=1), randn(2, 8, seed=2)
    found = paths(module, first, last, 4)
    assert (found[:, :, 3:] == first[:, None, 3:]).all()
    assert (found[:, :, :3] == slerp(first[:, :3], last[:, :3], 4)).all()
    assert (paths(gan(nn.Linear(3, 4)), first[:, :3], last[:, :3], 4) == found[:, :, :3]).all()


def test_truncation_bounds_the_noise_and_leaves_a_code_alone():
    module = info_gan(nn.Identity())
    noise = module.drawn(50, torch.Generator().manual_seed(0))
    Manner(truncation=0.3).assume(module, 8, SEED)
    found = module.generate(noise)
    assert isinstance(module.generator, Truncated)
    assert (found[:, 3:] == noise[:, 3:]).all()
    torch.testing.assert_close(found[:, :3], truncated(noise[:, :3], 0.3))
    assert found[:, :3].abs().max() <= 0.3 < noise[:, :3].abs().max()


@pytest.mark.parametrize("psi", [0.0, 0.7, 1.5])
def test_psi_pulls_styles_towards_their_mean(psi):
    module, noise = gan(WithStyles()), randn(5, 3)
    Manner(psi=psi).assume(module, 8, SEED)
    assert isinstance(module.generator, Centred)
    mean = torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(module.generate(noise), (1 - psi) * mean + psi * 3 * noise)


def test_truncation_and_psi_work_together_and_the_class_goes_through():
    module, noise, labels = gan(WithStyles(), classes=4), randn(6, 3), torch.arange(6) % 4
    Manner(truncation=0.5, psi=0.5).assume(module, 8, SEED)
    expected = 0.5 * WithStyles.mean_style + 0.5 * (3 * truncated(noise, 0.5) + labels[:, None])
    torch.testing.assert_close(module.generate(noise, labels), expected)


def averaging(module):
    average = module.averages["generator"] = MovingAverage(module.generator, decay=0.5, start=0)
    average.update(nn.Linear(3, 4), 1)
    return average


def test_the_average_is_sampled_in_that_manner_where_it_is_what_is_evaluated():
    module = gan(nn.Linear(3, 4))
    average = averaging(module)
    trained, averaged, noise = module.generator, average.network, randn(5, 3)
    Manner(truncation=0.5).assume(module, 8, SEED)
    assert module.generator is trained
    assert module.averaged("generator") is average.network
    torch.testing.assert_close(module.generate(noise), averaged(truncated(noise, 0.5)))


def test_an_average_that_has_not_begun_is_left_alone():
    module = gan(nn.Linear(3, 4))
    module.averages["generator"] = average = MovingAverage(module.generator, decay=0.5, start=9)
    other = nn.Linear(3, 4)
    put(module, other)
    assert module.generator is module.averaged("generator") is other
    assert average.network is not other


def pooled(inputs):
    return inputs.double().mean(0).float(), inputs.double().var(0, correction=1).float()


def test_standing_statistics_are_those_of_the_pooled_noise():
    module = gan(Normed())
    generator = torch.Generator().manual_seed(7)
    restate(module.generator, iter_generate(module, [randn(6, 3, seed=i) for i in range(4)]), 4)
    mean, variance = pooled(torch.cat([randn(6, 3, seed=i) for i in range(4)]))
    torch.testing.assert_close(module.generator.first.running_mean, mean)
    torch.testing.assert_close(module.generator.first.running_var, variance)
    assert module.generate(torch.randn(1, 3, generator=generator)).isfinite().all()


def iter_generate(module, batches):
    for noise in batches:
        yield module.generate(noise)


def test_deeper_layers_see_batches_normalised_by_their_own_statistics():
    module = gan(Normed())
    batches = [2 + 3 * randn(6, 3, seed=i) for i in range(5)]
    restate(module.generator, iter_generate(module, batches), 5)
    inside = []
    for noise in batches:
        normed = (noise - noise.mean(0)) / (noise.var(0, correction=0) + 1e-5).sqrt()
        inside.append(module.generator.map(normed).detach())
    mean, variance = pooled(torch.cat(inside))
    torch.testing.assert_close(module.generator.second.running_mean, mean)
    torch.testing.assert_close(module.generator.second.running_var, variance)


def test_standing_runs_its_batches_over_all_classes_from_a_seed_of_its_own():
    module = gan(Normed(), classes=5)
    Manner(standing=3).assume(module, 4, SEED)
    assert torch.cat(module.generator.told).tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    again, other = gan(Normed(), classes=5), gan(Normed(), classes=5)
    Manner(standing=3).assume(again, 4, SEED)
    Manner(standing=3).assume(other, 4, SEED + 1)
    assert (again.generator.first.running_mean == module.generator.first.running_mean).all()
    assert (other.generator.first.running_mean != module.generator.first.running_mean).all()


def test_standing_statistics_are_of_truncated_noise_where_it_is_truncated():
    module = gan(Normed())
    inner = module.generator
    noise = [truncated(values, 0.4) for values in noises(module)]
    Manner(truncation=0.4, standing=6).assume(module, 5, SEED)
    mean, variance = pooled(torch.cat(noise))
    torch.testing.assert_close(inner.first.running_mean, mean)
    torch.testing.assert_close(inner.first.running_var, variance)


def noises(module):
    """The noise that six standing batches of five are generated from."""
    seen = []
    hook = module.generator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for _ in noisy(module, 5, 6, SEED):
        pass
    hook.remove()
    return seen


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"truncation": 0.0}, "truncation=0.0"),
        ({"truncation": -1.0}, "truncation=-1.0"),
        ({"truncation": math.nan}, "truncation=nan"),
        ({"truncation": math.inf}, "truncation=inf"),
        ({"psi": -0.1}, "psi=-0.1"),
        ({"psi": 1.6}, "0 to 1.5"),
        ({"psi": math.nan}, "psi=nan"),
        ({"standing": 0}, "standing=0"),
        ({"standing": 10_001}, "1 to 10000"),
    ],
)
def test_values_out_of_range_are_refused(settings, named):
    with pytest.raises(UserError) as refused:
        Manner(**settings)
    assert named in str(refused.value)


def test_what_a_generator_lacks_is_refused_by_name():
    with pytest.raises(UserError) as refused:
        Manner(psi=0.5).assume(gan(nn.Linear(3, 4)), 8, SEED)
    assert "Linear maps no noise to styles" in refused.value.given
    assert "truncation=" in refused.value.remedy
    with pytest.raises(UserError, match="no batch norm"):
        Manner(standing=2).assume(gan(nn.Linear(3, 4)), 8, SEED)


def test_nothing_asked_for_is_nothing_done():
    module = nn.Linear(2, 3)
    Manner().assume(module, 8, SEED)
    assert Manner().protocol == {}
    assert Manner(standing=3, truncation=0.5).protocol == {"truncation": 0.5, "standing": 3}
    with pytest.raises(UserError, match=r"truncation=0\.5 with a checkpoint of Linear"):
        Manner(truncation=0.5).assume(module, 8, SEED)
