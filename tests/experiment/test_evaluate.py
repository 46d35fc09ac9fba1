"""A checkpoint is all that evaluate and sample need, and nothing that it holds is executed."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
import torch

from contracts.cases import MLP, SMALL
from duogen.cli import main
from duogen.experiment.evaluate import restored
from duogen.experiment.folder import RunFolder

RING = [*SMALL, *MLP, "latent_dim=3", "budget.steps=6", "log_every=6", "optimizers.generator.ema.decay=0.9"]


@dataclass(frozen=True)
class Trained:
    """A checkpoint whose run is gone, and the values that the run measured."""

    checkpoint: Path
    metrics: list[dict]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("run") / "run")
    assert main(["train", *RING, f"run_dir={folder.path}"]) == 0
    record = folder.record()
    copy = tmp_path_factory.mktemp("elsewhere") / "model.ckpt"
    shutil.copy(folder.last, copy)
    shutil.rmtree(folder.path)
    return Trained(copy, [asdict(value) for value in record.metrics])


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


FRESH = """
import sys
from duogen.cli import main
checkpoint = f"checkpoint={sys.argv[1]}"
assert main(["evaluate", checkpoint, "out=found.json"]) == 0
assert main(["sample", checkpoint, "n=20", "seed=5"]) == 0
assert main(["sample", checkpoint, "n=7", "out=deep/down.npy"]) == 0
"""


def test_a_fresh_process_measures_and_draws_the_same_from_the_file_alone(trained, tmp_path, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", FRESH, trained.checkpoint], cwd=empty, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "modes_found" in done.stdout
    assert json.loads((empty / "found.json").read_text()) == trained.metrics
    assert {metric["weights"] for metric in trained.metrics} == {"ema", "real"}
    written = {str(path.relative_to(empty)) for path in empty.rglob("*") if path.is_file()}
    assert written == {"found.json", "samples.png", "deep/down.npy"}
    assert main(["sample", f"checkpoint={trained.checkpoint}", "n=20", "seed=5", "out=again.png"]) == 0
    assert (tmp_path / "again.png").read_bytes() == (empty / "samples.png").read_bytes()
    assert main(["sample", f"checkpoint={trained.checkpoint}", "n=7", "out=again.npy"]) == 0
    assert (tmp_path / "again.npy").read_bytes() == (empty / "deep" / "down.npy").read_bytes()


def test_an_average_that_has_not_begun_is_not_used(tmp_path):
    late = [*RING[:-1], "optimizers.generator.ema.decay=0.9", "optimizers.generator.ema.start=100"]
    assert main(["train", *late, "run_dir=late"]) == 0
    assert {value.weights for value in RunFolder(tmp_path / "late").record().metrics} == {"raw", "real"}
    module, _ = restored(tmp_path / "late" / "checkpoints" / "last.ckpt", ())
    assert module.averaged("generator") is module.players["generator"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["truncation=0"], "truncation=0.0"),
        (["truncation=wide"], "truncation=wide"),
        (["truncation="], "a number"),
        (["psi=2"], "0 to 1.5"),
        (["psi=0.5"], "MlpGenerator maps no noise to styles"),
        (["standing=0"], "standing=0"),
        (["standing=1.5"], "a whole number"),
        (["standing=4"], "no batch norm"),
        (["steps=4"], "truncation=..."),
    ],
)
def test_manners_that_make_no_sense_are_refused(settings, named, trained, tmp_path, capsys):
    assert main(["evaluate", f"checkpoint={trained.checkpoint}", "out=found.json", *settings]) == 2
    shown = capsys.readouterr()
    assert named in shown.err
    assert (shown.out, list(tmp_path.iterdir())) == ("", [])


def test_the_metrics_cannot_take_the_place_of_a_folder(trained, tmp_path, capsys):
    assert main(["evaluate", f"checkpoint={trained.checkpoint}", f"out={tmp_path}"]) == 2
    assert "metrics.json" in capsys.readouterr().err


class Bomb:
    """Unpickling it makes a folder."""

    def __reduce__(self):
        return (os.mkdir, ("canary",))


def saved(content, path="broken.ckpt"):
    torch.save(content, path)


def with_config(content, *places, **values):
    node = content["config"]
    for place in places:
        node = node[place]
    node.update(values)
    return content


def test_a_manner_changes_generated_values_alone_and_stands_in_their_protocol(trained, capsys):
    saved(with_config(torch.load(trained.checkpoint, weights_only=True), "metrics", "mixture_modes", std=0.3))
    plain, narrow = (evaluated(*settings) for settings in ((), ("truncation=0.25",)))
    assert "truncation=0.25" in capsys.readouterr().out
    changed = [now["value"] != before["value"] for now, before in zip(narrow, plain, strict=True)]
    assert any(changed)
    for now, before, differs in zip(narrow, plain, changed, strict=True):
        stated = {"truncation": 0.25} if before["weights"] != "real" else {}
        assert stated or not differs
        assert now["protocol"] == {**before["protocol"], **stated}


def evaluated(*settings):
    assert main(["evaluate", "checkpoint=broken.ckpt", "out=found.json", *settings]) == 0
    return json.loads(Path("found.json").read_text())


BROKEN = {
    "bomb": lambda good: saved(Bomb()),
    "bomb in a field": lambda good: saved(good | {"extras": Bomb()}),
    "old format bomb": lambda good: torch.save({"a": Bomb()}, "broken.ckpt", _use_new_zipfile_serialization=False),
    "function": lambda good: saved(good | {"extras": os.mkdir}),
    "module": lambda good: saved(torch.nn.Linear(2, 3)),
    "state dict": lambda good: saved(good["module"]),
    "tensor": lambda good: saved(torch.zeros(3)),
    "one field too many": lambda good: saved(good | {"_instantiator": "os.mkdir"}),
    "lightning": lambda good: saved(
        {"pytorch-lightning_version": "2.6.6", "state_dict": {}, "hyper_parameters": {"_class_path": "os.mkdir"}}
    ),
    "one field missing": lambda good: saved({name: value for name, value in good.items() if name != "rows"}),
    "other format": lambda good: saved(good | {"format": 99}),
    "no config": lambda good: saved(good | {"config": None}),
    "empty config": lambda good: saved(good | {"config": {}}),
    "no optimizers": lambda good: saved(with_config(good, optimizers={})),
    "no weights": lambda good: saved(good | {"module": {}}),
    "weights of another kind": lambda good: saved(good | {"module": [1, 2]}),
    "other weights": lambda good: saved(with_config(good, "model", "generator", width=9)),
    "instantiator": lambda good: saved(with_config(good, "model", _instantiator="os.mkdir")),
    "class path": lambda good: saved(with_config(good, "data", _class_path="os.mkdir")),
    "partial": lambda good: saved(with_config(good, "optimizer", _partial_=True)),
    "text": lambda good: Path("broken.ckpt").write_text("import os; os.mkdir('canary')\n" * 9),
    "empty": lambda good: Path("broken.ckpt").touch(),
    "folder": lambda good: Path("broken.ckpt").mkdir(),
    "nothing": lambda good: None,
}


@pytest.mark.parametrize("command", ["evaluate", "sample"])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_or_dangerous_checkpoint_is_refused_in_one_sentence(kind, command, trained, tmp_path, capsys, recwarn):
    BROKEN[kind](torch.load(trained.checkpoint, weights_only=True))
    before = sorted(tmp_path.iterdir())
    assert main([command, "checkpoint=broken.ckpt", "out=out.png"]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("duogen: ")
    assert len(shown.err.splitlines()) == 3
    assert shown.out == ""
    assert sorted(tmp_path.iterdir()) == before
    assert not (tmp_path / "canary").exists()
    assert [str(warning.message) for warning in recwarn] == []


TARGETS = {
    "os.mkdir": {"path": "canary"},
    "posix.mkdir": {"path": "canary"},
    "os.system": {"command": "mkdir canary"},
    "subprocess.Popen": {"args": "mkdir canary", "shell": True},
    "builtins.open": {"file": "canary", "mode": "w"},
    "builtins.exec": {"source": "import os; os.mkdir('canary')"},
    "torch.load": {"f": "canary"},
    "torch.save": {"obj": 1, "f": "canary"},
    "torch.hub.load": {"repo_or_dir": "canary", "model": "x", "source": "local"},
    "numpy.save": {"file": "canary", "arr": [1]},
    "pathlib.Path.mkdir": {"self": "canary"},
    "duogen.callbacks.trackers.shutil.copy": {"src": "broken.ckpt", "dst": "canary"},
    "duogen.files.write_atomic": {"path": "canary", "content": "x"},
    "duogen.experiment.folder.RunFolder": {"path": "canary"},
    "contracts.tiny.TinyVAE": {},
}
PLACES = [(), ("model",), ("model", "generator"), ("data",), ("optimizer",), ("optimizers", "generator")]


def crafted(target):
    """Where and how a config may name a target: at the top, deep in an unused node, and in the place of a class."""
    node = {"_target_": target, **TARGETS[target]}
    yield from ((place, {"extra": node}) for place in PLACES)
    yield from ((place, {"extra": [{"deep": [node]}]}) for place in PLACES)
    yield from ((place, {"_target_": target}) for place in PLACES[1:])


@pytest.mark.parametrize("target", TARGETS)
def test_a_config_that_names_anything_else_is_refused_and_nothing_runs(target, trained, tmp_path, capsys):
    for index, (place, values) in enumerate(crafted(target)):
        saved(with_config(torch.load(trained.checkpoint, weights_only=True), *place, **values))
        for command in ["evaluate", "sample"] if index == 0 else ["evaluate"]:
            assert main([command, "checkpoint=broken.ckpt", "out=out.png"]) == 2
            assert f"_target_={target}" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.ckpt"]
