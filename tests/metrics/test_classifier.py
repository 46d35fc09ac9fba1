import warnings
from math import exp, inf, log

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from duogen.errors import UserError
from duogen.metrics.classifier import ClassifierAccuracy, ClassifierModes, ClassifierScore
from duogen.records import Examples
from metrics.fakes import Fake, computed, labelled, normal


def certain(labels, classes=3):
    """Examples whose first values, the fake's logits, leave no doubt about their class."""
    return 100 * torch.nn.functional.one_hot(torch.tensor(labels), classes).float()


def score(generated):
    return computed(ClassifierScore(Fake(2, 3)), generated, generated)["classifier_score_fake"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([0, 1, 2], 3), ([1, 1, 1], 1), ([0, 0, 1, 1], 2), ([0, 0, 0, 1], exp(0.75 * log(4 / 3) + 0.25 * log(4)))],
)
def test_the_score_counts_classes_that_are_certain(labels, expected):
    assert score(certain(labels)) == pytest.approx(expected)


def test_doubt_scores_one():
    assert score(torch.zeros(5, 3)) == pytest.approx(1)


def test_the_score_is_that_of_numpy():
    logits = normal(20, 3)
    p = np.exp(logits.double().numpy())
    p /= p.sum(1, keepdims=True)
    assert score(logits) == pytest.approx(np.exp((p * np.log(p / p.mean(0))).sum(1).mean()), rel=1e-9)


def test_inception_gives_the_name():
    assert list(ClassifierScore(Fake(2, 3, name="inception")).facts) == ["inception_score"]


def modes(generated, real, channels=False, shape=(3,), classes=3):
    found = computed(ClassifierModes(Fake(2, classes), shape, channels), generated, real)
    return found["modes_found_fake"], found["modes_kl_fake"]


@pytest.mark.parametrize(
    ("generated", "found", "gap"),
    [
        ([0, 1, 2, 2], 3, 0.0),
        ([2, 2, 2], 1, log(2)),
        ([0, 0, 0, 1], 2, 0.75 * log(3)),
    ],
)
def test_modes_by_hand(generated, found, gap):
    """The real shares are 1/4, 1/4, 1/2."""
    assert modes(certain(generated), certain([2, 0, 1, 2])) == (found, pytest.approx(gap))


def test_a_class_that_is_not_real_is_infinitely_far():
    assert modes(certain([0, 1]), certain([0, 0])) == (2, inf)


def test_channels_spell_a_mode():
    """Of images of three channels, each certain to be one of two classes."""
    spelt = lambda *words: torch.stack([certain(list(word), 2) for word in words]).unsqueeze(2)  # noqa: E731
    real = spelt((0, 0, 0), (0, 0, 1), (1, 1, 1), (1, 1, 1))
    generated = spelt((0, 0, 1), (1, 1, 1))
    assert modes(generated, real, True, (3, 1, 2), 2) == (2, pytest.approx(0.5 * log(2)))


def accuracy(generated, real, features=4):
    metric = ClassifierAccuracy(Fake(features, 3), regularisation=1.0)
    return computed(metric, generated, real)["classifier_accuracy_fake"]


def apart(count, seed, labels=None):
    """Examples of three classes on three axes, far apart, on very different scales."""
    labels = torch.arange(count) % 3 if labels is None else labels
    scales = torch.tensor([1.0, 100.0, 1e-3, 1.0])
    return Examples((4 * torch.eye(4)[labels] + 0.3 * normal(count, 4, seed=seed)) * scales, labels)


def test_good_examples_teach_and_mislabelled_ones_mislead():
    real, generated = apart(60, 1), apart(90, 2)
    assert accuracy(generated, real) == 1
    assert accuracy(Examples(generated.values, (generated.labels + 1) % 3), real) == 0


def test_growing_corruption_teaches_less():
    real = labelled(300, 1, shape=(4,))
    shuffled = labelled(300, 2, shape=(4,)).labels.roll(1)
    clean = labelled(300, 2, shape=(4,))
    found = [
        accuracy(Examples(clean.values, clean.labels.where(torch.arange(300) % 10 >= bad, shuffled)), real)
        for bad in (0, 6, 10)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1]


def test_classes_that_were_never_generated_are_not_found():
    real = apart(60, 1)
    assert accuracy(apart(90, 2, torch.arange(90) % 2), real) == pytest.approx(2 / 3)
    assert accuracy(apart(90, 2, torch.ones(90, dtype=torch.int64)), real) == pytest.approx(1 / 3)


def test_it_does_not_depend_on_the_order():
    real, generated = labelled(99, 1, shape=(4,)), labelled(120, 2, shape=(4,))
    turned = Examples(generated.values.flip(0), generated.labels.flip(0))
    assert accuracy(generated, real) == accuracy(turned, real)


def test_dead_features_do_no_harm():
    real, generated = (
        Examples(x.values.clone().index_fill_(1, torch.tensor([3]), 2.0), x.labels)
        for x in (apart(60, 1), apart(90, 2))
    )
    assert accuracy(generated, real) == 1


def test_too_few_iterations_are_no_warning(monkeypatch):
    fit = LogisticRegression.fit

    def unfinished(self, *given):
        warnings.warn("not yet", ConvergenceWarning, stacklevel=1)
        return fit(self, *given)

    monkeypatch.setattr(LogisticRegression, "fit", unfinished)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert accuracy(apart(90, 2), apart(60, 1)) == 1


@pytest.mark.parametrize(
    "make", [ClassifierScore, lambda e: ClassifierModes(e, (3,), False), lambda e: ClassifierModes(e, (3, 1, 1), True)]
)
def test_an_extractor_without_classes_is_refused(make):
    with pytest.raises(UserError, match="extractor=fake, which has no classes"):
        make(Fake(2))


def test_a_model_without_classes_is_refused():
    with pytest.raises(UserError, match="generated examples without labels"):
        accuracy(Examples(normal(9, 4)), apart(9, 1))


@pytest.mark.parametrize("regularisation", [0.0, -1.0, float("nan")])
def test_a_penalty_without_weight_is_refused(regularisation):
    with pytest.raises(UserError, match="more than 0"):
        ClassifierAccuracy(Fake(2), regularisation)
