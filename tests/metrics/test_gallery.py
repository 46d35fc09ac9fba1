import pytest
import torch
from torch import nn
from torch.multiprocessing.spawn import start_processes

from duogen.errors import UserError
from duogen.metrics.frechet import Frechet
from duogen.metrics.gallery import Gallery, share
from duogen.metrics.kernel import KernelDistance
from duogen.metrics.measure import collectors
from duogen.metrics.mixture import MixtureModes
from duogen.metrics.neighbours import Neighbours
from duogen.metrics.side import RealSet
from duogen.records import Examples
from metrics.fakes import Fake, every_measure, labelled, normal, part, values_on, work

REAL = RealSet("data", "validate", 9)


def seen(gallery, extracted):
    """Shows 5 generated and 9 real examples; how many of the real ones were extracted."""
    before = gallery.extractor.seen
    gallery.update(Examples(normal(5, 3, seed=1)), Examples(normal(9, 3, seed=2)))
    assert gallery.extractor.seen - before == extracted
    return gallery.compute()


def gallery_in(folder, extractor=None):
    frechet = Frechet(extractor or Fake(2))
    share([frechet], folder)
    return frechet.gallery


def test_it_holds_both_sides_with_logits_and_labels():
    gallery, generated, real = Gallery(Fake(4, 3)), labelled(7, 1), labelled(5, 2)
    for start in (0, 4):
        gallery.update(part(generated, slice(start, start + 4)), part(real, slice(start, start + 4)))
    found = gallery.compute()
    for side, examples in ((found.generated, generated), (found.real, real)):
        flat = examples.values.flatten(1)
        assert torch.equal(side.features, 2 * flat[:, :4])
        assert torch.equal(side.logits, flat[:, :3])
        assert torch.equal(side.labels, examples.labels)


def test_without_classes_and_labels_there_are_none():
    gallery = Gallery(Fake(2))
    gallery.update(Examples(normal(5, 3)), labelled(4, 1, shape=(3,)))
    found = gallery.compute()
    assert found.generated.logits is None
    assert found.generated.labels is None
    assert found.real.labels.tolist() == [0, 1, 2, 0]


def test_empty_batches_add_nothing():
    gallery = Gallery(Fake(2))
    gallery.update(Examples(normal(0, 3)), Examples(normal(4, 3)))
    gallery.update(Examples(normal(6, 3)), Examples(normal(0, 3)))
    assert (gallery.compute().generated.count, gallery.compute().real.count) == (6, 4)


