import numpy as np
import pytest

from duogen.errors import UserError
from duogen.metrics import kernel
from duogen.metrics.kernel import KernelDistance
from metrics.fakes import Fake, computed, normal

TITLE = "kernel_distance_fake"


def features(count, seed, shift=0.0):
    return normal(count, 6, seed=seed, shift=shift)


def reference(x, y):
    """The unbiased estimate, the diagonal left out of both own kernels."""
    x, y = 2 * x.double().numpy(), 2 * y.double().numpy()
    k = lambda a, b: (a @ b.T / x.shape[1] + 1) ** 3  # noqa: E731
    own = [(k(a, a).sum() - np.trace(k(a, a))) / (len(a) * (len(a) - 1)) for a in (x, y)]
    return sum(own) - 2 * k(x, y).mean()


def jackknife(x, y):
    """The standard error by leaving out each example in turn."""
    parts = []
    for side in range(2):
        sets = [x, y]
        left = []
        for index in range(len(sets[side])):
            rest = sets.copy()
            rest[side] = sets[side][np.arange(len(sets[side])) != index]
            left.append(reference(*rest))
        parts.append((len(left) - 1) * np.var(left))
    return sum(parts) ** 0.5


@pytest.mark.parametrize("block", [4, 13, 2048])
@pytest.mark.parametrize(("n", "m"), [(13, 9), (9, 13), (3, 3)])
def test_equals_numpy_whatever_the_block(n, m, block, monkeypatch):
    monkeypatch.setattr(kernel, "BLOCK", block)
    x, y = features(n, 1), features(m, 2, shift=0.4)
    values = computed(KernelDistance(Fake(6)), x, y)
    assert values[TITLE] == pytest.approx(reference(x, y), rel=1e-9)
    assert values[f"{TITLE}_standard_error"] == pytest.approx(jackknife(x, y), rel=1e-7)


def test_it_is_unbiased_and_its_error_is_conservative():
    """Over draws of one law the mean is 0, and the stated error covers the spread, at most twofold."""
    found = [computed(KernelDistance(Fake(6)), features(12, s) / 4, features(15, s + 1000) / 4) for s in range(300)]
    values = np.array([value[TITLE] for value in found])
    errors = np.array([value[f"{TITLE}_standard_error"] for value in found])
    assert abs(values.mean()) < 4 * values.std() / 300**0.5
    assert (values < 0).any()
    assert values.std() < (errors**2).mean() ** 0.5 < 2 * values.std()


def test_the_error_is_that_of_the_estimate_where_the_laws_differ():
    found = [computed(KernelDistance(Fake(6)), features(40, s), features(40, s + 999, 0.5)) for s in range(150)]
    spread = np.std([value[TITLE] for value in found])
    errors = np.mean([value[f"{TITLE}_standard_error"] ** 2 for value in found]) ** 0.5
    assert errors == pytest.approx(spread, rel=0.35)


def test_identical_sets_may_fall_below_zero():
    x = features(20, 1)
    assert computed(KernelDistance(Fake(6)), x, x)[TITLE] < 0


def test_growing_corruption_makes_it_grow():
    real = features(60, 1)
    values = [computed(KernelDistance(Fake(6)), features(60, 2, shift), real)[TITLE] for shift in (0, 0.3, 0.6, 1.2)]
    assert values == sorted(values)


@pytest.mark.parametrize(("n", "m", "short"), [(2, 9, "n_generated"), (9, 2, "n_real")])
def test_fewer_than_three_examples_are_refused(n, m, short):
    with pytest.raises(UserError, match=f"{short} >= 3"):
        computed(KernelDistance(Fake(6)), features(n, 1), features(m, 2))


def test_inception_gives_the_name():
    assert list(KernelDistance(Fake(2, name="inception")).facts) == ["kid", "kid_standard_error"]
