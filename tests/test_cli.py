"""The command line: help, start-up, and mistakes told in three parts without a traceback or a folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from contracts.cases import MLP, SMALL
from duogen.cli import COMMANDS, DESCRIBED, main
from duogen.compose import compose
from duogen.experiment import begin, trial

RING = (*SMALL, *MLP, "latent_dim=3", "budget.steps=4", "log_every=2")


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """An empty folder and no data; a run that begins is a failure."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(trial.Run, "run", lambda self: pytest.fail("a run was begun"))


def refused(arguments, tmp_path, capsys):
    """What is said of a mistake: three parts, exit code 2, no traceback and no trace."""
    assert main(arguments) == 2
    shown = capsys.readouterr()
    given, _, rest = shown.err.partition("\n  allowed: ")
    allowed, _, remedy = rest.partition("\n  do: ")
    assert given.startswith("duogen: ")
    assert allowed.strip()
    assert remedy.strip()
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == []
    return shown.err


def test_duogen_alone_prints_help(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"    {command}" in shown for command in COMMANDS)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("duogen 0.")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_sentence_and_one_example(command, capsys):
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    ((name, sentence, example, _),) = [entry for entry in DESCRIBED if entry[0] == command]
    assert name == command
    assert example.split()[:2] == ["duogen", command]
    assert shown.count("example: duogen") == 1
    assert " ".join(example.split()) in " ".join(shown.split())
    assert " ".join(sentence.split()) in " ".join(shown.split())


def test_the_examples_compose():
    examples = {entry[0]: entry[2].split()[2:] for entry in DESCRIBED}
    assert compose(examples["train"]).choices["adversarial"] == "hinge"
    assert compose(examples["check"]).choices["generator"] == "mlp"


FRESH = """
import sys
from duogen.cli import main
code = main(sys.argv[1:])
heavy = {"torch", "numpy", "pytorch_lightning", "torchmetrics", "wandb", "scipy", "sklearn", "matplotlib"}
print(code, sorted(heavy & set(sys.modules)), "hydra" in sys.modules)
"""


