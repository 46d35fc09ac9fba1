import math

import pytest
import torch
from scipy.stats import norm
from torch import nn

from duogen.errors import UserError
from duogen.modules.infogan import InfoGAN
from duogen.objectives.adversarial import NonSaturating
from duogen.objectives.penalties import Play
from duogen.records import Loss


def infogan(categories=(3, 2), continuous=2, latent_dim=11, information=0.5, continuous_information=0.25):
    network = nn.Linear(latent_dim, 2)
    return InfoGAN(
        network, nn.Linear(2, 1 + sum(categories) + 2 * continuous), NonSaturating(), {}, None, latent_dim, 1.0, None,
        categories, continuous, information, continuous_information,
    )  # fmt: skip


def told(module, noise, output):
    play = Play(output, output, noise, None, *[lambda values: values] * 6, fake_output=output)
    return module.beside(Loss({"adversarial": torch.zeros(len(noise))}, len(noise)), play)


def test_the_noise_ends_in_its_code():
    module = infogan()
    for noise in (module.noise(500), module.drawn(500, torch.Generator().manual_seed(0))):
        free, first, second, continuous = noise.split([4, 3, 2, 2], 1)
        assert abs(float(free.std()) - 1) < 0.1
        assert first.sum(1).eq(1).all()
        assert second.sum(1).eq(1).all()
        assert set(first.argmax(1).tolist()) == {0, 1, 2}
        assert float(continuous.min()) >= -1
        assert float(continuous.max()) <= 1
        assert abs(float(continuous.var()) - 1 / 3) < 0.05


def test_samples_show_every_value_in_turn():
    noise = infogan().drawn(7, torch.Generator().manual_seed(0))
    assert noise[:, 4:7].argmax(1).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert noise[:, 7:9].argmax(1).tolist() == [0, 1, 0, 1, 0, 1, 0]


def test_the_information_is_the_log_density_of_the_code():
    module = infogan()
    noise, output = module.noise(5), torch.randn(5, 1 + 5 + 4)
    loss = told(module, noise, output)
    drawn = [noise[:, 4:7].argmax(1), noise[:, 7:9].argmax(1)]
    logs = [output[:, 1:4].log_softmax(1), output[:, 4:6].log_softmax(1)]
    categorical = -sum(log[torch.arange(5), index] for log, index in zip(logs, drawn, strict=True))
    torch.testing.assert_close(loss.terms["categorical"], categorical)
    means, stds = output[:, 6:8].numpy(), (2 * output[:, 8:10].tanh() - 1).exp().numpy()
    continuous = -norm.logpdf(noise[:, 9:].numpy(), means, stds).sum(1)
    torch.testing.assert_close(
        loss.terms["continuous"].double(), torch.from_numpy(continuous).double(), rtol=1e-5, atol=1e-5
    )
    assert loss.weights == {"categorical": 0.5, "continuous": 0.25}


def test_a_perfect_reader_leaves_no_surprise():
    module = infogan(categories=(4,), continuous=0, latent_dim=6)
    noise = module.noise(9)
    output = torch.cat([torch.zeros(9, 1), 50 * noise[:, 2:]], 1)
    assert float(told(module, noise, output).terms["categorical"].max()) < 1e-6
    blind = told(module, noise, torch.zeros(9, 5)).terms["categorical"]
    torch.testing.assert_close(blind, torch.full((9,), math.log(4)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"categories": (1,)},
        {"continuous": -1},
        {"categories": (), "continuous": 0},
        {"latent_dim": 7},
        {"information": -1.0},
    ],
)
def test_a_code_that_is_none_is_refused(wrong):
    with pytest.raises(UserError) as caught:
        infogan(**wrong)
    assert "InfoGAN" in caught.value.given
