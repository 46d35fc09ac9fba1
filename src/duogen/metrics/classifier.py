"""What a classifier says of generated examples, and what one learns from them."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from duogen.errors import UserError
from duogen.metrics.channels import PerChannel, classless
from duogen.metrics.extractor import Extractor
from duogen.metrics.gallery import FeatureMeasure
from duogen.metrics.side import Side
from duogen.records import Fact


def inception_score(logits: Tensor) -> Tensor:
    """exp(mean_n KL(p(y|x_n) || p(y))), p(y) = mean_n p(y|x_n), of logits (N, K); 0-d, in [1, K]."""
    log_probabilities = logits.double().log_softmax(1)
    probabilities = log_probabilities.exp()
    entropy = torch.special.entr(probabilities.mean(0)).sum()
    return (entropy + (probabilities * log_probabilities).sum(1).mean()).exp()


class ClassifierScore(FeatureMeasure):
    """The Inception score with any classifier: exp(E_x KL(p(y|x) || p(y))), from 1 to the number of classes.

    Value `inception_score` on Inception, else `classifier_score_<extractor>`, over all generated examples at once: no
    splits, no average of splits. Blind to collapse within a class, and to the real examples.

    `extractor`: one with class logits. Raises UserError for one without, and at `compute` without generated examples.
    Salimans et al. 2016, section 4.
    """

    name = "classifier_score"

    def __init__(self, extractor: Extractor) -> None:
        if extractor.classes is None:
            raise classless(self.name, extractor)
        super().__init__(extractor)
        self.title = self.titled(self.name, {"inception": "inception_score"})
        self.facts = {self.title: Fact(unit="classes", higher_is_better=True)}

    def values(self) -> dict[str, Tensor]:
        self.require(1, "n_generated")
        logits = self.collected.generated.logits
        assert logits is not None
        return {self.title: inception_score(logits)}

    def protocol(self) -> dict[str, Any]:
        return super().protocol() | {"estimator": "all examples at once, no splits, float64"}


class ClassifierModes(FeatureMeasure):
    """How many classes the generated examples hold, and how far their frequencies are from the real ones.

    An example's class is the one that the classifier finds most likely. `modes_found_<extractor>`: classes with a
    generated example, 0 to K. `modes_kl_<extractor>` = KL(p || q) = sum_k p_k ln(p_k / q_k) in nats, p and q the shares
    of the generated and the real examples; infinite where a generated class has no real example.

    `extractor`: one with class logits; `shape`: (C, H, W) of an example; `channels`: whether each channel is classified
    for itself, by an extractor of single channels, and a class is what the channels spell together: 10^3 = 1,000 modes
    for stacked MNIST. Raises UserError for an extractor without classes, and at `compute` without examples on a side.
    Metz et al. 2017, section 3.3.1; Srivastava et al. 2017, section 4.
    """

    name = "classifier_modes"

    def __init__(self, extractor: Extractor, shape: Sequence[int], channels: bool) -> None:
        if extractor.classes is None:
            raise classless(self.name, extractor)
        super().__init__(PerChannel(extractor, shape[0]) if channels else extractor)
        self.found, self.gap = (f"{stem}_{extractor.name}" for stem in ("modes_found", "modes_kl"))
        self.facts = {
            self.found: Fact(unit="modes", higher_is_better=True),
            self.gap: Fact(unit="nats", higher_is_better=False),
        }

    def values(self) -> dict[str, Tensor]:
        self.require(1, "n_generated", "n_real")
        generated, real = (self.frequencies(side) for side in (self.collected.generated, self.collected.real))
        held = generated > 0
        gap = (generated[held] * (generated[held] / real[held]).log()).sum()
        return {self.found: held.sum().double(), self.gap: gap}

    def frequencies(self, side: Side) -> Tensor:
        """The shares (K,) of the classes among a side's examples."""
        assert side.logits is not None
        return torch.bincount(side.logits.argmax(1), minlength=side.logits.shape[1]).double() / side.count

    def protocol(self) -> dict[str, Any]:
        return super().protocol() | {"classes": self.extractor.classes, "estimator": "most likely class, plug-in KL"}


class ClassifierAccuracy(FeatureMeasure):
    """The classifier accuracy score: how well a classifier that saw only generated examples tells real ones apart.

    Value `classifier_accuracy_<extractor>`: the share of real examples whose class is found by multinomial logistic
    regression on features, fitted to the generated examples and the classes that the model was told. Features are
    standardised by the generated ones. Train it on generated, test it on real; nothing is tuned on either.

    `extractor`: of the features; `regularisation`: C > 0, the inverse of the squared penalty's weight. Raises UserError
    where C <= 0, and at `compute` where a side has no labels. Ravuri & Vinyals 2019, section 3, with a linear
    classifier on features in the place of a ResNet on pixels.
    """

    name = "classifier_accuracy"

    def __init__(self, extractor: Extractor, regularisation: float) -> None:
        if not regularisation > 0:
            raise UserError(f"{self.name} was given regularisation={regularisation}", "more than 0", "e.g. 1.0")
        super().__init__(extractor)
        self.regularisation = regularisation
        self.title = f"{self.name}_{extractor.name}"
        self.facts = {self.title: Fact(unit="share", higher_is_better=True)}

    def values(self) -> dict[str, Tensor]:
        self.require(1, "n_generated", "n_real")
        labels, expected = self.labelled()
        order = self.collected.generated.ordered()
        train, test = self.collected.generated.features[order].double(), self.collected.real.features.double()
        mean, spread = train.mean(0), train.std(0, correction=0)
        spread = spread.where(spread > 0, 1)
        predicted = self.taught(
            ((train - mean) / spread).numpy(), labels[order].numpy(), ((test - mean) / spread).numpy()
        )
        return {self.title: torch.tensor(np.mean(predicted == expected.numpy()), dtype=torch.float64)}

    def taught(self, examples: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
        """The classes (M,) of `test` (M, F) by a classifier fitted to `examples` (N, F) and `labels` (N,)."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        if len(np.unique(labels)) == 1:
            return np.full(len(test), labels[0])
        classifier = LogisticRegression(C=self.regularisation, tol=1e-6, max_iter=1000)
        with warnings.catch_warnings():
            # The number of iterations is part of the protocol.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return classifier.fit(examples, labels).predict(test)

    def protocol(self) -> dict[str, Any]:
        estimator = "multinomial logistic regression on standardised features (scikit-learn, lbfgs, 1,000 iterations)"
        return super().protocol() | {"regularisation": self.regularisation, "estimator": estimator}
