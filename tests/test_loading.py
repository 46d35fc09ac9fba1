"""Hydra set up on the config tree, also inside of a Hydra that is set up already."""

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException

from duogen.conftree import Tree, tree
from duogen.loading import loaded, plain, searching
from duogen.overrides import parse

FILES = tree()


def test_overrides_make_a_config_of_the_files():
    found = loaded([parse("seed=7", FILES), parse("generator=mlp", FILES)], FILES)
    assert found.seed == 7
    assert found.hydra.runtime.choices.generator == "mlp"
    assert "hydra" not in plain(found)


@pytest.mark.parametrize(
    "lines",
    [
        ["seed=7"],
        ["generator=mlp", "optimizer.lr=3e-3", "~optimizer.betas"],
        ["experiment=ring", "+optimizer.amsgrad=true", "++optimizer.lr=1", "generator.width=5"],
        ["penalty=[r1,r2]", "penalties.r1.weight=3", "~experiment", "logger=none"],
    ],
)
def test_what_is_known_changes_nothing(lines):
    known = {}
    given = [parse(line, FILES) for line in lines]
    for _ in range(2):
        assert plain(loaded(given, FILES, known)) == plain(loaded(given, FILES))
    assert len(known) == 1


def test_a_value_does_not_stay_in_what_is_known():
    known = {}
    assert [loaded([parse(f"seed={seed}", FILES)], FILES, known).seed for seed in (3, 4)] == [3, 4]
    assert loaded([], FILES, known).seed == 0


def test_a_key_that_is_nowhere_is_met_as_before():
    for known in (None, {}):
        with pytest.raises(HydraException):
            loaded([parse("generator.widht=3", FILES)], FILES, known)


def test_a_stronger_folder_wins(tmp_path):
    (tmp_path / "budget").mkdir()
    (tmp_path / "budget" / "smoke.yaml").write_text((FILES.folders[0] / "budget/smoke.yaml").read_text() + "own: 3\n")
    assert loaded([parse("budget=smoke", FILES)], Tree((tmp_path, *FILES.folders))).budget.own == 3


def test_it_gives_back_the_hydra_that_was_there():
    with searching(FILES.folders):
        outer = GlobalHydra.instance().hydra
        assert outer is not None
        with searching(FILES.folders):
            assert GlobalHydra.instance().hydra is not outer
        assert GlobalHydra.instance().hydra is outer
    assert GlobalHydra.instance().hydra is None
