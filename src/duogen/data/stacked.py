"""Three digits as the colours of one image: a thousand modes that can be counted."""

from collections.abc import Mapping, Sequence

import torch

from duogen.data.declared import DeclaredFiles
from duogen.data.examples import ExamplesData
from duogen.data.idx import idx_split
from duogen.data.order import seeded
from duogen.data.splits import Split
from duogen.data.transforms import Transform


class StackedMnist(ExamplesData):
    """Images (3, 28, 28) of three MNIST digits each, as red, green and blue; stored as uint8, in batches in [-1, 1].

    The class is the number that the digits read, 100 red + 10 green + blue. The triples are drawn with replacement and
    fixed: they depend on `points_seed`, never on the run's seed. No digit serves two splits: training triples come from
    the training file without its end, those for validation from its end, those for testing from the test file.

    Args:
        train_size: number of training triples, 2,352 bytes each.
        validate_size: number of triples for validation.
        test_size: number of triples for testing.
        validate_digits: digits at the end of the training file that only validation uses.
        points_seed: of all triples.
        folder: of MNIST's files, below the data folder.
        files: public `url` and `sha256` of each file by name.

    References: Metz et al. 2017 (Unrolled GAN), section 3.3.1; Srivastava et al. 2017 (VEEGAN), section 4.2; Lin et al.
    2018 (PacGAN), section 4.2, whose sizes these are.
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
        train_size: int,
        validate_size: int,
        test_size: int,
        validate_digits: int,
        points_seed: int,
        folder: str,
        files: Mapping[str, Mapping[str, str]],
    ) -> None:
        super().__init__(shape, classes, batch_size, workers, seed, transforms, evaluation_size)
        self.train_size, self.validate_size, self.test_size = train_size, validate_size, test_size
        self.validate_digits, self.points_seed = validate_digits, points_seed
        self.declared = DeclaredFiles(folder, files)

    def load(self) -> Mapping[str, Split]:
        digits, test = idx_split(self.declared, "train"), idx_split(self.declared, "t10k")
        kept = len(digits) - self.validate_digits
        return {
            "train": self._stacked("train", digits.part(0, kept), self.train_size),
            "validate": self._stacked("validate", digits.part(kept, len(digits)), self.validate_size),
            "test": self._stacked("test", test, self.test_size),
        }

    def _stacked(self, name: str, digits: Split, count: int) -> Split:
        assert digits.labels is not None
        chosen = torch.randint(max(len(digits), 1), (count, 3), generator=seeded(self.points_seed, name))
        labels = (digits.labels[chosen] * torch.tensor([100, 10, 1])).sum(1)
        return Split(digits.values[:, 0][chosen], labels)
