import inspect
import warnings
from importlib import import_module
from itertools import islice
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import yaml
from torch import nn

from duogen.data.examples import ExamplesData
from duogen.data.order import permutation
from duogen.data.splits import Split
from duogen.data.transforms import Transform
from duogen.errors import UserError

CONF = Path(__file__).parents[2] / "conf" / "data"


class Numbers(ExamplesData):
    """Seventeen training vectors [i, -i] with label i % 3, and the same for evaluation."""

    loads = 0

    def load(self):
        self.loads += 1
        values = torch.stack([torch.arange(17.0), -torch.arange(17.0)], 1)
        split = Split(values, torch.arange(17) % 3)
        return {"train": split, "validate": split.part(0, 7), "test": split.part(0, 5)}


class Jitter(Transform):
    draws = 2

    def __call__(self, values, uniform):
        return values + uniform / 2


class Jittered(Numbers):
    def __init__(self, **arguments):
        super().__init__(**arguments, transforms=[Jitter()])


class OnDisk(Numbers):
    """Not for the device, though there are no workers."""

    resident = False


def numbers(kind=Numbers, workers=0, batch_size=4, **changes):
    return kind(**({"shape": [2], "classes": 3, "batch_size": batch_size, "workers": workers, "seed": 1} | changes))


class Watcher(pl.LightningModule):
    """Trains one weight and notes every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.trained, self.validated, self.tested = [], [], []

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def training_step(self, batch, batch_idx):
        self.trained.append(batch.values)
        return (self.weight - batch.values.mean()) ** 2

    def validation_step(self, batch, batch_idx):
        self.validated.append(batch.labels)

    def test_step(self, batch, batch_idx):
        self.tested.append(batch.labels)


def lightning(tmp_path, steps, **options):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return pl.Trainer(max_steps=steps, default_root_dir=tmp_path, **(quiet | {"num_sanity_val_steps": 0} | options))


@pytest.fixture(autouse=True)
def _no_warnings_of_lightning():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def values(stream, n):
    return torch.cat([batch.values for batch in islice(stream, n)])


def test_setup_loads_once_and_nothing_needs_it():
    data = numbers()
    assert next(data.stream(0)).count == 4
    data.prepare_data()
    data.setup()
    data.setup("fit")
    assert data.loads == 1


@pytest.mark.parametrize("kind", [Numbers, Jittered, OnDisk])
@pytest.mark.parametrize("workers", [0, 1])
def test_stream_starts_anywhere(kind, workers):
    whole = values(numbers(Numbers if kind is OnDisk else kind).stream(0), 9)
    stream = numbers(kind, workers).stream(6)
    assert torch.equal(values(stream, 3), whole[24:])


def test_transform_is_applied_to_training_alone():
    plain, jittered = numbers(), numbers(Jittered)
    difference = values(jittered.stream(0), 4) - values(plain.stream(0), 4)
    assert difference.min() > 0
    assert difference.max() < 0.5
    assert torch.equal(values(jittered.val_dataloader(), 1), values(plain.val_dataloader(), 1))


def test_extra_stream_is_independent_and_as_repeatable():
    assert not torch.equal(values(numbers().stream(0, "extra"), 4), values(numbers().stream(0), 4))
    assert torch.equal(values(numbers().stream(2, "extra"), 2), values(numbers().stream(0, "extra"), 4)[8:])


def test_streams_of_one_module_do_not_disturb_each_other():
    data = numbers()
    train, extra = data.stream(0), data.stream(0, "extra")
    alternated = [(next(train).values, next(extra).values) for _ in range(6)]
    assert torch.equal(torch.cat([pair[0] for pair in alternated]), values(numbers().stream(0), 6))
    assert torch.equal(torch.cat([pair[1] for pair in alternated]), values(numbers().stream(0, "extra"), 6))


def test_seed_decides_the_order():
    assert not torch.equal(values(numbers(seed=2).stream(0), 4), values(numbers().stream(0), 4))


def test_batch_size_is_checked_at_once():
    with pytest.raises(UserError, match="batch_size=18"):
        numbers(batch_size=18).stream(0)


def test_train_dataloader_starts_at_the_step_reached_whenever_iterated(trainer):
    data = numbers()
    loader = data.train_dataloader()
    assert torch.equal(values(loader, 2), values(data.stream(0), 2))
    data.trainer = trainer(step=5)
    assert torch.equal(values(loader, 2), values(data.stream(5), 2))


@pytest.mark.parametrize("workers", [0, 1])
def test_ranks_of_a_trainer_share_batches(trainer, workers):
    whole = next(numbers().stream(3)).values
    parts, evaluated = [], []
    for rank in range(3):
        data = numbers(workers=workers)
        data.trainer = trainer(3, rank, 3)
        parts.append(next(iter(data.train_dataloader())).values)
        evaluated += [batch.labels.tolist() for batch in data.test_dataloader()]
    assert [len(part) for part in parts] == [2, 1, 1]
    assert torch.equal(torch.cat(parts), whole)
    assert evaluated == [[0, 1, 2, 0, 1]] * 3  # every rank sees all; the module takes its own


def test_more_ranks_than_examples_in_a_batch_are_refused(trainer):
    data = numbers(batch_size=2)
    data.trainer = trainer(world=3)
    with pytest.raises(UserError, match="3 rank"):
        iter(data.train_dataloader())


def test_evaluation_batches_hold_500(monkeypatch):
    assert ExamplesData.evaluation_batch == 500
    monkeypatch.setattr(Numbers, "evaluation_batch", 3)
    assert [batch.count for batch in numbers().val_dataloader()] == [3, 3, 1]
    assert len(numbers().test_dataloader()) == 2


def test_first_training_examples():
    first = numbers().train_examples(3)
    assert first.values.tolist() == [[0, 0], [1, -1], [2, -2]]
    assert first.labels.tolist() == [0, 1, 2]
    with pytest.raises(UserError, match="18 training examples"):
        numbers().train_examples(18)


def test_training_examples_are_those_of_the_training_split():
    data = numbers()
    assert torch.equal(data.train_once.values, data.splits["train"].values)
    assert data.label_count == 3
    assert numbers(classes=None).label_count == 0


def test_evaluation_size_takes_a_fixed_random_part_of_what_is_not_for_training():
    whole, some = numbers(), numbers(evaluation_size=4, seed=9)
    assert {name: len(split) for name, split in some.splits.items()} == {"train": 17, "validate": 4, "test": 4}
    for name in ("validate", "test"):
        chosen = permutation(0, f"{name} subset", 0, len(whole.splits[name]))[:4]
        assert torch.equal(some.splits[name].values, whole.splits[name].values[chosen])
        assert torch.equal(some.splits[name].labels, whole.splits[name].labels[chosen])
    assert some.checksum() == numbers(evaluation_size=4).checksum() != whole.checksum()


def test_a_split_with_fewer_than_evaluation_size_is_used_whole():
    whole, some = numbers(), numbers(evaluation_size=6)
    assert {name: len(split) for name, split in some.splits.items()} == {"train": 17, "validate": 6, "test": 5}
    assert torch.equal(some.splits["test"].values, whole.splits["test"].values)


@pytest.mark.parametrize("size", [0, -1, 8])
def test_impossible_evaluation_sizes_are_refused(size):
    with pytest.raises(UserError, match=f"data.evaluation_size={size}"):
        numbers(evaluation_size=size).setup()


def test_batches_per_epoch_and_facts():
    assert numbers().batches_per_epoch == 4
    assert numbers().facts() == {}


def test_checksum_tells_any_change(monkeypatch):
    expected = numbers().checksum()
    assert numbers(seed=2).checksum() == expected
    changed = {name: Split(split.values, split.labels.flip(0)) for name, split in numbers().load().items()}
    monkeypatch.setattr(Numbers, "load", lambda self: changed)
    assert numbers().checksum() != expected


@pytest.mark.parametrize(("wrong", "right"), [({"shape": [3]}, "[2]"), ({"classes": 2}, "3 or more")])
def test_wrong_facts_are_refused(wrong, right):
    with pytest.raises(UserError) as refusal:
        numbers(**wrong).setup()
    assert right in refusal.value.allowed


@pytest.mark.parametrize("workers", [0, 1])
def test_lightning_resumes_the_stream_exactly(tmp_path, workers):
    whole, first, second = Watcher(), Watcher(), Watcher()
    lightning(tmp_path, 7).fit(whole, datamodule=numbers())
    trainer = lightning(tmp_path, 3)
    trainer.fit(first, datamodule=numbers(workers=workers))
    trainer.save_checkpoint(tmp_path / "3.ckpt")
    lightning(tmp_path, 7).fit(second, datamodule=numbers(workers=workers), ckpt_path=tmp_path / "3.ckpt")
    assert len(whole.trained) == 7
    assert torch.equal(torch.stack(whole.trained), torch.stack(first.trained + second.trained))
    assert torch.equal(whole.weight, second.weight)


def test_lightning_validates_and_tests(tmp_path, monkeypatch):
    monkeypatch.setattr(Numbers, "evaluation_batch", 4)
    watcher, data = Watcher(), numbers()
    trainer = lightning(tmp_path, 6, val_check_interval=3, check_val_every_n_epoch=None)
    trainer.fit(watcher, datamodule=data)
    trainer.test(watcher, datamodule=data, verbose=False)
    assert [labels.tolist() for labels in watcher.validated] == 2 * [[0, 1, 2, 0], [1, 2, 0]]
    assert [labels.tolist() for labels in watcher.tested] == [[0, 1, 2, 0], [1]]
    assert torch.equal(torch.cat(watcher.trained), values(numbers().stream(0), 6))


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_yaml_holds_exactly_the_constructors_arguments(path):
    config = yaml.safe_load(path.read_text())
    module, name = config["data"].pop("_target_").rsplit(".", 1)
    parameters = inspect.signature(getattr(import_module(module), name)).parameters
    assert list(config["data"]) == list(parameters)
    assert all(parameter.default is parameter.empty for parameter in parameters.values())
    assert path.read_text().startswith("# @package _global_\n")
    assert config["data"]["seed"] == "${seed}"


def test_all_yamls_are_there():
    images = {"digits", "mnist", "fashion_mnist", "stacked_mnist", "cifar10", "image_folder", "binarized_mnist"}
    images |= {"dynamic_mnist", "dynamic_fashion_mnist", "dsprites", "shapes2d"}
    points = {"ring", "grid", "swiss_roll", "two_moons", "checkerboard"}
    assert {path.stem for path in CONF.glob("*.yaml")} >= images | points


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_image_set_offers_transforms_and_evaluation_size(path):
    node = yaml.safe_load(path.read_text())["data"]
    offered = {name: node[name] for name in ("transforms", "evaluation_size") if name in node}
    images = {"transforms": [], "evaluation_size": None}
    assert len(node["shape"]) == 1 or offered == images
