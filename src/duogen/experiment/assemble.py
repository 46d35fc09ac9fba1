"""From a resolved config to the objects of a run: module, data, how the players learn, and the Trainer."""

import logging
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.plugins import MixedPrecision
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from duogen.data.examples import ExamplesData
from duogen.data.folder import cache_folder
from duogen.errors import UserError, nearest
from duogen.experiment.build import build
from duogen.experiment.crew import world_size
from duogen.experiment.loop import TurnLoop
from duogen.metrics.gallery import share
from duogen.metrics.measure import Measure
from duogen.modules.alternating import AlternatingModule, Learner
from duogen.modules.average import MovingAverage
from duogen.modules.turns import Turns
from duogen.seeds import derive

FOLLOWING = "torch.optim.lr_scheduler.ReduceLROnPlateau"


class SummedGradients(DDPStrategy):
    """Ranks whose gradients the turns sum themselves: nothing is wrapped, nothing is launched.

    One all-reduce per optimizer step replaces DistributedDataParallel's reducer, which expects one backward per forward
    and every parameter in it: neither holds where players take turns.
    """

    def configure_ddp(self) -> None:
        """Leaves the module as it is: every rank has built it from the same seed."""


def module(config: Mapping[str, Any], allow: Sequence[str]) -> AlternatingModule:
    """The module with its networks initialised from (seed, networks), with its measures, ready to be evaluated."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(config["seed"], "networks"))
        built = build(config["model"], allow)
    evaluate_with(built, config, allow)
    return built


def evaluate_with(module: AlternatingModule, config: Mapping[str, Any], allow: Sequence[str]) -> None:
    """Gives the module the measures of the config; those of one extractor share what it extracts."""
    measures: dict[str, Measure] = {name: build(node, allow) for name, node in config["metrics"].items()}
    share(measures.values(), cache_folder() / "references")
    module.evaluate_with(measures, config["seed"])


def data(config: Mapping[str, Any], allow: Sequence[str]) -> ExamplesData:
    return build(config["data"], allow)


def teach(module: AlternatingModule, config: Mapping[str, Any], allow: Sequence[str]) -> None:
    """Gives the module its turns and each player its optimizer, schedule and average, as the config says."""
    turns = build(config["turns"], allow)
    for name, turn in turns.turns.items():
        for role, given, known in (
            ("player", turn.player, module.players),
            ("objective", turn.objective or turn.player, module.objectives),
        ):
            if given not in known:
                options = ", ".join(nearest(given, known))
                raise UserError(f"turns.{name}.{role}={given}", options, "choose turns that fit the model")
    refuse_monitor(module, config["monitor"])
    refuse_loss_scale(turns, str(config["trainer"]["precision"]))
    shares = turns.shares(module.lazy_objectives)
    optimizers = {
        player: learner(config, player, shares.get(player, 1.0), allow, module.measures) for player in module.players
    }
    module.learn(turns, optimizers, config["monitor"])
    if config["compile"]:
        for network in module.compiled:
            network.compile(**({} if config["compile"] is True else {"backend": config["compile"]}))


def directions(measures: Mapping[str, Measure]) -> dict[str, bool]:
    """Whether more is better, for every value that the chosen metrics give at a validation."""
    seen = [measure for measure in measures.values() if measure.validates]
    return {name: fact.higher_is_better for measure in seen for name, fact in measure.facts.items()}


def refuse_loss_scale(turns: Turns, precision: str) -> None:
    """A 16-bit loss scale serves one step of each player and batch."""
    if precision == "16-mixed" and turns.repeated is not None:
        given = f"trainer.precision=16-mixed with turns that differentiate {turns.repeated} more than once on a batch"
        raise UserError(given, "bf16-mixed, 32", "use trainer.precision=bf16-mixed")


def refuse_monitor(module: AlternatingModule, monitor: str | None) -> None:
    known = directions(module.measures)
    if monitor is not None and monitor not in known:
        raise UserError(f"monitor={monitor}", ", ".join(nearest(monitor, known)), "name a value of the chosen metrics")


def refuse_direction(
    monitor: str | None, player: str, scheduler: Mapping[str, Any], measures: Mapping[str, Measure]
) -> None:
    """A schedule that follows a value must follow one, and in its direction."""
    if scheduler.get("_target_") != FOLLOWING:
        return
    known, mode = directions(measures), scheduler.get("mode", "min")
    if monitor is None:
        given = f"monitor is null, but the schedule of {player} follows a value"
        raise UserError(given, ", ".join(known), "give monitor=NAME")
    right = "max" if known[monitor] else "min"
    if mode != right:
        better = "higher" if known[monitor] else "lower"
        raise UserError(
            f"optimizers.{player}.scheduler.mode={mode} with monitor={monitor}, of which {better} is better",
            f"mode={right}",
            f"use scheduler.mode={right}",
        )


def learner(
    config: Mapping[str, Any], player: str, share: float, allow: Sequence[str], measures: Mapping[str, Measure]
) -> Learner:
    """The player's own settings, merged over those that all players share; `share` of its steps are not lazy."""
    own = dict(config["optimizers"][player])
    scheduler, ema = own.pop("scheduler"), own.pop("ema")
    node = dict(config["optimizer"]) | own
    if share < 1:
        refuse_set_decay(player, scheduler)

    def optimizer(parameters: Iterable[nn.Parameter]) -> Optimizer:
        return slowed(build(node, allow, params=list(parameters)), share)

    refuse_direction(config["monitor"], player, scheduler, measures)

    def schedule(optimizer: Optimizer) -> LRScheduler:
        return build(scheduler, allow, optimizer=optimizer)

    def average(network: nn.Module) -> MovingAverage:
        return MovingAverage(network, ema["decay"], ema["start"])

    return Learner(optimizer, schedule if scheduler else None, average if ema["decay"] is not None else None)