def fresh(*arguments):
    command = [sys.executable, "-c", FRESH, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_a_misspelt_option_is_told_before_torch_is_imported():
    done = fresh("train", "adversarial=hing")
    assert done.stdout == "2 [] True\n"
    assert "adversarial=hinge" in done.stderr


def test_help_imports_nothing_heavy_and_no_hydra():
    assert fresh().stdout.splitlines()[-1] == "0 [] False"


def test_the_package_is_a_command():
    done = subprocess.run([sys.executable, "-m", "duogen", "trian"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("duogen: duogen trian\n  allowed: train, ")


MISTAKES = {
    "data=ring": "generator=mlp",
    "data=ring generator=mlp": "discriminator=mlp",
    "data=mnist": "duogen data fetch mnist",
    "data=fashion_mnist": "duogen data fetch fashion_mnist",
    "adversarial=wasserstein": "penalty=[gradient_penalty]",
    "penalty=[r1]": "discriminator.batch_norm=false",
    "trainer.precision=16-mixed turns.generator.accumulate=2": "bf16-mixed",
}
MISTAKES_ON_RING = {
    "adversarial=hing": "hinge",
    "budget=huge": "demo, paper, smoke",
    "logger=[csv,nope]": "tensorboard",
    "generator.widht=3": "generator.width",
    "optimizers.critic.lr=1": "optimizers.discriminator, optimizers.generator",
    "+turbo=true": "turbo",
    "seed=0,1": "seed=0,1",
    "optimizer.lr=fast": "optimizer.lr='fast'",
    "optimizer.lr=-1.0": "learning rate",
    "budget.steps=-3": "budget.steps=-3",
    "budget.epochs=0": "budget.epochs=0",
    "budget.samples=x": "budget.samples=x",
    "budget.updates.generator=-1": "budget.updates.generator=-1",
    "budget.updates.critic=3": "budget.updates.discriminator, budget.updates.generator",
    "budget.steps=null": "no limit",
    "trainer.max_steps=0": "trainer.max_steps=0",
    "turns.generator.every=2 turns.discriminator.every=3": "no turn is due at step 0",
    "turns.generator.every=0": "every >= 1",
    "turns.generator.player=critic": "discriminator, generator",
    "turns.generator.objective=critic": "discriminator, discriminator_penalties",
    "turns.generator=null": "turns.generator=null",
    "turns=null": "turns=null",
    "trainer=null": "trainer=null",
    "loggers=null": "loggers=null",
    "optimizers=null": "optimizers=null",
    "turns=solo": "autoencoder",
    "monitor=nonsense": "high_quality",
    "monitor=3": "monitor=3",
    "scheduler=plateau": "monitor is null",
    "optimizers.generator.scheduler=null": "scheduler=constant",
    "trainer.precision=64": "32, bf16-mixed, 16-mixed",
    "trainer.devices=0": "trainer.devices=0",
    "trainer.devices=true": "trainer.devices=true",
    "trainer.devices=20": "data.batch_size=20 or more",
    "trainer.accelerator=tpu": "trainer=auto",
    "data.batch_size=5000": "5000",
    "data.batch_size=0": "data.batch_size=0",
    "data.workers=-1": "data.workers=-1",
    "data.shape=[3]": "[2]",
    "data.classes=2": "data.classes=2",
    "keep=0": "keep=0",
    "log_every=0": "log_every=0",
    "log_every=null": "log_every=null",
    "validate_every=-1": "validate_every=-1",
    "validate_every=2.5": "validate_every=2.5",
    "checkpoint_every=0": "checkpoint_every=0",
    "seed=x": "seed=x",
    "seed=-1": "seed=-1",
    "latent_dim=0": "latent_dim=0",
    "generator.latent_dim=7": "cannot be played",
    "optimizers.generator.ema.decay=2": "less than 1",
    "optimizers.generator.ema.decay=1.0": "less than 1",
    "optimizers.generator.ema.start=x": "optimizers.generator.ema.start=x",
    "optimizers.generator.ema=null": "decay=null",
    "optimizers.generator=null": "optimizers.generator=null",
    "resume=/nonexistent": "/nonexistent",
    "resume=last": "runs/gan-ring",
    "resume=last fresh=true": "one of them",
    "resume=last run_dir=here": "one of them",
    "fresh=maybe": "fresh=maybe",
    "compile=nonsense": "inductor",
    "compile=3": "compile=3",
    "name=../escape": "run_dir=PATH",
    "name=/etc": "run_dir=PATH",
    "name=[a]": "run_dir=PATH",
    "generator._target_=os.system": "generator._target_=os.system",
    "+generator._partial_=true": "_partial_",
    "--detach seed=1": "duogen train -m ... --detach",
    "sweep=adversarial seed=1": "sweep=adversarial seed=1",
    "-m adversarial=hinge,hing": "allowed: hinge",
    "-m adversarial=glob(x*)": "matches nothing",
    "-m optimizer.lr=interval(0,1)": "hydra/sweeper=optuna",
    "-m seed=0,x": "whole numbers",
    "-m seed=range(0)": "seed=range(5)",
    "-m seed=0,1 run_dir=here": "hydra.sweep.dir=PATH",
    "-m seed=0,1 resume=last": "resume with -m",
    "-m seed=0,1 name=a,b": "name=a,b",
    "-m seed=0,1 name=../up": "hydra.sweep.dir=PATH",
    "-m sweep=adversarials": "allowed: adversarial",
    "-m generator.width=8,16 generator.widht=3": "generator.width",
    "-m generator.widht=8,16": "generator.width",
    "-m optimizer.lr=fast,1e-3": "optimizer.lr=fast",
    "-m adversarial=hinge,wasserstein": "hydra.sweeper.refused=skip",
    "-m log_every=1,2": "are the same run",
    "-m seed=0,1 hydra.sweeper.refused=maybe": "stop, skip",
    "-m seed=0,1 hydra.sweeper.fail_fast_after=0": "fail_fast_after=0",
    "-m seed=0,1 hydra.sweeper.settings={a:3}": "+hydra.sweeper.settings={a:3}",
    "-m seed=0,1 +hydra.sweeper.settings={a:3}": "hydra.sweeper.settings.a=3",
    "-m seed=0,1 hydra.sweeper.parms={}": "hydra.sweeper.params",
    "-m seed=0,1 hydra/launcher=pol": "hydra/launcher=pool",
    "-m seed=0,1 hydra/sweeper=grd": "hydra/sweeper=grid",
    "-m seed=0,1 hydra.launcher.slots=[a,a]": "different names",
    "-m seed=0,1 hydra.launcher.slots=abc": "slots=abc",
    "-m seed=0,1 hydra.launcher.threads=0": "threads=0",
    "-m seed=0,1 hydra.launcher.slots=[a] trainer=ddp_cpu": "asks for 2 slots",
    "-m seed=0,1 --detach": "hydra/launcher=slurm",
    "-m seed=0,1 trial.timeout=-1": "trial.timeout=-1",
    "--allow nonsense": "--allow",
    "--config-dir /nonexistent": "/nonexistent",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_three_parts_and_leaves_nothing(mistake, tmp_path, capsys):
    assert MISTAKES[mistake] in refused(["train", "logger=none", *mistake.split()], tmp_path, capsys)


@pytest.mark.parametrize("mistake", MISTAKES_ON_RING)
def test_a_mistake_in_a_small_run_leaves_nothing(mistake, tmp_path, capsys):
    assert MISTAKES_ON_RING[mistake] in refused(["train", *RING, *mistake.split()], tmp_path, capsys)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("trian", "allowed: train"),
        ("--nope", "--nope"),
        ("train --lr 3", "name=value"),
        ("check generator.latent_dim=7", "cannot be played"),
        ("check adversarial=hing", "hinge"),
        ("check log_every=0", "log_every=0"),
        ("data fetch", "data list"),
        ("sweep", "sweep status DIR"),
        ("sweep status", "sweep status DIR"),
        ("sweep status nothing", "nothing"),
        ("sweep state x", "sweep status DIR"),
        ("sweep export-wandb nothing", "allowed: "),
        ("sweep export-wandb generators to=x", "out=..."),
        ("data fetch mist", "allowed: mnist"),
        ("data drop mnist", "data fetch NAME"),
        ("evaluate", "give checkpoint=PATH"),
        ("evaluate checkpoint=", "is a folder"),
        ("evaluate checkpoint=nothing.ckpt", "nothing.ckpt is not there"),
        ("evaluate chekpoint=x", "checkpoint=..."),
        ("evaluate last.ckpt", "last.ckpt is not understood"),
        ("sample", "give checkpoint=PATH"),
        ("sample checkpoint=nothing.ckpt", "nothing.ckpt is not there"),
        ("sample checkpoint=nothing.ckpt n=1.5", "n=1.5"),
        ("sample checkpoint=nothing.ckpt show=neighbour", "show=neighbours"),
        ("sample checkpoint=nothing.ckpt steps=3", "show=interpolation"),
        ("sample checkpoint=nothing.ckpt truncation=wide", "a number"),
        ("sample checkpoint=nothing.ckpt psi=2", "0 to 1.5"),
        ("sample checkpoint=nothing.ckpt stading=2", "standing=..."),
        ("evaluate checkpoint=nothing.ckpt standing=0", "1 to 10000"),
        ("evaluate checkpoint=nothing.ckpt truncation=0", "more than 0"),
        ("evaluate checkpoint=nothing.ckpt n=3", "standing=..."),
    ],
)
def test_a_mistake_in_another_command_leaves_nothing(arguments, named, tmp_path, capsys):
    assert named in refused(arguments.split(), tmp_path, capsys)


def test_classes_of_the_users_own_come_from_the_working_folder_and_only_if_allowed(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_nets.py").write_text(
        "from duogen.networks.dense import MlpGenerator\nclass Own(MlpGenerator): ...\n"
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(trial.Run, "run", lambda self: type(self.module.generator).__qualname__ != "Own")
    monkeypatch.setattr(begin, "show", lambda folder: None)
    command = ["train", *RING, "generator._target_=my_nets.Own", f"run_dir={tmp_path / 'run'}"]
    assert main(command) == 2
    assert "may not be built" in capsys.readouterr().err
    assert str(tmp_path) not in sys.path
    assert main(["train", "--allow", "my_nets.", *command[1:]]) == 0
    assert main([*command[:4], "--allow", "my_nets.", *command[4:]]) == 0


def test_ctrl_c_before_a_run_is_130(monkeypatch):
    monkeypatch.setattr(begin, "resolve", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["train", *RING]) == 130


def test_data_list_tells_what_is_there(capsys):
    assert main(["data", "list"]) == 0
    shown = capsys.readouterr().out
    assert "not there: duogen data fetch mnist" in shown
    assert main(["data", "fetch", "digits"]) == 0
    assert "needs no download" in capsys.readouterr().out


def test_a_sweep_without_m_names_the_command(capsys):
    assert main(["train", "sweep=generators", "seed=range(3)"]) == 2
    assert "do: duogen train -m sweep=generators " in capsys.readouterr().err


def test_a_sweep_is_handed_its_command(monkeypatch):
    seen = []
    monkeypatch.setattr("duogen.sweep.run.sweep", lambda *given: seen.append(given) or 7)
    assert main(["train", "-m", "seed=0,1", "--config-dir", "mine", "--allow", "my_nets."]) == 7
    assert main(["train", "seed=0,1", "--multirun", "--detach"]) == 7
    assert seen == [(["seed=0,1"], Path("mine"), ["my_nets."], False), (["seed=0,1"], None, [], True)]


def test_the_status_of_a_sweep_is_told(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("duogen.sweep.shown.results.status", lambda folder: seen.append(folder) or 0)
    assert main(["sweep", "status", str(tmp_path)]) == 0
    assert main(["sweep", "status", "~/x"]) == 0
    assert seen == [tmp_path, Path("~/x").expanduser()]
