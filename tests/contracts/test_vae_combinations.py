"""Every option of a VAE's roles alone, and every pair of options of what its codes go through: posterior, prior,
likelihood and objective. Two batches each under the watch of law 3, or a refusal by name; `vae_refused.yaml` is tested
both ways."""

from itertools import combinations, product
from pathlib import Path

import pytest
import torch
import yaml

from contracts.test_combinations import found, tried

COUNTS = {"posterior": 8, "prior": 6, "likelihood": 8, "variational": 19, "encoder": 5, "decoder": 10}
PAIRED = ("posterior", "prior", "likelihood", "variational")
ELSEWHERE = {"encoder=vq", "decoder=vq", "posterior=hierarchical", "prior=hierarchical", "decoder=hierarchical"}
SHARES = 8
BASE = (
    "model=vae", "data=digits", "data.batch_size=8", "trainer=cpu", "logger=none", "metrics=[]", "budget.steps=2",
    "latent_dim=3",
)  # fmt: skip
SMALL = {
    "encoder=mlp": ("encoder.width=8",),
    "encoder=conv": ("encoder.widths=[4,4]", "encoder.hidden_widths=[8]"),
    "encoder=rae": ("encoder.widths=[4,4]",),
    "decoder=conv": ("decoder.widths=[4,4]", "decoder.hidden_widths=[8]"),
    "decoder=rae": ("decoder.widths=[4,4]",),
    "prior=mixture": ("prior.components=3",),
    "prior=vamp": ("prior.components=3",),
    "likelihood=discretised_logistic_mixture": ("likelihood.components=2",),
    "variational=piwae": ("variational.outer=2", "variational.inner=2"),
}
COMPANIONS = {
    "posterior=point": ("variational=wae_mmd",),
    "posterior=von_mises_fisher": ("prior=hypersphere",),
    "prior=hypersphere": ("posterior=von_mises_fisher",),
    "variational=dreg": ("model=split_vae",),
    "variational=piwae": ("model=split_vae",),
    "variational=rae_l2": ("posterior=point",),
    "variational=rae_gp": ("posterior=point",),
}
TABLE = yaml.safe_load(Path(__file__).with_name("vae_refused.yaml").read_text(encoding="utf-8"))
REFUSED = {name: words for words, names in TABLE.items() for name in names}
OPTIONS = {role: [option for option in found(role) if option not in ELSEWHERE] for role in COUNTS}
PAIRS = [pair for one, two in combinations(PAIRED, 2) for pair in product(OPTIONS[one], OPTIONS[two])]
COMBINATIONS = [*((option,) for options in OPTIONS.values() for option in options), *PAIRS]


def overrides(chosen):
    """The overrides of a combination: what the chosen need, then the chosen themselves, small."""
    needed = [companion for option in chosen for companion in COMPANIONS.get(option, ())]
    keyed = {option.partition("=")[0]: option for option in ("encoder=mlp", "decoder=mlp", *needed, *chosen)}
    small = [setting for option in keyed.values() for setting in SMALL.get(option, ())]
    return (*BASE, *keyed.values(), *small)


@pytest.mark.parametrize("share", range(SHARES))
def test_every_combination_trains_or_is_refused_by_name(share, monkeypatch, record_property):
    torch.manual_seed(0)
    tried(COMBINATIONS[share::SHARES], overrides, REFUSED, 0.6, monkeypatch, record_property)


def test_all_that_is_on_disk_was_combined():
    assert {role: len(options) for role, options in OPTIONS.items()} == COUNTS
    assert len(COMBINATIONS) == sum(COUNTS.values()) + len(PAIRS) == 634
    assert set(REFUSED) <= {" ".join(chosen) for chosen in COMBINATIONS}
