"""Laws 3 and 6 to 9 for what a GAN is made of: regularisers, augmentations, schedules, conditions, larger networks."""

import json
import math

import pytest
import torch

from contracts.cases import ALLOW, FILES, MLP, Case, run
from contracts.rank_work import train_and_keep_gradients, train_and_keep_module
from contracts.test_compiled import Syncs
from contracts.test_resume import STEPS, check_every_save_point
from contracts.watch import Watch
from duogen.augmentations.diffaugment import DiffAugment
from duogen.experiment import assemble, crew
from duogen.experiment.checkpoint import load
from duogen.experiment.trial import Plan
from duogen.modules.gan import GAN
from duogen.modules.turns import Alternate, Turns
from duogen.records import Examples

DIGITS = ("data=digits", "data.batch_size=8", "logger=none", "trainer=cpu", "metrics=[]",
          *(size for size in MLP if "depth" not in size))  # fmt: skip
NOISE = "latent_dim=3"
QUICK_ADA = ("augmentation=ada", "augmentation.speed=100", "augmentation.every=3", "augmentation.target=-0.9",
             "optimizer.lr=0.02")  # fmt: skip
LAZY = ("penalty=[r1,path_length]", "turns=lazy_path", "turns.discriminator_penalties.every=3",
        "turns.generator_penalties.every=4")  # fmt: skip
STYLE = ("generator=style", "generator.style_dim=4", "generator.mapping_depth=2", "generator.width=2")
ENERGY = ("discriminator=autoencoder", "discriminator.hidden_dim=5", "adversarial=began", "adversarial.gain=0.1")
TRANSFORMER = ("discriminator=transformer", "discriminator.heads=2", "discriminator.depth=1")
AVERAGED = ("optimizers.generator.ema.decay=0.9",)
INGREDIENTS = {
    "began": (*ENERGY, NOISE),
    "lecam": ("penalty=[lecam]", NOISE),
    "ada": (*QUICK_ADA, NOISE),
    "lazy": (*LAZY, NOISE),
    "extragradient": ("turns=extragradient", NOISE),
    "unrolled": ("turns=unrolled", "turns.ahead.unroll=2", NOISE),
    "optimistic": ("optimizer=optimistic_adam", NOISE),
    "ramped": ("scheduler=ramped", NOISE),
    "infogan": ("model=infogan", *FILES["infogan"][len(MLP) :]),
    "projection": ("model=conditional_gan", NOISE),
    "auxiliary": ("model=conditional_gan", "conditioning=auxiliary_classifier", "discriminator.dropout=0.3", NOISE),
    "packed": ("pack=2", "discriminator.minibatch_std=true", NOISE),
    "style": (*STYLE, *AVERAGED, NOISE),
    "attention": ("generator=attention", "generator.width=4", "discriminator.spectral_norm=true", NOISE),
}  # fmt: skip
# What each of these has beside weights, by its end in a checkpoint's module: it has to have moved.
STATE = {
    "began": "adversarial.balance", "lecam": "penalties.lecam.real_mean", "ada": "augmentation.probability",
    "lazy": "penalties.path_length.length", "style": "generator.mean_style",
}  # fmt: skip


def config(name, *more):
    return Case(name, (*DIGITS, *INGREDIENTS[name])).config(*more)


@pytest.mark.parametrize("name", INGREDIENTS)
def test_it_resumes_bit_for_bit(name, tmp_path):
    """From the steps 7 and 21, within the windows of what counts turns, with all of the ingredient's own state."""
    every = (f"budget.steps={STEPS}", "checkpoint_every=7", f"keep={STEPS}", "log_every=4", "validate_every=5")
    check_every_save_point(config(name, *every), tmp_path, [7, 21])
    if name in STATE:
        early, late = (load(tmp_path / "whole" / "checkpoints" / f"step-{step}.ckpt")["module"] for step in (7, 21))
        assert early[STATE[name]].abs().max() > 0
        assert not torch.equal(early[STATE[name]], late[STATE[name]])


def in_turn(work, plans, out):
    """On one rank: the trials one after the other, each keeping what it keeps in a folder of its own."""
    codes = []
    for name, plan in plans.items():
        (out / name).mkdir(exist_ok=True)
        codes.append(work(plan, out / name))
    return max(codes)


