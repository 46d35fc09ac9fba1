"""Law 3: a turn moves its own player and nothing else, and reaches every parameter of it."""

import pytest

from contracts.cases import found, run
from contracts.watch import Watch
from duogen.modules.turns import Turns

CASES = found()


@pytest.mark.parametrize("turns", ["alternate", "simultaneous"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_turn_moves_its_own_player_alone_and_all_of_it(case, turns, tmp_path, monkeypatch):
    watch = Watch(monkeypatch)
    run(case.config("budget.steps=12", f"turns={turns}"), tmp_path / "run")
    assert watch.acts >= 12
    assert watch.reached
    assert watch.unreached() == []


@pytest.mark.parametrize(
    "overrides",
    [
        ("discriminator.spectral_norm=true",),
        ("penalty=[r1,r2]",),
        ("adversarial=wasserstein", "penalty=[gradient_penalty]", "turns=five_to_one"),
        ("turns.discriminator.accumulate=3", "turns.generator.accumulate=4", "turns.generator.clip=0.1"),
        ("optimizers.generator.ema.decay=0.9",),
    ],
    ids=lambda overrides: overrides[0].split("=")[0],
)
def test_isolation_holds_with_the_gans_options(overrides, tmp_path, monkeypatch):
    case = next(case for case in CASES if case.name == "gan")
    watch = Watch(monkeypatch)
    run(case.config("budget.steps=12", *overrides), tmp_path / "run")
    assert set(watch.moved) == {"generator", "discriminator"}
    assert watch.unreached() == []


@pytest.mark.parametrize("turns", ["alternate", "simultaneous"])
def test_clipped_weights_are_clipped_whenever_the_generator_learns(turns, tmp_path, monkeypatch):
    """Arjovsky et al. 2017, algorithm 1: the critic is clipped after its step, before anybody sees it."""
    case = next(case for case in CASES if case.name == "gan")
    act, seen = Turns.act, []

    def watched(self, module, name, batch):
        seen.append((module.step, max(float(p.detach().abs().max()) for p in module.parameters_of("discriminator"))))
        return act(self, module, name, batch)

    monkeypatch.setattr(Turns, "act", watched)
    settings = ("adversarial=wasserstein", "model.weight_clip=0.01", "optimizer=rmsprop", "optimizer.lr=0.1")
    run(case.config("budget.steps=4", f"turns={turns}", *settings), tmp_path / "run")
    assert len(seen) == 8
    assert all(largest <= 0.01 for step, largest in seen[2 if turns == "simultaneous" else 1 :])


def test_isolation_holds_for_convolutions_with_batch_norm(tmp_path, monkeypatch):
    from contracts.cases import Case

    small = (
        "data=digits",
        "data.batch_size=8",
        "logger=none",
        "trainer=cpu",
        "generator.width=4",
        "discriminator.width=4",
    )
    watch = Watch(monkeypatch)
    run(Case("dcgan", small).config("budget.steps=3"), tmp_path / "run")
    assert any("running" not in name for name in watch.moved["generator"])
    assert watch.unreached() == []
