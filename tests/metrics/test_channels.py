import os
from pathlib import Path

import pytest
import torch

from duogen.compose import compose
from duogen.errors import UserError
from duogen.experiment.build import build
from duogen.metrics.channels import PerChannel
from metrics.fakes import Fake, normal


def test_the_joint_class_is_what_the_channels_spell():
    extractor = PerChannel(Fake(5, 4), 3)
    values = normal(6, 3, 2, 4)
    seen = extractor(values)
    single = values.flatten(2)[:, :, :4]
    digits = single.argmax(2)
    assert (extractor.classes, extractor.feature_dim) == (64, 15)
    assert torch.equal(seen.logits.argmax(1), digits @ torch.tensor([16, 4, 1]))
    assert torch.equal(seen.features, 2 * values.flatten(2)[:, :, :5].flatten(1))
    a, b, c = single.double().softmax(2).unbind(1)
    product = a[:, :, None, None] * b[:, None, :, None] * c[:, None, None, :]
    torch.testing.assert_close(seen.logits.double().softmax(1), product.flatten(1), atol=1e-6, rtol=1e-5)


def test_its_protocol_is_another():
    inner = Fake(5, 4)
    assert PerChannel(inner, 3).protocol() != PerChannel(inner, 2).protocol() != inner.protocol()


@pytest.mark.parametrize(
    ("extractor", "channels", "match"),
    [
        (Fake(5), 3, "no classes"),
        (Fake(5, 10), 6, "1 to 100000 classes"),
        (Fake(5, 10), 0, "0 channels"),
    ],
)
def test_what_cannot_be_is_refused(extractor, channels, match):
    with pytest.raises(UserError, match=match):
        PerChannel(extractor, channels)


SIZES = ["data.train_size=300", "data.validate_size=9", "data.test_size=300", "data.evaluation_size=null"]


@pytest.mark.skipif(
    not Path(os.environ.get("DUOGEN_DATA", "/nonexistent"), "mnist").is_dir(), reason="DUOGEN_DATA has no folder mnist"
)
def test_the_modes_of_stacked_digits_are_read_off_them():
    """By the shipped classifier, as the experiment has it: 300 triples against themselves, and against others."""
    config = compose(["experiment=stacked_mnist", *SIZES]).config
    splits = build(config["data"]).splits
    train, test = (splits[name].examples() for name in ("train", "test"))
    measure = build(config["metrics"])["classifier_modes"]
    measure.update(test, test)
    read = measure.collected.real.logits.argmax(1)
    assert (read == test.labels).double().mean() > 0.95
    assert measure.extractor.classes == 1000
    assert {name: value.item() for name, value in measure.compute().items()} == {
        "modes_found_lenet": len(read.unique()),
        "modes_kl_lenet": 0,
    }
    measure.reset()
    measure.update(train, test)
    shares, reals = (
        torch.bincount(side.logits.argmax(1), minlength=1000) / 300 for side in vars(measure.collected).values()
    )
    assert measure.compute()["modes_found_lenet"] == (shares > 0).sum()
    assert measure.compute()["modes_kl_lenet"].isinf() == (reals[shares > 0] == 0).any()