def refuse_set_decay(player: str, scheduler: Mapping[str, Any]) -> None:
    """A schedule that sets Adam's decay outright would undo what a lazy turn makes of it."""
    if scheduler.get("beta2") is not None:
        given = f"optimizers.{player}.scheduler.beta2 with a lazy turn of {player}, which slows its optimizer"
        raise UserError(given, "one of the two", f"use optimizers.{player}.scheduler.beta2=null, or turns=alternate")


def slowed(optimizer: Optimizer, share: float) -> Optimizer:
    """The optimizer, slowed where lazy turns add steps of their own, so that all steps together move as far.

    lr c and betas ** c, c = k / (k + 1) being the `share` of a player's steps that are not lazy. Only where steps are
    divided by a running norm, Adam's or RMSprop's with its alpha: plain gradient steps add up as they are.
    Source: Karras et al. 2020 (StyleGAN2), appendix B.
    """
    for group in optimizer.param_groups:
        if "betas" in group:
            group |= {"lr": group["lr"] * share, "betas": tuple(beta**share for beta in group["betas"])}
        elif "alpha" in group:
            group |= {"lr": group["lr"] * share, "alpha": group["alpha"] ** share}
    return optimizer


def better(module: AlternatingModule) -> Callable[[float, float], bool] | None:
    """Whether the monitored value improved, by the direction that its metric declares."""
    if module.monitor is None:
        return None
    sign = 1 if directions(module.measures)[module.monitor] else -1
    return lambda new, old: sign * new > sign * old


def trainer(config: Mapping[str, Any], callbacks: Sequence[Callback]) -> Trainer:
    """A Trainer that only runs batches and validations: it saves, logs, launches and prints nothing of its own."""
    quiet()
    node = config["trainer"]
    kind, ranks = node["accelerator"], world_size(node)
    plugins: list[Any] = []
    if node["precision"] != "32":
        scaler = torch.amp.GradScaler(kind) if node["precision"] == "16-mixed" else None
        plugins.append(MixedPrecision(node["precision"], kind, scaler))
    if ranks > 1:
        plugins.append(LightningEnvironment())
    built = Trainer(
        accelerator=kind,
        devices=node["devices"],
        num_nodes=node.get("nodes", 1),
        strategy=SummedGradients() if ranks > 1 else "auto",
        plugins=plugins,
        max_steps=node["max_steps"],
        max_epochs=1,
        val_check_interval=config["validate_every"],
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        inference_mode=False,
        logger=False,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    built.fit_loop.epoch_loop = TurnLoop(built, max_steps=node["max_steps"])
    # The trial owns the signals: Lightning would turn them into exit codes of its own.
    built._signal_connector.register_signal_handlers = lambda: None
    return built


def quiet() -> None:
    """Lightning's banners and hints speak of flags that we set ourselves."""
    for name in ("pytorch_lightning", "pytorch_lightning.utilities.rank_zero", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*in eval mode.*")
    warnings.filterwarnings("ignore", message=".*`srun` command is available.*")
    warnings.filterwarnings("ignore", message="The ``compute`` method of metric")
