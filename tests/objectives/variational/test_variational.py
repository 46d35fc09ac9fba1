"""What holds for every objective on disk, with every posterior on disk that it can meet."""

from functools import cache

import pytest
import torch
import yaml
from omegaconf import OmegaConf
from torch import nn

from duogen.conftree import conf_dir
from duogen.errors import UserError, require_at_least
from duogen.experiment.build import build
from duogen.objectives.variational.evidence import Evidence
from duogen.objectives.variational.variational import Variational
from duogen.ramp import Linear, require_weights
from duogen.resolvers import register
from objectives.variational.gaussian_toy import gradients, normal

ENCODER = {
    "_target_": "duogen.networks.dense.MlpEncoder",
    "shape": [4], "width": 6, "depth": 1, "activation": {"_target_": "torch.nn.Tanh"}, "classes": None,
}  # fmt: skip
AROUND = {"encoder": ENCODER, "latent_dim": 3, "data": {"shape": [4]}, "trainer": {"max_steps": 40}}
SMALL = {"width": 6, "steps": 2}
FACTORISED = {"free_bits", "beta_tcvae", "stratified_beta_tcvae"}
WITHOUT_RATE = {"distortion", "wae_mmd", "rae_l2", "rae_gp"}


def stems(role):
    return sorted(path.stem for path in (conf_dir() / role).glob("*.yaml"))


OBJECTIVES, POSTERIORS = stems("variational"), stems("posterior")
REFUSED = {
    "gaussian": set(),
    "full_gaussian": FACTORISED,
    "hierarchical": {*FACTORISED, "dip_vae_ii"},
    "von_mises_fisher": {*FACTORISED, "dip_vae_ii"},
    "point": set(OBJECTIVES) - WITHOUT_RATE,
}
FLOWS = {*FACTORISED, "dip_vae_i", "dip_vae_ii"}
PAIRS = [(objective, posterior) for posterior in POSTERIORS for objective in OBJECTIVES]
MET = [pair for pair in PAIRS if pair[0] not in REFUSED.get(pair[1], FLOWS)]


@cache
def node(role, stem):
    register()
    option = yaml.safe_load((conf_dir() / role / f"{stem}.yaml").read_text(encoding="utf-8"))
    option |= {name: size for name, size in SMALL.items() if name in option}
    return OmegaConf.to_container(OmegaConf.create({**AROUND, role: option}), resolve=True)[role]


def built(role, stem):
    torch.manual_seed(0)
    return build(node(role, stem))


def said(objective, posterior, decoder, prior="standard", device="cpu"):
    """The evidence of 5 examples of 4 values, codes of 3 dimensions."""
    examples = torch.linspace(-1, 1, 20, device=device).view(5, 4)
    q = posterior(examples)
    code = q.rsample(torch.Size([objective.draws]))

    def decoded(codes):
        return normal(decoder(codes), torch.ones(4, device=device))

    def explain(codes):
        return decoded(codes).log_prob(examples)

    p = built("prior", prior).to(device)(posterior)
    return Evidence(q, p, code, explain(code), 50, 7, explain, decoded(code), lambda: tuple(decoder.parameters()))


def sides(objective, evidence, encoder, decoder):
    """Each loss and whose it is."""
    if objective.split:
        return [(objective.encoder(evidence), encoder), (objective.decoder(evidence), decoder)]
    return [(objective(evidence), encoder + decoder)]


def parts(objective, posterior):
    return built("variational", objective), built("posterior", posterior), nn.Linear(3, 4)


def test_all_were_found():
    assert len(OBJECTIVES) >= 18
    assert len(POSTERIORS) >= 8
    assert len(MET) >= 100


@pytest.mark.parametrize(("name", "posterior"), MET)
def test_losses_and_gradients_are_finite(name, posterior):
    objective, encoder, decoder = parts(name, posterior)
    prior = "hypersphere" if posterior == "von_mises_fisher" else "standard"
    evidence = said(objective, encoder, decoder, prior)
    for loss, parameters in sides(objective, evidence, list(encoder.parameters()), list(decoder.parameters())):
        assert loss.count == 5
        assert all(term.shape in ((5,), ()) and term.isfinite().all() for term in loss.terms.values())
        assert all(seen.shape == (5,) and not seen.requires_grad for seen in loss.observed.values())
        assert set(loss.weights) <= set(loss.terms)
        for gradient in gradients(loss, parameters):
            assert gradient.isfinite().all()
        assert any((gradient != 0).any() for gradient in gradients(loss, parameters))


@pytest.mark.parametrize(("name", "posterior"), [pair for pair in PAIRS if pair not in MET])
def test_others_are_refused_in_words(name, posterior):
    objective, encoder, decoder = parts(name, posterior)
    evidence = said(objective, encoder, decoder, "hypersphere" if posterior == "von_mises_fisher" else "standard")
    with pytest.raises(UserError, match=r"gaussian|group=null"):
        sides(objective, evidence, list(encoder.parameters()), list(decoder.parameters()))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_no_value_is_asked_of_the_device(name):
    """Tensors without values would refuse: no branch on one, no copy to the host."""
    objective, encoder, decoder = parts(name, "gaussian")
    evidence = said(objective, encoder.to("meta"), decoder.to("meta"), device="meta")
    for loss, parameters in sides(objective, evidence, list(encoder.parameters()), list(decoder.parameters())):
        assert loss.weighted(loss.sums()).device.type == "meta"
        assert all(gradient is not None for gradient in gradients(loss, parameters))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_split_says_which_model(name):
    objective, encoder, decoder = parts(name, "gaussian")
    assert objective.split == (name in {"dreg", "piwae"})
    if objective.split:
        with pytest.raises(UserError, match="model=split_vae"):
            objective(said(objective, encoder, decoder))


@pytest.mark.parametrize(
    ("name", "values"), [("warmup", {0: 0.0, 10: 10 / 21, 40: 1.0}), ("cyclical", {2: 4 / 11, 10: 1.0, 13: 4 / 11})]
)
def test_annealed_weights_follow_the_length_of_the_run(name, values):
    """Of 40 steps, by step: a rise over 21 of them, or cycles of 11."""
    beta = built("variational", name).beta
    assert {step: beta(step) for step in values} == pytest.approx(values)


def test_each_side_of_an_undivided_objective_minimises_the_whole_loss():
    objective, encoder, decoder = parts("elbo", "gaussian")
    evidence = said(objective, encoder, decoder)
    whole = objective(evidence).terms
    assert objective.encoder(evidence).terms == whole
    assert objective.decoder(evidence).terms == whole
    assert isinstance(objective, Variational)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_are_refused_by_name(weight):
    with pytest.raises(UserError, match=f"Elbo: weight={weight}"):
        require_weights("Elbo", weight=weight)


def test_ramps_and_sizes():
    require_weights("Elbo", weight=Linear(-1.0, 1.0, 0, 8), other=0.0)
    require_at_least(2, "Elbo", first=2, last=3)
    with pytest.raises(UserError, match="Elbo: last=1"):
        require_at_least(2, "Elbo", first=2, last=1)
