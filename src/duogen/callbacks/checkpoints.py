"""Checkpoints: all of a run but its data, written atomically, from which it continues bit for bit."""

import io
import math
import random
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from pytorch_lightning import Callback, Trainer

from duogen.callbacks.guards import refuse_bad, refuse_bad_parameters
from duogen.callbacks.records import RowFile
from duogen.errors import UserError
from duogen.files import write_atomic
from duogen.modules.alternating import AlternatingModule
from duogen.modules.ranks import summed
from duogen.modules.state import load_rank_state, load_shared_state, rank_state, shared_state
from duogen.seeds import derive

FORMAT = 1


def seed_generators(seed: int) -> None:
    """Seeds every generator that a process may draw from: torch's on all devices, numpy's and Python's global ones."""
    torch.manual_seed(seed)
    np.random.seed(derive(seed, "numpy") % 2**32)
    random.seed(derive(seed, "python"))


def random_state(device: torch.device) -> dict[str, Any]:
    """The state of every generator that this process draws from, as tensors and plain containers."""
    name, keys, *rest = np.random.get_state(legacy=True)
    version, internal, gauss = random.getstate()
    state = {
        "torch": torch.get_rng_state(),
        "numpy": [name, np.asarray(keys).tolist(), *rest],
        "python": [version, list(internal), gauss],
    }
    return state | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def restore_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    torch.set_rng_state(state["torch"].cpu())
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


class Checkpoints(Callback):
    """Saves every `every` steps, after a validation that is due then, and restores in the last hook before a step.

    Args:
        folder: checkpoints/ of the run; null on ranks other than 0.
        head: what stands in every checkpoint: format, resolved config, key, seed, tracker.
        rows: metrics.jsonl, whose length each checkpoint stores.
        every, validate_every: in steps, >= 1.
        keep: how many step-N.ckpt stay.
        resumed: the checkpoint to continue from, or None.
        better: whether a monitored value beats another; null where nothing is monitored.
        files: the checkpoints that the record already names.
        saved: told of all that stand after each save, with step and sha256.
    """

    def __init__(
        self,
        folder: Path | None,
        head: Mapping[str, Any],
        rows: RowFile | None,
        every: int,
        validate_every: int,
        keep: int,
        resumed: Mapping[str, Any] | None,
        better: Callable[[float, float], bool] | None,
        files: Sequence[Mapping[str, Any]],
        saved: Callable[[list[dict[str, Any]]], None],
    ) -> None:
        self.folder, self.head, self.rows = folder, head, rows
        self.every, self.validate_every, self.keep = every, validate_every, keep
        self.resumed, self.better, self.saved = resumed, better, saved
        self.best: float | None = resumed["best"] if resumed else None
        self.files = [dict(file) for file in files if folder is not None and (folder.parent / file["path"]).exists()]
        self.last_step = resumed["step"] if resumed else -1

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Refuses ranks that have not all found the checkpoint from which the others continue."""
        steps = [rank["step"] for rank in gathered({"step": trainer.global_step})]
        if len(set(steps)) > 1:
            raise UserError(
                f"the ranks begin at the steps {', '.join(map(str, steps))}", "one run folder, seen alike by all nodes",
                "give the same command again, or a run_dir on a file system that the nodes share",
            )  # fmt: skip

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self.resumed is not None:
            restore(trainer, pl_module, self.resumed)
            self.resumed = None

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        step = pl_module.steps
        if step % self.every == 0 and step % self.validate_every:
            self.save(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        value = self.monitored(pl_module)
        improved = value is not None and self.improves(value)
        if improved:
            self.best = value
        if improved or trainer.global_step % self.every == 0:
            self.save(trainer, pl_module, best=improved)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        if self.last_step != trainer.global_step:
            self.save(trainer, pl_module)

    def improves(self, value: float) -> bool:
        return math.isfinite(value) and (
            self.best is None or (self.better is not None and self.better(value, self.best))
        )

    def monitored(self, module: AlternatingModule) -> float | None:
        names = [name for name in module.measured if name.rsplit("/", 1)[-1] == module.monitor]
        return module.measured[names[0]] if names else None

    def save(self, trainer: Trainer, module: AlternatingModule, best: bool = False) -> None:
        """Gathers every rank's own state; rank 0 writes."""
        refuse_bad(module.logged.means(summed))
        refuse_bad_parameters(module)
        self.last_step = step = trainer.global_step
        ranks = gathered(rank_state(module) | {"random": random_state(module.device)})
        if self.folder is None or self.rows is None:
            return
        whole = {**self.head, "step": step, "rows": self.rows.length(), "best": self.best, "ranks": ranks}
        buffer = io.BytesIO()
        torch.save(whole | {"module": module.state_dict()} | shared_state(module), buffer)
        self.write(step, buffer.getvalue(), best)

    def write(self, step: int, content: bytes, best: bool) -> None:
        assert self.folder is not None
        path = self.folder / f"step-{step}.ckpt"
        write_atomic(path, content)
        digest = sha256(content).hexdigest()
        self.files = [
            file for file in self.files if file["path"] not in (f"checkpoints/{path.name}", "checkpoints/last.ckpt")
        ]
        self.files.append({"path": f"checkpoints/{path.name}", "step": step, "sha256": digest})
        for name in ["last.ckpt"] + ["best.ckpt"] * best:
            link(path, self.folder / name)
            self.files = [file for file in self.files if file["path"] != f"checkpoints/{name}"]
            self.files.append({"path": f"checkpoints/{name}", "step": step, "sha256": digest})
        self.prune()
        self.saved(self.files)

    def prune(self) -> None:
        assert self.folder is not None
        by_step = sorted(self.folder.glob("step-*.ckpt"), key=lambda path: int(path.stem.removeprefix("step-")))
        for path in by_step[: -self.keep]:
            path.unlink()
            self.files = [file for file in self.files if file["path"] != f"checkpoints/{path.name}"]


def link(source: Path, target: Path) -> None:
    """Makes `target` another name of `source`, replacing what it named before in one step."""
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    part.hardlink_to(source)
    part.replace(target)


def gathered(mine: dict[str, Any]) -> list[dict[str, Any]]:
    """Every rank's state, in the order of the ranks."""
    if not (dist.is_available() and dist.is_initialized()):
        return [mine]
    every: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(every, mine)
    return every


def restore(trainer: Trainer, module: AlternatingModule, state: Mapping[str, Any]) -> None:
    """Puts back what fitting has built anew: optimizers, schedules, scaler, open windows and every generator."""
    load_shared_state(module, state)
    load_rank_state(module, state["ranks"][trainer.global_rank])
    restore_random_state(state["ranks"][trainer.global_rank]["random"], module.device)
