import platform
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest

from duogen.experiment import doctor as subject
from duogen.experiment.doctor import Check, declared, doctor, versions

NEEDED = ["torch<3,>=2.11", "pytorch-lightning<2.7,>=2.6.6", "rich>=14", "ruff>=0.15; extra == 'dev'"]
GOOD = {"torch": "2.13.0+cpu", "pytorch-lightning": "2.6.6", "rich": "15.0.0"}


def fine(**planted: str | None) -> dict[str, bool | None]:
    found = GOOD | {name.replace("_", "-"): version for name, version in planted.items()}
    return {check.name: check.fine for check in versions(NEEDED, found.get)}


def test_tested_versions_are_fine_and_extras_are_not_asked_for():
    assert fine() == {"torch": True, "pytorch-lightning": True, "rich": True}


@pytest.mark.parametrize(
    ("planted", "bad"),
    [
        ({"torch": "2.10.4"}, "torch"),
        ({"torch": "3.0.0"}, "torch"),
        ({"pytorch_lightning": "2.7.0"}, "pytorch-lightning"),
        ({"rich": None}, "rich"),
        ({"lightning": "2.6.2"}, "lightning"),
        ({"lightning": "2.6.3"}, "lightning"),
        ({"lightning": "2.5.0"}, "lightning"),
    ],
)
def test_a_planted_bad_version_is_flagged_alone(planted, bad):
    assert [name for name, verdict in fine(**planted).items() if verdict is False] == [bad]


@pytest.mark.parametrize("planted", [{"torch": "2.14.0.dev20261101+cu130"}, {"lightning": "2.6.6"}])
def test_newer_versions_within_the_range_pass(planted):
    assert False not in fine(**planted).values()


@pytest.mark.parametrize(
    ("package", "version", "reason"),
    [
        ("lightning", "2.6.2", "credentials"),
        ("lightning", "2.6.3", "credentials"),
        ("lightning", "2.6.5", "run code"),
        ("pytorch-lightning", "2.6.5", "run code"),
    ],
)
def test_a_version_known_to_be_bad_is_named_with_its_reason(package, version, reason):
    checks = {check.name: check for check in versions(NEEDED, (GOOD | {package: version}).get)}
    assert checks[package].found == version
    assert reason in checks[package].wanted


def test_the_range_is_that_of_the_project():
    checks = {check.name: check for check in declared(GOOD.get, "3.11.7")}
    assert checks["pytorch-lightning"] == Check("pytorch-lightning", "2.6.6", ">=2.6.6, <2.7", True)
    assert checks["python"].fine is True
    assert checks["wandb"] == Check("wandb", "not installed", checks["wandb"].wanted, False)


@pytest.mark.parametrize("python", ["3.10.14", "3.14.0"])
def test_python_has_a_range_too(python):
    assert declared(GOOD.get, python)[0].fine is False


def test_a_source_that_was_never_installed_is_told_so(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(subject, "requires", missing)
    (check,) = declared(GOOD.get, "3.11.7")
    assert (check.name, check.fine) == ("duogen", False)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path / "sets"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(subject, "requires", lambda name: NEEDED)
    monkeypatch.setattr(subject, "metadata", lambda name: {"Requires-Python": f"=={platform.python_version()}"})
    monkeypatch.setattr(subject, "installed", GOOD.get)
    return tmp_path


def lines(text: str) -> dict[str, str]:
    names = ("torch", "processor", "ranks", "data folder", "data mnist", "data digits", "W&B")
    return {name: line for line in text.splitlines() for name in names if line[6:].startswith(f"{name} ")}


def test_the_report_of_a_good_machine_ends_with_0(machine, capsys):
    assert doctor() == 0
    shown = capsys.readouterr().out
    found = lines(shown)
    assert found["torch"].split() == ["ok", "torch", "2.13.0+cpu", ">=2.11,", "<3"]
    assert str(machine / "sets") in found["data folder"]
    assert "duogen data fetch mnist" in found["data mnist"]
    assert "no download needed" in found["data digits"]
    assert "gloo" in found["ranks"]
    assert "no login" in found["W&B"]
    assert shown.endswith("All is as tested.\n")


def test_the_report_of_a_bad_machine_ends_with_1_and_names_what_is_wrong(machine, capsys, monkeypatch):
    monkeypatch.setattr(subject, "installed", (GOOD | {"lightning": "2.6.3", "rich": "13.9.4"}).get)
    assert doctor() == 1
    assert capsys.readouterr().out.endswith("Outside what is tested: rich, lightning.\n")


def test_a_login_and_a_mode_are_told(machine, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert subject.login() == Check("W&B", "logged in", "WANDB_MODE=offline")


def test_every_accelerator_has_a_line(monkeypatch):
    import torch

    cards = [SimpleNamespace(name=f"Card {n}", total_memory=n * 2**30, major=n) for n in (7, 8)]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", cards.__getitem__)
    found = {check.name: check.found for check in subject.devices()}
    assert found["cuda:0"] == "Card 7, 7 GiB, no bf16"
    assert found["cuda:1"] == "Card 8, 8 GiB, bf16 in hardware"
    assert "accelerator" not in found
