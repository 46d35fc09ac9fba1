import numpy as np
import pytest
from scipy import stats

from duogen.report.statistics import estimate
from duogen.sweep.shown.reading import Best, Row
from duogen.sweep.shown.tables import counted, errors, leaders, repeated, single, varying
from sweep.written import metric, rows


def made(key, setting, seed, status="done", metrics=(), phase="grid", **content):
    return Row(key, f"{key}-label", setting, seed, phase, status, attempts=1, metrics=list(metrics), **content)


def cells(sheet):
    return {" ".join(column.header): list(column.cells) for column in sheet.columns}


def test_a_setting_has_its_mean_over_seeds_its_interval_and_the_floor():
    values = {"mlp": [3.0, 4.0, 8.0], "dcgan": [1.0, 1.5, 2.5]}
    found = repeated(
        [
            made(f"{name}{seed}", {"generator": name, "data": "ring"}, seed, metrics=[
                metric(values[name][seed], seed=seed), metric(0.25 + seed / 8, weights="real", seed=seed),
            ])
            for seed in range(3) for name in values
        ]
    )  # fmt: skip

    def expected(numbers):
        low, high = stats.t.interval(0.95, 2, loc=np.mean(numbers), scale=stats.sem(numbers))
        return f"{np.mean(numbers):.1f} ± {(high - low) / 2:.1f}"

    assert cells(found) == {
        "generator": ["mlp", "dcgan", "real data"],
        "done": ["3/3", "3/3", ""],
        "frechet_pixels ↓ pixel^2": [
            expected(values["mlp"]), expected(values["dcgan"]), str(estimate([0.25, 0.375, 0.5]))
        ],
    }  # fmt: skip
    assert found.under == 1


def test_what_failed_stays_in_the_denominator_and_is_named():
    found = repeated(
        [
            made("a", {"g": "x"}, 0, metrics=[metric(2.0)]),
            made("b", {"g": "x"}, 1, "nan"),
            made("c", {"g": "x"}, 2, "waiting"),
            made("d", {"g": "y"}, 0, "running", [metric(9.0)]),
        ]
    )
    assert cells(found) == {
        "g": ["x", "y"],
        "done": ["1/3", "0/1"],
        "others": ["1 waiting, 1 nan", "1 running"],
        "frechet_pixels ↓ pixel^2": ["2", ""],
    }
    assert found.styles == ["red", ""]


def test_two_protocols_never_share_a_column():
    kinds = [
        {"n_real": 300},
        {"n_real": 500},
        {"n_real": 300, "weights": "raw"},
        {"n_real": 300, "extractor": {"weights_sha256": "cae3620bce69d950"}},
    ]
    found = repeated(
        [made(str(n), {"n": str(n)}, 0, metrics=[metric(n + 1.0, **kind)]) for n, kind in enumerate(kinds)]
    )
    values = [column.cells for column in found.columns if column.value]
    assert values == [["1", "", "", ""], ["", "2", "", ""], ["", "", "3", ""], ["", "", "", "4"]]
    headers = [set(column.header[2:]) for column in found.columns if column.value]
    assert headers[:3] == [{"weights=ema", "n_real=300"}, {"weights=ema", "n_real=500"}, {"weights=raw", "n_real=300"}]
    assert headers[3] == {"weights=ema", "n_real=300", "weights_sha256=cae3620bce69"}


def test_the_floor_is_that_of_the_same_protocol_once_per_seed():
    def both(seed, n_real, real):
        return [metric(5.0, seed=seed, n_real=n_real), metric(real, weights="real", seed=seed, n_real=n_real)]

    found = repeated(
        [
            made("a", {"d": "x"}, 0, metrics=both(0, 300, 1.0)),
            made("b", {"d": "y"}, 0, metrics=both(0, 300, 1.0)),
            made("c", {"d": "x"}, 1, metrics=both(1, 300, 2.0)),
            made("e", {"d": "z"}, 0, metrics=both(0, 500, 7.0)),
        ]
    )
    assert [column.cells[-1] for column in found.columns if column.value] == [str(estimate([1.0, 2.0])), "7"]


