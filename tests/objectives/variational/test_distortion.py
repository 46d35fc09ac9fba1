import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.objectives.variational.distortion import Distortion
from objectives.variational.gaussian_toy import Toy, gradients


def test_its_only_term_is_the_distortion_over_the_draws():
    toy = Toy()
    evidence = toy.evidence(draws=4)
    loss = Distortion(draws=4)(evidence)
    errors = toy.examples.numpy() - evidence.decoded.mean.detach().numpy()
    density = -0.5 * (errors**2).sum(2) / 0.64 - 3 * np.log(0.8) - 1.5 * np.log(2 * np.pi)
    assert list(loss.terms) == ["distortion"]
    assert loss.count == 5
    np.testing.assert_allclose(loss.terms["distortion"].detach(), -density.mean(0), rtol=1e-12)


def test_it_teaches_encoder_and_decoder():
    toy = Toy()
    torch.manual_seed(0)
    found = gradients(Distortion(draws=2)(toy.evidence(draws=2)), [*toy.encoder, *toy.decoder])
    assert all(gradient.abs().max() > 0 for gradient in found)


def test_refuses_no_draw_by_name():
    with pytest.raises(UserError, match="Distortion: draws=0"):
        Distortion(draws=0)