def on_two_ranks(work, configs, tmp_path):
    plans = {name: Plan(each, tmp_path / "runs" / name, allow=ALLOW) for name, each in configs.items()}
    assert crew.launch(in_turn, 2, work, plans, tmp_path) == 0


def test_ranks_end_with_equal_networks_and_equal_feedback(tmp_path):
    names = ["began", "lecam", "ada", "lazy", "extragradient", "infogan", "projection", "packed", "style"]
    steps = ("trainer=ddp_cpu", "budget.steps=8", "log_every=4", "validate_every=8")
    configs = {name: config(name, *steps) for name in names}
    configs["uneven"] = config("ada", *steps, "data.batch_size=7", "penalty=[lecam]")
    on_two_ranks(train_and_keep_module, configs, tmp_path)
    unequal = []
    for name in configs:
        a, b = (torch.load(tmp_path / name / f"module-{rank}.pt") for rank in range(2))
        if name in STATE:
            assert a["module"][STATE[name]].abs().max() > 0, name
        assert not torch.equal(a["noise"], b["noise"]), name
        unequal += [(name, key) for key, value in a["module"].items() if not torch.equal(value, b["module"][key])]
    assert unequal == []


def test_gradients_of_ranks_are_those_of_one_process(tmp_path):
    chosen = {"packed": ("discriminator.minibatch_std=false", "penalty=[r1]"), "projection": (), "auxiliary": ()}
    settings = ("optimizer=sgd", "budget.steps=5", "validate_every=100", "discriminator.dropout=0")
    whole = {name: config(name, *settings, *more) for name, more in chosen.items()}
    halves = {name: config(name, *settings, *more, "trainer=ddp_cpu") for name, more in chosen.items()}
    one = tmp_path / "one"
    one.mkdir()
    plans = {name: Plan(each, one / "runs" / name, allow=ALLOW) for name, each in whole.items()}
    assert in_turn(train_and_keep_gradients, plans, one) == 0
    on_two_ranks(train_and_keep_gradients, halves, tmp_path)
    for name in chosen:
        expected = torch.load(one / name / "gradients-0.pt").double()
        for rank in range(2):
            found = torch.load(tmp_path / name / f"gradients-{rank}.pt").double()
            assert found.shape == expected.shape
            assert ((found - expected).norm(dim=0) / expected.norm(dim=0)).max() <= 1e-5, (name, rank)


def rows(folder):
    return [json.loads(line) for line in folder.rows.read_text().splitlines()]


@pytest.mark.parametrize("discriminator", [("discriminator.spectral_norm=true",), ("discriminator=attention",)])
def test_r1_under_spectral_norm_and_bfloat16_stays_finite(discriminator, tmp_path, monkeypatch):
    watch = Watch(monkeypatch)
    settings = ("penalty=[r1]", "trainer.precision=bf16-mixed", "budget.steps=6", "log_every=2", NOISE)
    folder = run(Case("bf16", (*DIGITS, *discriminator)).config(*settings), tmp_path / "run")
    assert watch.unreached() == []
    terms = [value for row in rows(folder) for name, value in row.items() if name.startswith("train/")]
    assert any("train/discriminator/r1" in row for row in rows(folder))
    assert all(map(math.isfinite, terms))


