"""Training a small classifier once, keeping it, and giving it to the extractors that ask for it."""

import multiprocessing
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from duogen.compose import compose
from duogen.data.splits import Split
from duogen.errors import UserError
from duogen.experiment import classifier
from duogen.experiment.build import build
from duogen.experiment.classifier import (
    RECIPE,
    Recipe,
    accuracy,
    ensure,
    fill,
    fingerprint,
    shifted,
    ship,
    trained,
    write,
)
from duogen.metrics.lenet import SHIPPED, Lenet

CPU = torch.device("cpu")
CONFIG = {"trainer": {"accelerator": "cpu"}}
SHORT = Recipe(batch_size=16, epochs=2, least_steps=30, peak=0.01, shifts=6, seed=0)


def stripes(count, seed):
    """Grey 6x7 images: class 0 is bright on the left, class 1 on top, class 2 nowhere; as bytes, with noise."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 60, (count, 1, 6, 7), generator=generator)
    labels = torch.arange(count) % 3
    values[labels == 0, :, :, :3] += 150
    values[labels == 1, :, :3] += 150
    return Split(values.byte(), labels)


def made(seed=0, labels=True, classes=3):
    splits = {"train": stripes(45, seed), "validate": stripes(7, 8), "test": stripes(20, 9)}
    if not labels:
        splits = {name: Split(split.values, None) for name, split in splits.items()}
    return SimpleNamespace(shape=(1, 6, 7), classes=classes if labels else None, splits=splits)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DUOGEN_CACHE", str(tmp_path))
    return tmp_path / "classifiers"


@pytest.fixture
def written(monkeypatch):
    """The paths of the classifiers that were trained."""
    paths = []

    def counted(path, data, recipe, device):
        paths.append(path)
        return write(path, data, recipe, device)

    monkeypatch.setattr(classifier, "write", counted)
    return paths


def test_learns_from_the_training_split():
    data = made()
    network = trained(data, SHORT, CPU)
    assert not network.training
    assert accuracy(network, data.splits["test"], CPU) >= 0.9


def test_accuracy_is_the_share_of_right_labels():
    network, split = trained(made(), SHORT, CPU), stripes(620, 3)
    with torch.no_grad():
        right = network(split.examples().values).logits.argmax(1) == split.labels
    wrong = Split(split.values, torch.where(torch.arange(620) < 155, (split.labels + 1) % 3, split.labels))
    assert right.all()
    assert accuracy(network, split, CPU) == 1
    assert accuracy(network, wrong, CPU) == 0.75


def test_is_a_function_of_training_split_and_recipe_alone():
    torch.manual_seed(1)
    first = trained(made(), SHORT, CPU).state_dict()
    other = made()
    other.splits["test"] = other.splits["validate"] = stripes(5, 99)
    torch.manual_seed(2)
    second = trained(other, SHORT, CPU).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    third = trained(made(), replace(SHORT, seed=1), CPU).state_dict()
    assert not torch.equal(first["output.weight"], third["output.weight"])


def test_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    trained(made(), SHORT, CPU)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("epochs", "least", "steps"), [(3, 2, 6), (1, 5, 5)])
def test_takes_so_many_epochs_but_at_least_so_many_steps(monkeypatch, epochs, least, steps):
    taken = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self, *a: taken.append(step(self, *a)))
    trained(made(), Recipe(batch_size=20, epochs=epochs, least_steps=least), CPU)
    assert len(taken) == steps


def test_data_without_labels_are_refused(folder):
    for refused in (lambda: trained(made(labels=False), SHORT, CPU), lambda: ensure(CONFIG, made(labels=False))):
        with pytest.raises(UserError) as refusal:
            refused()
        assert "extractor=pixels" in refusal.value.remedy
    assert list(folder.glob("*.pt")) == []


@pytest.mark.parametrize("most", [0, 2])
def test_shifts_move_each_image_and_repeat_the_border(most):
    values = torch.randn(40, 2, 5, 4, generator=torch.Generator().manual_seed(1))
    found = shifted(values, most, torch.Generator().manual_seed(2))
    places = set()
    for image, moved in zip(values.numpy(), found.numpy(), strict=True):
        padded = np.pad(image, ((0, 0), (most, most), (most, most)), mode="edge")
        fits = [
            (top, left)
            for top in range(2 * most + 1)
            for left in range(2 * most + 1)
            if np.array_equal(padded[:, top : top + 5, left : left + 4], moved)
        ]
        assert len(fits) == 1
        places.add(fits[0])
    assert {top for top, _ in places} == {left for _, left in places} == set(range(2 * most + 1))


def test_the_file_holds_rounded_weights_and_their_facts(tmp_path):
    data = made()
    facts = write(tmp_path / "own.pt", data, SHORT, CPU)
    content = torch.load(tmp_path / "own.pt", weights_only=True)
    state = content.pop("state")
    assert content == facts
    assert facts["data_sha256"] == fingerprint(data.splits["train"])
    assert (facts["shape"], facts["classes"], facts["recipe"]) == ([1, 6, 7], 3, asdict(SHORT))
    assert {value.dtype for value in state.values()} == {torch.float16, torch.int64}
    extractor = Lenet([1, 6, 7], 3, str(tmp_path / "own.pt"))
    test = data.splits["test"]
    right = extractor(test.examples().values).logits.argmax(1) == test.labels
    assert extractor.protocol()["accuracy"] == pytest.approx(right.float().mean().item())


def test_fingerprint_follows_values_labels_and_shapes():
    split = stripes(6, 0)
    other = split.values.clone()
    other[5, 0, 5, 6] ^= 1
    different = [
        Split(other, split.labels),
        Split(split.values, split.labels.flip(0)),
        Split(split.values, None),
        Split(split.values.view(6, 1, 7, 6), split.labels),
        Split(split.values.float(), split.labels),
    ]
    assert len({fingerprint(each) for each in [split, *different]}) == 6
    assert fingerprint(stripes(6, 0)) == fingerprint(split)


def test_own_data_get_one_trained_and_kept(folder, written):
    path = ensure(CONFIG, made(), SHORT)
    assert path == folder / f"{fingerprint(made().splits['train'])[:16]}.pt"
    content = path.read_bytes()
    assert ensure(CONFIG, made(), SHORT) == path
    assert path.read_bytes() == content
    assert len(written) == 1
    assert ensure(CONFIG, made(seed=5), SHORT) != path
    assert len(written) == 2


def test_a_damaged_file_is_made_anew(folder, written):
    path = ensure(CONFIG, made(), SHORT)
    path.write_bytes(path.read_bytes()[:100])
    assert ensure(CONFIG, made(), SHORT) == path
    assert Lenet([1, 6, 7], 3, str(path)).protocol()["accuracy"] > 0
    assert len(written) == 2


def test_a_file_of_another_recipe_is_made_anew(folder):
    data = made()
    path = folder / f"{fingerprint(data.splits['train'])[:16]}.pt"
    write(path, data, replace(SHORT, least_steps=10), CPU)
    assert ensure(CONFIG, data, SHORT) == path
    assert torch.load(path, weights_only=True)["recipe"] == asdict(SHORT)


def run_once(queue):
    queue.put(ensure(CONFIG, made(), SHORT).stat().st_mtime_ns)


def test_of_two_processes_one_trains(folder):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=run_once, args=(queue,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    times = {queue.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join()
    assert len(times) == 1


def test_digits_use_the_shipped_file(folder):
    config = compose(["data=digits"]).config
    assert ensure(CONFIG, build(config["data"])) == SHIPPED / "digits.pt"
    assert not folder.exists()


@pytest.mark.parametrize("change", ["data.validate_size=299", "data.split_seed=1"])
def test_a_shipped_file_serves_its_own_training_split_only(folder, written, change):
    config = compose(["data=digits", change]).config
    assert ensure(CONFIG, build(config["data"]), SHORT).parent == folder
    assert len(written) == 1


def test_shipped_files_were_made_with_the_recipe():
    for path in SHIPPED.glob("*.pt"):
        assert torch.load(path, weights_only=True)["recipe"] == asdict(RECIPE)


def test_ship_trains_on_a_composed_configs_data(tmp_path):
    config = compose(["data=digits"]).config
    facts = ship(config, tmp_path / "digits.pt", replace(SHORT, least_steps=1, epochs=0))
    assert facts["data_sha256"] == fingerprint(build(config["data"]).splits["train"])
    assert Lenet([1, 8, 8], 10, str(tmp_path / "digits.pt")).protocol()["accuracy"] == facts["accuracy"]


def test_fill_replaces_auto_wherever_a_metric_has_it(folder):
    own = {"_target_": "duogen.metrics.lenet.Lenet", "shape": [1, 6, 7], "classes": 3, "weights": "auto"}
    named, other = own | {"weights": "mnist"}, {"_target_": "duogen.metrics.pixels.Pixels", "weights": "auto"}
    config = CONFIG | {"extractor": own, "metrics": {"a": {"extractor": own}, "b": [named, other, 3, "auto"]}}
    path = str(ensure(CONFIG, made(), SHORT))
    filled = fill(config, made(), SHORT)
    assert filled["metrics"]["a"]["extractor"] == own | {"weights": path}
    assert filled["metrics"]["b"] == [named, other, 3, "auto"]
    assert filled["trainer"] == config["trainer"]
    assert config["metrics"]["a"]["extractor"]["weights"] == "auto"
    assert build(filled["metrics"]["a"]["extractor"]).protocol()["accuracy"] > 0


def test_fill_trains_nothing_where_nothing_asks_for_it(folder):
    unused = {"_target_": "duogen.metrics.lenet.Lenet", "shape": [1, 6, 7], "classes": 3, "weights": "auto"}
    config = CONFIG | {"extractor": unused, "metrics": {"a": {"_target_": "duogen.metrics.mixture.MixtureModes"}}}
    assert fill(config, made(labels=False)) == config
    assert not folder.exists()
