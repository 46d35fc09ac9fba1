"""Law 7: two gloo ranks see the gradients of one process, end with equal networks and share one folder."""

import json

import pytest
import torch

from contracts.cases import ALLOW, Case, found
from contracts.rank_work import train_and_keep_gradients, train_and_keep_module
from duogen.experiment import crew
from duogen.experiment.folder import RunFolder
from duogen.experiment.trial import Plan

GAN_CASE = next(case for case in found() if case.name == "gan")
TWO = ("trainer=ddp_cpu",)


@pytest.mark.parametrize(
    "overrides",
    [
        ("penalty=[r1]",),
        (
            "turns=simultaneous",
            "turns.discriminator.accumulate=2",
            "turns.generator.accumulate=2",
            "data.batch_size=15",
        ),
    ],
    ids=["alternate", "accumulated and uneven"],
)
def test_gradients_equal_those_of_one_process(overrides, tmp_path):
    settings = ("optimizer=sgd", "budget.steps=6", "validate_every=100", *overrides)
    one, two = GAN_CASE.config(*settings), GAN_CASE.config(*settings, *TWO)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert train_and_keep_gradients(Plan(one, tmp_path / "one", allow=ALLOW), tmp_path / "a") == 0
    plan = Plan(two, tmp_path / "two", allow=ALLOW)
    assert crew.launch(train_and_keep_gradients, 2, plan, tmp_path / "b") == 0
    expected = torch.load(tmp_path / "a" / "gradients-0.pt").double()
    for rank in range(2):
        found = torch.load(tmp_path / "b" / f"gradients-{rank}.pt").double()
        assert found.shape == expected.shape
        assert ((found - expected).norm(dim=0) / expected.norm(dim=0)).max() <= 1e-6


def modules(config, tmp_path):
    assert crew.launch(train_and_keep_module, 2, Plan(config, tmp_path / "run", allow=ALLOW), tmp_path) == 0
    return [torch.load(tmp_path / f"module-{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("case", [case for case in found() if case.tiny], ids=lambda case: case.name)
def test_ranks_of_every_module_end_equal_and_draw_different_noise(case, tmp_path):
    a, b = modules(case.config("budget.steps=15", "log_every=5", *TWO), tmp_path)
    floating = [name for name, value in a["module"].items() if value.is_floating_point()]
    assert floating
    assert [n for n in floating if not torch.equal(a["module"][n], b["module"][n])] == []
    assert not torch.equal(a["noise"], b["noise"])


def test_batch_norm_spectral_norm_and_averages_agree_too(tmp_path):
    small = ("data=digits", "data.batch_size=8", "logger=none", "generator.width=4", "discriminator.width=4")
    case = Case("dcgan", (*small, "discriminator.spectral_norm=true", "optimizers.generator.ema.decay=0.9"))
    a, b = modules(case.config("budget.steps=6", "log_every=3", "validate_every=3", *TWO), tmp_path)
    assert any("running_mean" in name for name in a["module"])
    assert [name for name, value in a["module"].items() if not torch.equal(value, b["module"][name])] == []
    folder = RunFolder(tmp_path / "run")
    rows = [json.loads(line) for line in folder.rows.read_text().splitlines()]
    assert [row["step"] for row in rows] == [3, 6]
    assert folder.record().status == "done"
    assert len(folder.record().metrics) == 2
