"""Protocols: phases one after another, compared options side by side."""

from dataclasses import replace
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from duogen.errors import UserError
from duogen.sweep.agenda import Listed, Outcome
from duogen.sweep.search.phases import Phase
from duogen.sweep.search.protocol import Abreast, protocol
from duogen.sweep.search.study import Search
from sweep.studies import Driver, curve, expand, method

SPACE = {"lr": FloatDistribution(0.0, 1.0), "penalty": CategoricalDistribution(["[]", "[r1]"])}
THREE = (Phase("wide", 6), Phase("narrow", 4, shrink=0.25), Phase("final", seeds=(100, 101, 102)))
TWO = ({"adversarial": "hinge"}, {"adversarial": "minimax"})


def result(trial):
    best = {"hinge": 0.2, "minimax": 0.7}.get(trial.setting.get("adversarial", ""), 0.5)
    return curve(abs(float(trial.setting["lr"]) - best) + len(trial.setting["penalty"]) / 100)


class Book:
    """The settings asked for, by study, as sweep.yaml keeps them."""

    def __init__(self):
        self.settings = {}

    def note(self, study, params):
        self.settings.setdefault(study, []).append(dict(params))

    def build(self, phases=THREE, compared=({},), how=None, each=expand):
        recorded = {study: list(settings) for study, settings in self.settings.items()}
        return protocol(SPACE, how or method(), phases, compared, (0, 1), each, recorded, self.note)


def test_wide_then_narrow_then_the_best_with_fresh_seeds():
    book = Book()
    agenda = book.build()
    assert agenda.expected == 12 + 8 + 3
    ran = Driver(result).run(agenda).ran
    assert [trial.phase for trial in ran] == ["wide"] * 12 + ["narrow"] * 8 + ["final"] * 3
    assert [trial.seed for trial in ran[-3:]] == [100, 101, 102]
    best = min(ran[:20], key=lambda trial: result(trial).last("loss"))
    assert [trial.setting for trial in ran[-3:]] == [best.setting] * 3
    centre = min(ran[:12], key=lambda trial: result(trial).last("loss")).setting
    narrow = [float(trial.setting["lr"]) for trial in ran[12:20]]
    assert max(narrow) - min(narrow) <= 0.25
    assert all(abs(lr - float(centre["lr"])) <= 0.25 for lr in narrow)
    assert {trial.setting["penalty"] for trial in ran[12:20]} == {centre["penalty"]}
    assert agenda.expected == len(ran)


def test_every_compared_option_has_as_many_draws_and_its_own_best():
    book = Book()
    agenda = book.build(compared=TWO)
    ran = Driver(result).run(agenda).ran
    assert list(agenda.agendas) == ["adversarial=hinge", "adversarial=minimax"]
    for fixed in TWO:
        mine = [trial for trial in ran if trial.setting["adversarial"] == fixed["adversarial"]]
        assert [trial.phase for trial in mine] == ["wide"] * 12 + ["narrow"] * 8 + ["final"] * 3
        best = min(mine[:20], key=lambda trial: result(trial).last("loss"))
        assert [trial.setting for trial in mine[-3:]] == [best.setting] * 3
    assert book.settings["adversarial=hinge/wide"] == book.settings["adversarial=minimax/wide"]
    assert len(book.settings["adversarial=hinge/narrow"]) == 4


def test_compared_options_take_turns():
    agenda = Book().build(compared=TWO)
    trials = [agenda.next() for _ in range(4)]
    assert [trial.setting["adversarial"] for trial in trials] == ["hinge", "minimax"] * 2


@pytest.mark.parametrize("stop", [0, 5, 13, 24, 31, 41, 45])
@pytest.mark.parametrize("slots", [1, 3])
def test_interrupted_it_goes_on_as_if_it_had_not_been(stop, slots):
    whole, book, records = Book(), Book(), {}
    done = Driver(result, slots).run(whole.build(compared=TWO))
    Driver(result, slots, records).run(book.build(compared=TWO), stop)
    Driver(result, slots, records).run(book.build(compared=TWO))
    assert book.settings == whole.settings
    assert records == done.records


def test_an_option_of_which_nothing_finishes_ends_alone():
    def half(trial):
        return Outcome("nan") if trial.setting["adversarial"] == "hinge" else result(trial)

    agenda = Book().build(compared=TWO)
    ran = Driver(half).run(agenda).ran
    hinge, minimax = agenda.agendas.values()
    assert "none of 6 settings" in str(hinge.remark)
    assert minimax.remark is None
    assert {trial.phase for trial in ran if trial.setting["adversarial"] == "hinge"} == {"wide"}
    assert len(ran) == 6 + 23 == agenda.expected


def test_a_recorded_setting_outside_of_a_moved_narrow_space_is_drawn_anew():
    book = Book()
    Driver(result).run(book.build())
    book.settings["narrow"][1] = {"lr": "0.999", "penalty": "[]"}
    agenda = book.build()
    Driver(result).run(agenda)
    assert len(book.settings["narrow"]) == 5
    assert agenda.agendas[""].searches[1].asked == 4


def test_one_phase_is_a_search():
    agenda = Book().build([Phase("search", 3)])
    Driver(result).run(agenda)
    (search,) = agenda.agendas[""].searches
    assert isinstance(search, Search)
    assert len(search.settings) == 3


def test_a_front_is_repeated_whole():
    def both(trial):
        lr = float(trial.setting["lr"])
        return Outcome("done", [(10, {"loss": lr, "quality": lr})])

    how = method(metrics=("loss", "quality"), directions=("minimize", "maximize"))
    ran = Driver(both).run(Book().build([Phase("wide", 4), Phase("final", seeds=(7,))], how=how)).ran
    assert len([trial for trial in ran if trial.phase == "final"]) == 4
    with pytest.raises(UserError, match="shrink"):
        Book().build(how=how)


def test_two_options_that_are_one_run_are_each_told_of_their_own_end():
    def same(params, phase, seeds):
        return [replace(one, plan=replace(one.plan, folder=Path("runs/same"))) for one in expand(params, phase, seeds)]

    class Told(Listed):
        told = 0

        def ended(self, trial, outcome):
            self.told += 1

    first, second = (Told(same({"k": k}, "grid", (0,))) for k in ("1", "2"))
    agenda = Abreast({"first": first, "second": second})
    one, two = agenda.next(), agenda.next()
    assert one.key == two.key
    agenda.ended(one, Outcome("done"))
    assert (first.told, second.told) == (1, 0)
    agenda.ended(two, Outcome("done"))
    assert (first.told, second.told) == (1, 1)


def test_what_a_trial_reports_goes_to_its_own():
    class Deaf(Listed):
        heard = None

        def reported(self, trial, step, values):
            self.heard = (trial.key, step)
            return trial.setting["k"] == "2"

    first, second = (Deaf(expand({"k": k}, "grid", (0,))) for k in ("1", "2"))
    agenda = Abreast({"first": first, "second": second})
    one, two = agenda.next(), agenda.next()
    assert agenda.next() is None
    assert not agenda.reported(one, 10, {})
    assert agenda.reported(two, 20, {})
    assert (first.heard, second.heard) == ((one.key, 10), (two.key, 20))