@pytest.mark.parametrize(
    "overrides",
    [
        (*STYLE, "penalty=[r1,r2,gradient_penalty,path_length]"),
        ("discriminator=attention", "discriminator.width=4", "penalty=[r1]"),
        (*TRANSFORMER, "penalty=[r1,gradient_penalty]"),
    ],
    ids=["style and dense", "attention", "transformer"],
)
def test_compiled_networks_are_penalised_as_eager_ones_are(overrides, tmp_path):
    settings = ("optimizer=sgd", "budget.steps=2", "log_every=1", "validate_every=100", NOISE)
    case = Case("compiled", (*DIGITS, *overrides))
    eager = run(case.config(*settings), tmp_path / "eager")
    compiled = run(case.config(*settings, "compile=aot_eager"), tmp_path / "compiled")
    first, last = load(eager.last)["module"], load(compiled.last)["module"]
    assert list(first) == list(last)
    for name, value in first.items():
        torch.testing.assert_close(last[name], value, rtol=1e-4, atol=1e-6)
    for one, other in zip(rows(eager), rows(compiled), strict=True):
        terms = {name: value for name, value in one.items() if name.startswith("train/")}
        assert {name: other[name] for name in terms} == pytest.approx(terms, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    "overrides",
    [
        (*INGREDIENTS["ada"], "penalty=[lecam,r1]"),
        ("augmentation=diffaugment", "penalty=[balanced_consistency]", NOISE),
        INGREDIENTS["began"],
        INGREDIENTS["lazy"],
        INGREDIENTS["infogan"],
        (*INGREDIENTS["auxiliary"], "penalty=[latent_consistency]"),
        ("pack=2", "model.top_k=0.5", "penalty=[feature_matching]", NOISE),
    ],
    ids=["ada lecam", "diffaugment", "began", "lazy", "infogan", "auxiliary", "packed top k"],
)
def test_a_step_of_it_has_no_host_sync(overrides, tmp_path, monkeypatch):
    syncs, play = Syncs(), Alternate.play

    def watched(turns, module, batch):
        with syncs:
            play(turns, module, batch)

    monkeypatch.setattr(Alternate, "play", watched)
    settings = ("optimizer=sgd", "budget.steps=9", "log_every=100", "validate_every=100")
    folder = run(Case("syncs", (*DIGITS, *overrides)).config(*settings), tmp_path / "run")
    assert folder.record().steps == 9
    assert syncs.count == 0


@pytest.mark.parametrize("name", ["lazy", "unrolled", "extragradient", "infogan", "auxiliary", "style"])
def test_its_turns_move_their_own_player_alone_and_all_of_it(name, tmp_path, monkeypatch):
    watch = Watch(monkeypatch)
    run(config(name, "budget.steps=4", "validate_every=100"), tmp_path / "run")
    assert set(watch.moved) == {"generator", "discriminator"}
    assert watch.unreached() == []


def built(*overrides):
    module = assemble.module(case := Case("built", (*DIGITS, *overrides)).config(NOISE), ())
    assemble.teach(module, case, ())
    return module


def images(count=8):
    return Examples(torch.rand(count, 1, 8, 8) * 2 - 1)


@pytest.mark.parametrize("penalty", ["r1", "r2"])
def test_a_slope_is_taken_at_the_raw_image_through_the_augmentation(penalty, monkeypatch):
    """T(x) = x^2 in place of a random change: the slope of D(x^2) at x is 2 x D'(x^2), not D'(x^2)."""
    monkeypatch.setattr(DiffAugment, "changed", lambda self, images, step: images.square())
    module, batch = built("augmentation=diffaugment", f"penalty=[{penalty}]"), images()
    torch.manual_seed(3)
    term = module.discriminator_loss(batch).terms[penalty]
    torch.manual_seed(3)
    with torch.no_grad():
        generated = module.generator(module.noise(8))
    raw = batch.values if penalty == "r1" else generated
    changed = raw.square().requires_grad_()
    (slope,) = torch.autograd.grad(module.discriminator(changed).sum(), changed)
    expected = (2 * raw * slope).flatten(1).square().sum(1) / 2
    torch.testing.assert_close(term, expected)


@pytest.mark.parametrize("name", ["lecam", "ada", "infogan", "projection", "packed"])
def test_generated_examples_are_detached_in_the_discriminators_turn_alone(name, tmp_path, monkeypatch):
    """Seen by the loss, not by the gradients: also a generator whose graph is never differentiated costs memory."""
    seen, meet, act = [], GAN.meet, Turns.act

    def met(module, batch):
        play = meet(module, batch)
        seen.append((player[-1], play.fake.requires_grad, play.real.requires_grad))
        return play

    player = []
    monkeypatch.setattr(GAN, "meet", met)
    monkeypatch.setattr(
        Turns, "act", lambda turns, module, turn, batch: (player.append(turn), act(turns, module, turn, batch))[1]
    )
    run(config(name, "budget.steps=2", "validate_every=100"), tmp_path / "run")
    assert seen == [("discriminator", False, False), ("generator", True, False)] * 2