def test_metrics_that_some_seeds_lack_say_over_how_many():
    found = repeated(
        [
            made("a", {}, 0, metrics=[metric(2.0), metric(0.5, "recall", higher=True, unit="share")]),
            made("b", {}, 1, metrics=[metric(2.0)]),
        ]
    )
    assert cells(found) == {
        "setting": ["all"],
        "done": ["2/2"],
        "frechet_pixels ↓ pixel^2": ["2 ± 0"],
        "recall ↑ share": ["0.5 (n=1)"],
    }


def test_settings_are_named_by_what_differs():
    settings = [{"generator.width": "8", "discriminator.width": "4", "data": "ring", "a.lr": "1"}, {"a.lr": "2"}]
    assert varying([("grid", tuple(one.items())) for one in settings]) == [
        "generator.width", "discriminator.width", "data", "a.lr",
    ]  # fmt: skip
    found = repeated([made("a", settings[0], 0), made("b", settings[1], 0, phase="final")])
    assert cells(found) == {
        "phase": ["grid", "final"],
        "generator.width": ["8", ""],
        "discriminator.width": ["4", ""],
        "data": ["ring", ""],
        "lr": ["1", "2"],
        "done": ["1/1", "1/1"],
    }


def test_a_trial_has_its_own_row(tmp_path):
    found = single(
        tmp_path,
        [
            made("a", {"g": "x"}, 3, metrics=[metric(2.0), metric(1.0, weights="real")], steps=1500, wall_s=1234.6),
            made("b", {"g": "y"}, 3, "oom", steps=20, wall_s=1.2),
            Row("c", "", {"g": "y"}, 4, "grid"),
        ],
        [],
    )
    assert cells(found) == {
        "g": ["x", "y", "y"],
        "seed": ["3", "3", "4"],
        "status": ["done", "oom", "waiting"],
        "steps": ["1,500", "20", ""],
        "frechet_pixels ↓ pixel^2": ["2", "", ""],
        "seconds": ["1,235", "1", ""],
    }
    assert found.styles == ["", "red", "dim"]


def test_a_trial_of_a_search_has_what_it_validated(tmp_path):
    rows(tmp_path, "a", {"validate/gan/kid": 0.5, "validate/gan/frechet": 12.34567})
    trials = [made("a", {"g": "x"}, 0, metrics=[metric(2.0)]), made("b", {"g": "y"}, 0, "nan")]
    found = cells(single(tmp_path, trials, ["frechet", "kid"]))
    assert found["frechet validation"] == ["12.35", ""]
    assert found["kid validation"] == ["0.5", ""]
    assert not any("pixels" in header for header in found)


def test_tries_are_told_where_there_were_several(tmp_path):
    found = single(tmp_path, [made("a", {"g": "x"}, 0), Row("b", "", {"g": "x"}, 1, "grid", attempts=3)], [])
    assert cells(found)["tries"] == ["1", "3"]
    assert [column.machine for column in found.columns][-2:] == [True, True]


def test_errors_are_told_of_the_first_twenty():
    found = errors(
        [made(str(n), {"g": "x"}, n, "failed" if n else "done", error=f"no {n}" if n else None) for n in range(26)]
    )
    assert found.title == "errors, the first 20 of 25"
    assert cells(found)["error"] == [f"no {n}" for n in range(1, 21)]
    assert errors([made("a", {"g": "x"}, 0, "nan", error="nan")]).title == "errors"


@pytest.mark.parametrize(
    ("wanted", "title", "count"),
    [
        ({"frechet": False}, "best by frechet", 10),
        ({"frechet": False, "kid": True}, "Pareto front of frechet and kid", 12),
    ],
)
def test_the_best_are_told_with_their_values(wanted, title, count):
    found = leaders(
        [Best({"lr": str(n), "data": "ring"}, "search", [estimate([n, n + 1.0])] * len(wanted)) for n in range(12)],
        wanted,
        ["lr"],
    )
    assert found.title == title
    shown = cells(found)
    assert shown["lr"] == [str(n) for n in range(count)]
    assert shown["seeds"] == ["2"] * count
    assert shown["frechet ↓ validation"][0] == str(estimate([0.0, 1.0]))
    assert ("kid ↑ validation" in shown) == (count == 12)


def test_statuses_are_counted_in_the_order_of_a_trials_life():
    statuses = ["oom", "waiting", "done", "odd", "running", "done"]
    found = counted([made(str(n), {}, n, status) for n, status in enumerate(statuses)])
    assert list(found.items()) == [("done", 2), ("running", 1), ("waiting", 1), ("oom", 1), ("odd", 1)]
