import numpy as np
import pytest
import torch
from torch.distributions import AffineTransform, Independent, Normal, TransformedDistribution

from duogen.errors import UserError
from duogen.objectives.variational.dreg import Dreg
from duogen.objectives.variational.iwae import Iwae
from objectives.variational.gaussian_toy import Toy, gradients


def test_the_encoders_gradient_by_hand():
    toy = Toy()
    evidence = toy.evidence(draws=4)
    got = gradients(Dreg(4).encoder(evidence), toy.encoder)
    codes, mean, deviation = (t.detach().numpy() for t in (evidence.code, toy.mean, toy.log_deviation.exp()))
    matrix, errors = toy.weight.detach().numpy(), toy.examples.numpy() - evidence.decoded.mean.detach().numpy()
    logs = evidence.log_weights.detach().numpy()
    expected = np.zeros((2, 5, 2))
    for n in range(5):
        shares = np.exp(logs[:, n]) / np.exp(logs[:, n]).sum()
        for k in range(4):
            slope = matrix.T @ errors[k, n] / 0.64 - codes[k, n] + (codes[k, n] - mean[n]) / deviation[n] ** 2
            expected[0, n] -= shares[k] ** 2 * slope
            expected[1, n] -= shares[k] ** 2 * slope * (codes[k, n] - mean[n])
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-9)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-9)


def test_in_the_mean_it_is_the_gradient_of_iwae_at_less_variance():
    torch.manual_seed(0)
    count, draws = 20000, 8
    toy = Toy(count=count)
    with torch.no_grad():
        for parameter in (toy.mean, toy.log_deviation, toy.examples):
            parameter.copy_(parameter[0].expand_as(parameter))
    evidence = toy.evidence(draws=draws)
    for twice, once in zip(
        gradients(Dreg(draws).encoder(evidence), toy.encoder),
        gradients(Iwae(draws)(toy.evidence(draws=draws)), toy.encoder),
        strict=True,
    ):
        error = ((twice.var(0) + once.var(0)) / count).sqrt()
        assert (once.mean(0).abs() > 3 * error).any()
        assert ((twice.mean(0) - once.mean(0)).abs() < 4 * error).all()
        assert (twice.var(0) < once.var(0)).all()


def test_at_the_exact_posterior_there_is_no_gradient_and_no_noise():
    toy = Toy()
    exact = toy.exact_posterior()
    mean = exact.mean.detach().requires_grad_()
    posterior = type(exact)(mean, precision_matrix=exact.precision_matrix.detach())
    (gradient,) = gradients(Dreg(5).encoder(toy.evidence(draws=5, posterior=posterior)), [mean])
    np.testing.assert_allclose(gradient, np.zeros((5, 2)), atol=1e-12)


def test_a_posterior_that_remembers_how_it_made_a_code_changes_nothing():
    toy = Toy()
    made = []
    for cache in (0, 1):
        standard = Normal(torch.zeros_like(toy.mean), torch.ones_like(toy.mean))
        affine = AffineTransform(toy.mean, toy.log_deviation.exp(), cache_size=cache)
        torch.manual_seed(0)
        evidence = toy.evidence(draws=3, posterior=Independent(TransformedDistribution(standard, affine), 1))
        made.append(gradients(Dreg(3).encoder(evidence), toy.encoder))
    assert made[0][0].abs().max() > 0.01
    for plain, cached in zip(*made, strict=True):
        np.testing.assert_allclose(cached, plain, rtol=1e-9)


def test_the_decoder_keeps_the_iwae_bound_which_the_encoder_observes():
    toy = Toy()
    evidence = toy.evidence(draws=3)
    bound = Iwae(3)(evidence)
    decoder, encoder = Dreg(3).decoder(evidence), Dreg(3).encoder(evidence)
    np.testing.assert_allclose(decoder.terms["nll_bound"].detach(), bound.terms["nll_bound"].detach())
    np.testing.assert_allclose(encoder.observed["nll_bound"], bound.terms["nll_bound"].detach())
    assert not any(seen.requires_grad for seen in encoder.observed.values())
    for got, expected in zip(gradients(decoder, toy.decoder), gradients(bound, toy.decoder), strict=True):
        np.testing.assert_allclose(got, expected)


def test_the_surrogate_moves_no_decoder():
    toy = Toy()
    assert gradients(Dreg(3).encoder(toy.evidence(draws=3)), toy.decoder) == (None, None)


def test_refuses_by_name():
    assert Dreg(2).split
    with pytest.raises(UserError, match="Dreg: draws=0"):
        Dreg(0)
    with pytest.raises(UserError, match="model=split_vae"):
        Dreg(2)(Toy().evidence(draws=2))