def test_it_keeps_its_types_under_casts_and_autocast():
    gallery = Gallery(Fake(2))
    nn.Sequential(gallery).to(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gallery.update(Examples(normal(5, 3)), Examples(normal(5, 3)))
    assert torch.equal(gallery.compute().real.features, 2 * normal(5, 3)[:, :2])


def test_no_checkpoint_holds_examples_or_extractor():
    measure = Frechet(Fake(2))
    measure.update(Examples(normal(5, 3)), Examples(normal(5, 3)))
    assert nn.Sequential(measure).state_dict() == {}
    assert list(measure.parameters()) == []


def test_measures_of_equal_protocol_share_and_are_collected_once():
    measures = [Frechet(Fake(2)), KernelDistance(Fake(2)), Neighbours(Fake(4), 3), MixtureModes([[0.0]], 1.0)]
    share(measures, None)
    assert measures[0].gallery is measures[1].gallery
    assert measures[2].gallery is not measures[0].gallery
    assert [id(c) for c in collectors(measures)] == [id(measures[0].gallery), id(measures[2].gallery), id(measures[3])]


def test_shared_measures_see_new_examples_after_they_were_computed():
    first, second = Frechet(Fake(2)), KernelDistance(Fake(2))
    share([first, second], None)
    for size in (5, 6):
        for measure in (first, second):
            measure.reset()
        first.gallery.update(Examples(normal(size, 3)), Examples(normal(7, 3)))
        for measure in (first, second):
            measure.compute()
            assert (measure.protocol()["n_generated"], measure.protocol()["n_real"]) == (size, 7)
            assert measure.protocol()["shape"] == [3]


def test_two_values_of_one_name_are_refused():
    with pytest.raises(UserError, match="two metrics give the value frechet_fake"):
        share([Frechet(Fake(2)), Frechet(Fake(4))], None)


def test_a_known_real_set_is_not_extracted_again_in_this_process():
    gallery = gallery_in(None)
    gallery.begin(REAL)
    first = seen(gallery, extracted=14)
    gallery.begin(REAL)
    assert seen(gallery, extracted=5).real is first.real
    gallery.begin(RealSet("data", "test", 9))
    seen(gallery, extracted=14)
    gallery.reset()
    seen(gallery, extracted=14)


@pytest.mark.parametrize(
    ("extractor", "real", "extracted"),
    [
        (Fake(2), REAL, 5),
        (Fake(2, name="other"), REAL, 14),
        (Fake(2), RealSet("data", "test", 9), 14),
        (Fake(2), RealSet("other", "validate", 9), 14),
    ],
    ids=["the same", "another protocol", "another split", "other data"],
)
def test_a_real_set_on_the_disk_is_known_by_its_key(extractor, real, extracted, tmp_path):
    gallery = gallery_in(tmp_path)
    gallery.begin(REAL)
    first = seen(gallery, 14)
    again = gallery_in(tmp_path, extractor)
    again.begin(real)
    extractor.seen = 0
    assert torch.equal(seen(again, extracted).real.features, first.real.features)


def test_a_damaged_file_is_computed_again(tmp_path):
    gallery = gallery_in(tmp_path)
    gallery.begin(REAL)
    seen(gallery, 14)
    (path,) = tmp_path.glob("*.pt")
    path.write_bytes(path.read_bytes()[:-1])
    again = gallery_in(tmp_path)
    again.begin(REAL)
    seen(again, 14)
    last = gallery_in(tmp_path)
    last.begin(REAL)
    seen(last, 5)


def test_features_as_large_as_the_examples_are_not_written(tmp_path):
    gallery = gallery_in(tmp_path, Fake(3))
    gallery.begin(REAL)
    seen(gallery, 14)
    assert list(tmp_path.glob("*")) == []


def test_the_disk_keeps_what_is_derived_from_real_features(tmp_path):
    for _ in range(2):
        measure = Frechet(Fake(2))
        share([measure], tmp_path)
        measure.begin(lambda: REAL)
        seen(measure.gallery, 14 if len(list(tmp_path.glob("*"))) == 0 else 5)
        measure.compute()
        assert len(list(tmp_path.glob("*-factor.pt"))) == 1


def test_a_part_of_a_known_real_set_is_refused():
    gallery = gallery_in(None)
    gallery.begin(REAL)
    seen(gallery, 14)
    gallery.begin(REAL)
    gallery.update(Examples(normal(5, 3)), Examples(normal(4, 3)))
    with pytest.raises(UserError, match="4 real examples"):
        gallery.compute()


def test_fewer_examples_than_the_set_holds_are_not_remembered():
    gallery = gallery_in(None)
    gallery.begin(RealSet("data", "validate", 10))
    seen(gallery, 14)
    gallery.begin(RealSet("data", "validate", 10))
    seen(gallery, 14)


def test_there_is_a_fake_of_every_measure_here():
    assert len(every_measure()) == 9


def test_two_ranks_have_the_values_of_one_process(tmp_path):
    """Batches go to the ranks in turns, unequally many, the last one smaller: nothing is dropped or counted twice.

    The third time each rank has a disk of its own, on which the first one writes; the fourth time it alone would know
    the real set, and so neither uses what it knows.
    """
    start_processes(work, (2, tmp_path / "caches", tmp_path), nprocs=2, start_method="fork")
    expected, counts, _ = values_on(0, 1, False, None)
    assert set(counts.values()) == {(40, 33)}
    extracted = []
    for rank in range(2):
        for found, counted, seen in torch.load(tmp_path / f"{rank}.pt"):
            assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)
            assert counted == counts
            extracted.append(seen)
    assert extracted == [80, 61, 61, 61, 66, 52, 52, 52]
    assert list((tmp_path / "caches" / "0").glob("*.pt"))
    assert not (tmp_path / "caches" / "1").exists()


def test_a_rank_without_examples_gathers_too():
    gallery = Gallery(Fake(2, 3))
    gallery.distributed_available_fn = lambda: True
    other = labelled(4, 1, shape=(3,))
    theirs = {2: 2 * other.values[:, :2], 3: other.values, 1: other.labels}

    def gathering(tensor, group=None):
        if tensor.ndim == 0:
            return [tensor, torch.tensor(4)]
        return [tensor, theirs[tensor.shape[1] if tensor.ndim == 2 else 1]]

    gallery.dist_sync_fn = gathering
    with pytest.warns(UserWarning, match="before the ``update``"):
        found = gallery.compute()
    assert torch.equal(found.generated.features, theirs[2])
    assert torch.equal(found.real.labels, other.labels)
