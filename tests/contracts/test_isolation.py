"""Law 3: a turn moves its own player and nothing else, and reaches every parameter of it."""

import pytest
import torch

from contracts.cases import found, run
from duogen.modules.alternating import AlternatingModule
from duogen.modules.turns import Turns

CASES = found()


def copies(module, kind):
    pairs = module.named_parameters() if kind == "parameters" else module.named_buffers()
    return {name: value.detach().clone() for name, value in pairs if not name.startswith("averages.")}


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


class Watch:
    """Wraps acts and updates; fails at the first parameter, gradient or buffer that moves out of turn."""

    def __init__(self, monkeypatch):
        self.reached, self.moved, self.acts = {}, {}, 0
        act, update = Turns.act, AlternatingModule.update
        monkeypatch.setattr(Turns, "act", lambda turns, module, name, batch: self.act(act, turns, module, name, batch))
        monkeypatch.setattr(
            AlternatingModule,
            "update",
            lambda module, turn, window: self.update(update, module, turn, window),
        )

    def own(self, module, player):
        ids = {id(p) for p in module.players[player].parameters()}
        return {name for name, p in module.named_parameters() if id(p) in ids}

    def act(self, act, turns, module, name, batch):
        self.acts += 1
        player = turns.turns[name].player
        parameters, buffers = copies(module, "parameters"), copies(module, "buffers")
        loss = act(turns, module, name, batch)
        own = self.own(module, player)
        assert changed(parameters, copies(module, "parameters")) == set()
        outside = [n for n, p in module.named_parameters() if p.grad is not None and n not in own]
        assert outside == []
        ids = {id(b) for b in module.players[player].buffers()}
        mine = {n for n, b in module.named_buffers() if id(b) in ids}
        allowed = tuple(module.changing_buffers)
        moved = changed(buffers, copies(module, "buffers"))
        assert [n for n in moved if n not in mine and not n.startswith(allowed)] == []
        return loss

    def update(self, update, module, turn, window):
        own = self.own(module, turn.player)
        for n, p in module.named_parameters():
            if n in own:
                finite = p.grad is not None and bool(torch.isfinite(p.grad).all())
                self.reached.setdefault((turn, n), []).append(finite)
        before = copies(module, "parameters")
        taken = update(module, turn, window)
        moved = changed(before, copies(module, "parameters"))
        assert moved
        assert moved <= own
        self.moved.setdefault(turn.player, set()).update(moved)
        return taken


@pytest.mark.parametrize("turns", ["alternate", "simultaneous"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_turn_moves_its_own_player_alone_and_all_of_it(case, turns, tmp_path, monkeypatch):
    watch = Watch(monkeypatch)
    run(case.config("budget.steps=12", f"turns={turns}"), tmp_path / "run")
    assert watch.acts >= 12
    assert watch.reached
    unreached = [key for key, finite in watch.reached.items() if not all(finite)]
    assert unreached == []


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
    assert all(all(finite) for finite in watch.reached.values())


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
    assert all(all(finite) for finite in watch.reached.values())
