"""The handwritten digits that come with scikit-learn."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from duogen.data.checksum import verify
from duogen.data.examples import ExamplesData
from duogen.data.splits import Split
from duogen.data.transforms import Transform


class Digits(ExamplesData):
    """1,797 grey 8x8 images of ten classes: values v in 0..16 as v / 8 - 1, float32 in [-1, 1], shape (1, 8, 8).

    The splits are stratified by class and depend on `split_seed` alone, never on the run's seed.

    Args:
        validate_size: examples of the validation split.
        test_size: examples of the test split; the others are for training.
        split_seed: of the stratified draw.
        sha256: of the images and then the labels, each as bytes.

    Reference: Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits (UCI), its test part.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int | None,
        batch_size: int,
        workers: int,
        seed: int,
        transforms: Sequence[Transform],
        evaluation_size: int | None,
        validate_size: int,
        test_size: int,
        split_seed: int,
        sha256: str,
    ) -> None:
        super().__init__(shape, classes, batch_size, workers, seed, transforms, evaluation_size)
        self.validate_size, self.test_size = validate_size, test_size
        self.split_seed, self.sha256 = split_seed, sha256

    def load(self) -> Mapping[str, Split]:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        images, labels = load_digits(return_X_y=True)
        content = images.astype(np.uint8).tobytes() + labels.astype(np.uint8).tobytes()
        verify("scikit-learn's load_digits", content, self.sha256, "install a released scikit-learn")
        everything = np.arange(len(labels))
        rest, test = train_test_split(
            everything, test_size=self.test_size, stratify=labels, random_state=self.split_seed
        )
        train, validate = train_test_split(
            rest, test_size=self.validate_size, stratify=labels[rest], random_state=self.split_seed
        )
        values, classes = torch.from_numpy(images).float().view(-1, 1, 8, 8) / 8 - 1, torch.from_numpy(labels).long()
        chosen = {"train": train, "validate": validate, "test": test}
        return {name: Split(values[index], classes[index]) for name, index in chosen.items()}
