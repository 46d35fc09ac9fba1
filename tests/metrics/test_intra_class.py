import pytest

from duogen.errors import UserError
from duogen.metrics.frechet import Frechet
from duogen.metrics.intra_class import IntraClassFrechet
from duogen.records import Examples
from metrics.fakes import Fake, computed, labelled, part

TITLE = "intra_class_frechet_fake"


def measured(generated, real):
    return computed(IntraClassFrechet(Fake(5)), generated, real)[TITLE]


def test_it_is_the_mean_of_the_distances_within_the_classes():
    generated, real = labelled(47, 1, shape=(5,)), labelled(38, 2, shape=(5,))
    within = [
        computed(Frechet(Fake(5)), *(part(side, side.labels == label) for side in (generated, real)))["frechet_fake"]
        for label in range(3)
    ]
    assert measured(generated, real) == pytest.approx(sum(within) / 3, rel=1e-9)


def test_it_sees_swapped_classes_that_frechet_does_not():
    real = labelled(60, 1, shape=(5,))
    swapped = Examples(real.values, (real.labels + 1) % 3)
    assert measured(real, real) == pytest.approx(0, abs=1e-6)
    assert computed(Frechet(Fake(5)), swapped, real)["frechet_fake"] == pytest.approx(0, abs=1e-6)
    assert measured(swapped, real) > 1


@pytest.mark.parametrize("bare", ["generated", "real"])
def test_both_sides_need_labels(bare):
    sides = {"generated": labelled(12, 1), "real": labelled(12, 2)}
    sides[bare] = Examples(sides[bare].values)
    with pytest.raises(UserError, match=f"{bare} examples without labels"):
        computed(IntraClassFrechet(Fake(5)), sides["generated"], sides["real"])


def test_a_class_that_is_not_generated_is_named():
    generated = labelled(12, 1)
    with pytest.raises(UserError, match=r"0 example\(s\) of class 2"):
        measured(part(generated, generated.labels != 2), labelled(12, 2))


def test_inception_gives_the_name():
    assert list(IntraClassFrechet(Fake(2, name="inception")).facts) == ["intra_fid"]


def test_too_few_examples_of_a_class_are_remarked_on():
    metric, generated, real = IntraClassFrechet(Fake(5)), labelled(47, 1), labelled(15, 2)
    computed(metric, generated, real)
    (remark,) = metric.remarks()
    assert "5 dimensions to as few as 5 examples" in remark
    assert "6 or more examples of each class" in remark
    protocol = metric.protocol()
    assert (protocol["n_generated"], protocol["n_real"]) == (47, 15)
    assert (protocol["least_examples"], protocol["too_few_examples"]) == (6, True)


def test_enough_examples_of_each_class_are_not():
    metric = IntraClassFrechet(Fake(5))
    computed(metric, labelled(47, 1), labelled(18, 2))
    assert metric.protocol()["too_few_examples"] is False
    assert metric.remarks() == ()
