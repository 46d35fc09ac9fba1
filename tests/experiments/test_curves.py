import pytest
from experiments.curves import curves, settings, split

from sweep.written import metric, plan, run, trial


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ({"setting": "beta_vae-4"}, ("beta_vae", "4")),
        ({"setting": "plain"}, ("", "plain")),
        ({"experiment": "beta_vae", "variational.beta": "4"}, ("beta_vae", "4")),
        ({"optimizer.lr": "1e-4"}, ("", "1e-4")),
        ({"setting": "tc-2", "encoder": "mlp", "latent_dim": "3"}, ("tc-2 mlp", "3")),
        ({}, ("", "")),
    ],
)
def test_the_last_key_is_the_point_and_the_rest_the_curve(setting, found):
    assert split(setting) == found


def test_points_are_means_over_the_seeds_that_are_done(tmp_path):
    names = ["a-2", "a-1", "b-7"]
    plan(tmp_path, [trial(f"{name}{seed}", {"setting": name}, seed) for seed in (0, 1) for name in names])
    for key, rate in (("a-20", 3.0), ("a-21", 5.0), ("a-10", 11.0)):
        run(tmp_path, key, "done", [metric(rate, "rate"), metric(10 * rate, "distortion")])
    run(tmp_path, "b-70", "failed")
    assert settings(tmp_path) == [{"setting": name} for name in names]
    found = curves(tmp_path, "rate", "distortion", {"a": "A"})
    assert [(dot.x.mean, dot.y.mean, dot.x.n, dot.label) for dot in found["A"]] == [(4, 40, 2, "2"), (11, 110, 1, "1")]
    assert list(found) == ["A"]
    assert curves(tmp_path / "nowhere", "rate", "distortion") == {}
