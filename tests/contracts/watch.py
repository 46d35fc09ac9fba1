"""Law 3 as a watch over acts and updates: it fails at whatever moves out of turn."""

import torch

from duogen.modules.alternating import AlternatingModule
from duogen.modules.turns import Turns


def copies(module, kind):
    pairs = module.named_parameters() if kind == "parameters" else module.named_buffers()
    return {name: value.detach().clone() for name, value in pairs if not name.startswith("averages.")}


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


class Watch:
    """Wraps acts and updates of every module; `reached` are the gradients seen, `moved` the parameters, by player."""

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
        lazy = turn.objective in module.lazy_objectives  # a penalty on the slope cannot see the last bias
        for n, p in module.named_parameters():
            if n in own:
                finite = lazy if p.grad is None else bool(torch.isfinite(p.grad).all())
                self.reached.setdefault((turn, n), []).append(finite)
        before = copies(module, "parameters")
        taken = update(module, turn, window)
        moved = changed(before, copies(module, "parameters"))
        assert moved
        assert moved <= own
        self.moved.setdefault(turn.player, set()).update(moved)
        return taken

    def unreached(self):
        return [(turn.player, name) for (turn, name), finite in self.reached.items() if not all(finite)]
