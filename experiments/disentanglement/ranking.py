"""The unsupervised disentanglement ranking of runs that differ in their seed alone, from their checkpoints."""

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from duogen.experiment import assemble
from duogen.experiment.codes import held_out
from duogen.experiment.evaluate import restored
from duogen.metrics.disentanglement.encoded import Flags, Floats
from duogen.metrics.disentanglement.udr import lasso, unsupervised_ranking
from duogen.metrics.latent import means
from duogen.modules.vae import VAE
from duogen.objectives.variational.evidence import divergences
from duogen.records import Examples

EXAMPLES = 1000
INFORMATIVE = 0.01  # nats: a dimension whose mean rate is no more says nothing


def ranking(folders: Iterable[Path]) -> list[float]:
    """UDR by lasso, in [0, 1], of each run among the others (Duan et al. 2020); none of fewer than two runs."""
    found = [encoded(folder / "checkpoints" / "last.ckpt") for folder in folders]
    if len(found) < 2:
        return []
    codes, informative = zip(*found, strict=True)
    return unsupervised_ranking(codes, informative, lasso).tolist()


def encoded(checkpoint: Path) -> tuple[Floats, Flags]:
    """The posterior means (N, Z) of the held-out examples, and which dimensions (Z,) are informative."""
    module, config = restored(checkpoint, ())
    assert isinstance(module, VAE)
    with module.inference() as model:
        posterior = model.recognised(examples(json.dumps(config["data"] | {"seed": 0})))
        rates = divergences(posterior, model.believed())
        assert rates is not None
        return means(posterior).double().numpy(), (rates.mean(0) > INFORMATIVE).numpy()


@lru_cache(maxsize=1)
def examples(node: str) -> Examples:
    """The same 1,000 examples of the test split for all models of one data set, by its config as JSON."""
    data: Any = assemble.data({"data": json.loads(node)}, ())
    data.setup()
    test = data.splits["test"]
    return held_out(test, min(EXAMPLES, len(test))).to(torch.device("cpu"))
