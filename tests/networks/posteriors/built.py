"""Posteriors and priors as their YAMLs say, but small, and points on which to integrate their densities."""

import math

import torch
import yaml
from omegaconf import OmegaConf

from duogen import resolvers
from duogen.conftree import conf_dir
from duogen.experiment.build import build
from duogen.objectives.variational.evidence import Evidence

SMALL = {"width": 6, "steps": 3, "components": 4, "std": 0.7, "mean": 0.1}
SPHERICAL = {"von_mises_fisher"}
OTHERWISE = {"point", "hierarchical"}  # one has no density, the other codes of two layers; tested beside their sources


def stems(role):
    """The options of a role, of one layer of random codes."""
    return sorted({path.stem for path in (conf_dir() / role).glob("*.yaml")} - OTHERWISE)


def pairs():
    """Every posterior with every prior that has its support."""
    on_sphere = SPHERICAL | {"hypersphere"}
    made_of_posteriors = {"vamp"}
    return [
        (posterior, prior)
        for posterior in stems("posterior")
        for prior in stems("prior")
        if prior in made_of_posteriors or (posterior in on_sphere) == (prior in on_sphere)
    ]


def option(role, stem):
    node = yaml.safe_load((conf_dir() / role / f"{stem}.yaml").read_text(encoding="utf-8"))
    return {key: SMALL.get(key, value) for key, value in node.items()}


def built(posterior="gaussian", prior="standard", latent_dim=2, classes=None, shape=(2,)):
    """The two, for examples of two numbers, with an encoder of five features."""
    resolvers.register()
    torch.manual_seed(3)
    options = {"encoder": "mlp", "posterior": posterior, "prior": prior}
    top = {"latent_dim": latent_dim, "classes": classes, "data": {"shape": list(shape)}}
    node = OmegaConf.create({**top, **{role: option(role, stem) for role, stem in options.items()}})
    node.encoder.width = 5
    resolved = OmegaConf.to_container(node, resolve=True)
    return build(resolved["posterior"]), build(resolved["prior"])


def examples(count=2):
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(5))


def said(posterior, prior, draws, labels=None):
    """What a posterior and a prior say of two examples."""
    q = posterior(examples(), labels)
    code = q.rsample((draws,))
    return Evidence(q, prior(posterior), code, torch.zeros(code.shape[:2]), 100, 0, lambda codes: codes.sum(-1), q, [])


def plane(reach=9.0, points=181):
    """Points (P, 1, 2) of a square around 0, and the area of each."""
    line = torch.linspace(-reach, reach, points)
    return torch.cartesian_prod(line, line)[:, None], (line[1] - line[0]).item() ** 2


def circle(points=720):
    """Points (P, 1, 2) of the unit circle, and the length of each."""
    angle = torch.arange(points) * (2 * math.pi / points)
    return torch.stack([angle.cos(), angle.sin()], -1)[:, None], 2 * math.pi / points


def ground(stem):
    return circle() if stem in SPHERICAL | {"hypersphere"} else plane()
