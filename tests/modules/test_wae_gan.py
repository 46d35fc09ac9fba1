"""WAE-GAN: what encoder and decoder minimise together, by hand."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from contracts.cases import Case
from duogen.errors import UserError
from duogen.modules.wae_gan import WaeGan
from duogen.networks.posteriors.gaussian import GaussianPosterior
from duogen.ramp import Linear
from modules.adversaries import batch, built, log_sigmoid
from modules.resumed import EVERY, check_resume

SMALL = ("model=wae_gan", "data=digits", "latent_dim=3", "encoder.width=6", "decoder.width=6", "logger=none",
         "discriminator.width=5", "discriminator.depth=1", "data.batch_size=8", "trainer=cpu")  # fmt: skip


def test_one_loss_of_the_cost_and_lambda_times_the_deceit():
    module, examples = built(kind=WaeGan, weight=7.0), batch()
    loss = module.loss(examples)
    fake = module.discriminator(module.codes(examples))
    assert list(loss.terms) == ["distortion", "adversarial"]
    np.testing.assert_allclose(loss.terms["adversarial"].detach(), -log_sigmoid(fake), rtol=1e-5)
    assert_close(loss.terms["distortion"], module.evidence_of(examples).distortion)
    total = loss.terms["distortion"].sum() + 7 * loss.terms["adversarial"].sum()
    assert_close(loss.weighted(loss.sums()), total)


def test_the_codes_that_are_decoded_are_those_that_are_judged():
    module, examples = built(kind=WaeGan, weight=7.0, posterior=GaussianPosterior), batch()
    torch.manual_seed(3)
    evidence = module.evidence_of(examples)
    torch.manual_seed(3)
    assert_close(module.loss(examples).terms["adversarial"], module.deceit(evidence.code[0]))


def test_it_has_two_players_and_lambda_reaches_encoder_and_no_decoder():
    module = built(kind=WaeGan, weight=7.0)
    assert list(module.players) == list(module.objectives) == ["autoencoder", "discriminator"]
    module.loss(batch()).terms["adversarial"].sum().backward()
    assert all(p.grad.abs().max() > 0 for p in module.autoencoder.posterior.parameters())
    assert all(p.grad is None for p in module.autoencoder.generation.parameters())


def test_lambda_may_be_a_function_of_the_step():
    module = built(kind=WaeGan, weight=Linear(0.0, 8.0, 0, 4))
    module.step = 1
    assert module.loss(batch()).weights == {"adversarial": 2.0}


@pytest.mark.parametrize("weight", [-1.0, float("inf"), float("nan")])
def test_refuses_a_weight_out_of_range(weight):
    with pytest.raises(UserError, match="WaeGan: weight="):
        built(kind=WaeGan, weight=weight)


def test_a_resumed_run_equals_the_whole_one(tmp_path):
    check_resume(Case("wae_gan", SMALL).config(*EVERY), tmp_path, [1, 7])
