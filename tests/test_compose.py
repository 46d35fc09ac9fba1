import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from duogen import conftree
from duogen.compose import compose
from duogen.conftree import FLAGS
from duogen.errors import UserError
from duogen.loading import searching

FILES = {
    "train.yaml": """
defaults:
  - _self_
  - model: gan
  - data: ring
  - optimizer: adam
  - trainer: auto
  - experiment: null
seed: 0
resume: null
run_dir: null
notes: null
name: ${hydra.runtime.choices.model}-${hydra.runtime.choices.data}
budgets: {smoke: {steps: 20}, paper: {steps: 700}}
""",
    "model/gan.yaml": """# @package _global_
defaults:
  - /generator: mlp
  - /discriminator: mlp
  - /adversarial: hinge
  - /penalty: []
  - _self_
penalties: {}
model: {_target_: duogen.modules.gan.GAN, generator: "${generator}", weight_clip: null}
optimizers:
  generator: {lr: "${optimizer.lr}"}
  discriminator: {lr: "${optimizer.lr}"}
""",
    "model/vae.yaml": """# @package _global_
defaults: [{/encoder: mlp}, _self_]
model: {_target_: duogen.modules.vae.VAE, encoder: "${encoder}"}
""",
    "encoder/mlp.yaml": "_target_: duogen.networks.dense.MlpEncoder\n",
    "generator/mlp.yaml": "_target_: duogen.networks.dense.MlpGenerator\nshape: ${data.shape}\nhidden: [3, 5]\n",
    "generator/dcgan.yaml": "_target_: duogen.networks.images.DcganGenerator\nshape: ${data.shape}\nwidth: 7\n",
    "discriminator/mlp.yaml": "_target_: duogen.networks.dense.MlpDiscriminator\n",
    "adversarial/hinge.yaml": "_target_: duogen.objectives.adversarial.Hinge\n",
    "adversarial/minimax.yaml": "_target_: duogen.objectives.adversarial.Minimax\n",
    "penalty/r1.yaml": "# @package penalties.r1\n_target_: duogen.objectives.penalties.R1\nweight: 10.0\n",
    "penalty/r2.yaml": "# @package penalties.r2\n_target_: duogen.objectives.penalties.R2\nweight: 10.0\n",
    "data/ring.yaml": "_target_: duogen.data.mixtures.Ring\nshape: [2]\n",
    "data/grid.yaml": "_target_: duogen.data.mixtures.Grid\nshape: [2]\n",
    "optimizer/adam.yaml": "_target_: torch.optim.Adam\nlr: 2e-4\nbetas: [0.5, 0.999]\n",
    "optimizer/sgd.yaml": "_target_: torch.optim.SGD\nlr: 1e-2\n",
    "trainer/auto.yaml": "accelerator: auto\ndevices: 1\nprecision: 32\n",
    "trainer/cpu.yaml": "accelerator: cpu\ndevices: 1\nprecision: 32\n",
    "experiment/paper.yaml": """# @package _global_
defaults:
  - override /penalty: [r2]
  - override /generator: dcgan
seed: 4
penalties: {r2: {weight: 1.5}}
optimizer: {weight_decay: 0.25}
optimizers: {generator: {betas: [0.0, 0.9]}}
budgets: {paper: {steps: 900}}
""",
    "sweep/seeds.yaml": "seed: 3\n",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch):
    folder = write(tmp_path / "conf", FILES)
    monkeypatch.setattr(conftree, "conf_dir", lambda: folder)
    return folder


def own(tmp_path, files):
    return write(tmp_path / "own", files)


def refused(*overrides, config_dir=None) -> UserError:
    with pytest.raises(UserError) as caught:
        compose(overrides, config_dir)
    assert "\n  allowed: " in str(caught.value)
    return caught.value


def test_the_config_is_plain_and_resolved():
    composed = compose([])
    assert type(composed.config) is dict
    assert not any(OmegaConf.is_config(value) for value in composed.config.values())
    assert composed.config["model"]["generator"] == {
        "_target_": "duogen.networks.dense.MlpGenerator",
        "shape": [2],
        "hidden": [3, 5],
    }
    assert composed.config["optimizers"]["generator"] == {"lr": 2e-4}
    assert composed.config["name"] == "gan-ring"
    assert "hydra" not in composed.config


def test_the_choices_of_groups_are_told_without_hydras_own():
    overrides = ["generator=dcgan", "optimizer.lr=0.5"]
    composed = compose(overrides)
    assert composed.choices["generator"] == "dcgan"
    assert composed.choices["experiment"] is None
    assert composed.overrides == tuple(overrides)
    assert not [group for group in composed.choices if group.startswith("hydra")]


def test_options_lists_and_values_override():
    config = compose(
        ["penalty=[r1,r2]", "optimizer=sgd", "optimizers.generator.lr=1e-5", "penalties.r1.weight=2"]
    ).config
    assert config["penalties"]["r1"]["weight"] == 2
    assert config["penalties"]["r2"]["weight"] == 10.0
    assert config["optimizers"] == {"generator": {"lr": 1e-5}, "discriminator": {"lr": 1e-2}}


def test_an_option_may_be_added_or_taken_away():
    assert compose(["+experiment=paper"]).choices["experiment"] == "paper"
    assert compose(["experiment=paper", "experiment=null"]).choices.get("experiment") is None
    assert compose(["++generator=dcgan"]).choices["generator"] == "dcgan"
    assert "betas" not in compose(["~optimizer.betas"]).config["optimizer"]


def test_a_constructors_argument_may_be_added():
    config = compose(["+optimizer.amsgrad=true", "+optimizers.generator.betas=[0.0,0.9]"]).config
    assert config["optimizer"]["amsgrad"] is True
    assert config["optimizers"]["generator"]["betas"] == [0.0, 0.9]


def test_an_experiment_chooses_and_sets():
    config = compose(["experiment=paper"]).config
    assert config["generator"]["width"] == 7
    assert config["penalties"] == {"r2": {"_target_": "duogen.objectives.penalties.R2", "weight": 1.5}}
    assert config["optimizer"]["weight_decay"] == 0.25
    assert config["budgets"] == {"smoke": {"steps": 20}, "paper": {"steps": 900}}
    assert compose(["experiment=paper", "seed=8"]).config["seed"] == 8


@pytest.mark.parametrize("key", ["resume", "run_dir"])
@pytest.mark.parametrize(
    "path", ["runs/a=b", "/tmp/a b/c", "a,b", "it's", "x\\", "[a", "é/☃", "a:b", "{a}", "7", "true", 'a"b']
)
def test_a_path_may_hold_any_character(key, path):
    assert compose([f"{key}={path}"]).config[key] == path


def test_a_path_may_be_quoted_or_null():
    assert compose(["resume='a b'"]).config["resume"] == "a b"
    assert compose(["resume=null"]).config["resume"] is None


def test_a_users_folder_wins_and_adds(tmp_path):
    folder = own(
        tmp_path,
        {"generator/mlp.yaml": "_target_: my.Net\ndepth: 11\n", "data/mine.yaml": "shape: [13]\n_target_: my.Data\n"},
    )
    config = compose(["data=mine"], folder).config
    assert config["generator"] == {"_target_": "my.Net", "depth": 11}
    assert config["data"]["shape"] == [13]
    assert config["adversarial"]["_target_"] == "duogen.objectives.adversarial.Hinge"


def test_a_users_train_yaml_wins(tmp_path):
    folder = own(tmp_path, {"train.yaml": "defaults: [_self_, {data: grid}]\nseed: 17\n"})
    assert compose([], folder).config == {"seed": 17, "data": {"_target_": "duogen.data.mixtures.Grid", "shape": [2]}}


def test_the_folder_may_have_an_awkward_name(tmp_path):
    folder = write(tmp_path / "it's, [mine] = ${x}", {"data/mine.yaml": "_target_: my.Data\nshape: [13]\n"})
    assert compose(["data=mine"], folder).config["data"]["shape"] == [13]


@pytest.mark.parametrize(
    ("override", "given", "allowed", "remedy"),
    [
        ("adversarial=hing", "'hing'", "hinge, minimax", "adversarial=hinge"),
        ("penalty=[r1,r3]", "penalty=r3", "r1", "penalty="),
        ("penalty=3", "'3'", "r1, r2", "penalty="),
        ("generator=../data/ring", "no option", "dcgan, mlp", "generator="),
        ("optimizer.lrr=1", "there is no optimizer.lrr", "optimizer.lr, optimizer.betas", "optimizer.lr=1"),
        ("++trainer.devces=3", "there is no trainer.devces", "trainer.devices, ", "++trainer.devices=3"),
        ("+optimizers.generatr.lr=3", "optimizers.generatr", "optimizers.generator, ", "+optimizers.generator"),
        ("optimizer.amsgrad=true", "optimizer.amsgrad", "optimizer.lr", "+optimizer.amsgrad=true"),
        ("optimizers.generator.betas=[0,0.9]", "optimizers.generator.betas", "optimizers.generator.lr", "+optimizers."),
        ("optimizer={lrr: 1}", "there is no optimizer.lrr", "optimizer.lr", "optimizer.lr"),
        ("adversrial=hinge", "there is no adversrial", "adversarial, ", "adversarial=hinge"),
        ("dta=ring", "there is no dta", "data, ", "data=ring"),
        ("optimizer/lr=1", "there is no optimizer/lr", "optimizer", "optimizer"),
        ("+sed=1", "there is no sed", "seed, ", "+seed=1"),
        ("a.b=1", "there is no a", "adversarial", "take one"),
        ("seed.x=1", "seed is one value", "seed", "seed=VALUE"),
        ("notes.x=1", "notes is one value", "notes", "notes=VALUE"),
        ("generator.hidden.5=3", "generator.hidden.5", "generator.hidden.0, generator.hidden.1", "take one"),
        ("penalties.r1.weight=3", "there is no penalties.r1", "", "penalty=[r1]"),
        ("~optimizer.lrr", "optimizer.lrr", "optimizer.lr", "~optimizer.lr"),
        ("~seed", "~seed", "~group", "seed=VALUE"),
        ("encoder=mlp", "model=gan has no encoder", "generator", "model=vae"),
        ("+encoder=mlp", "model=gan has no encoder", "generator", "model=vae"),
        ("~encoder", "model=gan has no encoder", "generator", "model=vae"),
        ("sweep=seeds", "sweep is no part of a run", "model", "leave it out"),
        ("generator@other=mlp", "generator@other", "generator", "mend"),
        ("seed=1,2", "several values", "one value", "-m seed=1,2"),
        ("seed=range(3)", "several values", "one value", "-m seed=range(3)"),
        ("generator=glob(*)", "several values", "one value", "-m generator=glob(*)"),
        ("hydra.sweep.dir=x", "Hydra", "keys of a run", "-m hydra.sweep.dir=x"),
        ("hydra/launcher=basic", "Hydra", "keys of a run", "-m hydra/launcher=basic"),
        ("a=[1", "a=[1: this is no override", "key=value", "quote"),
        ("name=a=b", "name=a=b", "key=value", '\'name="a=b"\''),
        ("=3", "=3", "key=value", "key=value"),
        ("foo", "foo", "key=value", "key=value"),
        ("", "no override", "key=value", "key=value"),
        ("--lr", "--lr", "key=value", "key=value"),
        ("name=☃", "name=☃", "key=value", "quote"),
        ("seed=1\n", "seed=1", "key=value", "quote"),
        ("name=${seed", "name=${seed", "key=value", "quote"),
        ("name=${data.shpe}", "name: ${data.shpe} leads nowhere", "data.shape", "${data.shape}"),
        ("name=${nope.x}", "name: ${nope.x} leads nowhere", "name", "${"),
        ("name=${seed.x}", "${seed.x}", "resolves", "mend"),
        ("name=${nope:1}", "nope", "resolves", "mend"),
        ("name=${oc.env:DUOGEN_NO_SUCH}", "DUOGEN_NO_SUCH", "resolves", "mend"),
        ("data.shape=${data.shape}", "${data.shape}", "resolves", "mend"),
        ("seed=???", "seed has no value", "any value", "seed=VALUE"),
        ("generator.hidden=???", "generator.hidden has no value", "any value", "generator.hidden=VALUE"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_three_parts(override, given, allowed, remedy):
    error = refused(override)
    assert given in error.given
    assert allowed in error.allowed
    assert remedy in error.remedy


def test_the_mistaken_override_is_found_among_right_ones():
    error = refused("model=vae", "seed=3", "generator=mlp", "optimizer.lr=1")
    assert error.given == "generator=mlp: model=vae has no generator"
    assert error.allowed == "encoder"
    assert "model=gan" in error.remedy
    assert "trainer.devces" in refused("generator=dcgan", "generator.width=5", "trainer.devces=3").given


@pytest.mark.parametrize("prefix", ["", "+", "++"])
@pytest.mark.parametrize("flag", [*FLAGS])
def test_lightnings_flags_are_met_by_ours(prefix, flag):
    error = refused(f"{prefix}trainer.{flag}=3")
    assert flag in error.given
    assert FLAGS[flag] in error.remedy


@pytest.mark.parametrize(
    ("flag", "ours"),
    [
        ("gradient_clip_val", "turns.<turn>.clip"),
        ("accumulate_grad_batches", "turns.<turn>.accumulate"),
        ("max_epochs", "budget.epochs"),
        ("val_check_interval", "validate_every"),
        ("check_val_every_n_epoch", "validate_every"),
        ("log_every_n_steps", "log_every"),
        ("strategy", "trainer=ddp"),
        ("num_nodes", "srun"),
    ],
)
def test_flags_that_manual_optimisation_refuses_are_in_the_table(flag, ours):
    assert ours in FLAGS[flag]


GLOBAL = "# @package _global_\n"


@pytest.mark.parametrize(
    ("text", "given", "allowed"),
    [
        (GLOBAL + "optimizer: {lrr: 3}", "experiment/x.yaml: there is no optimizer.lrr", "optimizer.lr, "),
        (GLOBAL + "trainer: {precison: 3}", "there is no trainer.precison", "trainer.precision, "),
        (GLOBAL + "trainer: {gradient_clip_val: 3}", "gradient_clip_val", "turns.<turn>.clip"),
        (GLOBAL + "optimizers: {generatr: {lr: 3}}", "there is no optimizers.generatr", "optimizers.generator, "),
        (GLOBAL + "adversrial: {_target_: x.Y}", "there is no adversrial", "adversarial, "),
        (GLOBAL + "sed: 3", "there is no sed", "seed, "),
        (GLOBAL + "seed: {x: 3}", "seed is one value", "seed"),
        (GLOBAL + "1: 2", "there is no 1", "seed"),
        (
            GLOBAL + "defaults: [{override /generator: dcgann}]",
            "experiment/x.yaml asks for generator=dcgann",
            "dcgan, mlp",
        ),
        (GLOBAL + "defaults: [{override /generatr: dcgan}]", "generatr", "generator, "),
        (
            GLOBAL + "defaults: [{override /encoder: mlp}]",
            "experiment/x.yaml overrides encoder: model=gan has no",
            "generator",
        ),
        (
            GLOBAL + "defaults: [{override /model: vae}, {override /generator: mlp}]",
            "model=vae has no generator",
            "encoder",
        ),
        (GLOBAL + "defaults: 3", "experiment/x", ""),
        (GLOBAL + "defaults: [[a]]", "defaults", ""),
        (GLOBAL + "defaults: [x]", "its own file", ""),
        (GLOBAL + "seed: ${nope}", "seed: ${nope} leads nowhere", "name"),
        (GLOBAL + "seed: ${", "seed", ""),
        (GLOBAL + "a: [", "experiment/x.yaml, line 2", "YAML"),
        (GLOBAL + "seed: 1\nseed: 2", "experiment/x.yaml, line 3", "YAML"),
        (GLOBAL + "seed: !!python/object/apply:os.getcwd []", "experiment/x.yaml, line 2", "YAML"),
        (GLOBAL + "seed: '\udcff'", "experiment/x.yaml", "YAML"),
        (GLOBAL + "- a", "experiment/x.yaml", "key: value"),
        (GLOBAL + "3", "experiment/x.yaml", "key: value"),
        ("seed: 3", "its package is experiment", "_global_"),
        ("# @package optimizer\nlr: 3", "its package is optimizer", "_global_"),
    ],
)
def test_a_mistake_in_an_experiment_names_the_file(tmp_path, text, given, allowed):
    folder = own(tmp_path, {"experiment/y.yaml": ""})
    (folder / "experiment" / "x.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    error = refused("experiment=x", config_dir=folder)
    assert given in error.given
    assert allowed in error.allowed


def test_a_mistake_in_an_option_names_the_file(tmp_path):
    folder = own(tmp_path, {"trainer/mine.yaml": "acelerator: cpu\n"})
    error = refused("trainer=mine", config_dir=folder)
    assert error.given == "trainer/mine.yaml: there is no trainer.acelerator"
    assert error.allowed.startswith("trainer.accelerator, ")


@pytest.mark.parametrize("text", ["seed: [", "defaults: [_self_, {data: rng}]", "defaults: [_self_, {dta: ring}]"])
def test_a_mistake_in_train_yaml_is_told(tmp_path, text):
    assert "train" in refused(config_dir=own(tmp_path, {"train.yaml": text})).given


def test_no_folder_of_the_users_is_told(tmp_path):
    assert "nowhere" in refused(config_dir=tmp_path / "nowhere").given


def test_composing_the_shipped_tree_imports_nothing_heavy():
    code = "import sys, duogen.compose as c; c.compose([]); print(sorted({'torch', 'numpy'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_configs_may_be_composed_while_a_sweep_is_set_up(shipped):
    outer = GlobalHydra.instance().hydra
    with searching([shipped]) as lines:
        sweep = GlobalHydra.instance().hydra
        assert lines == ["hydra.searchpath=[]"]
        assert compose(["seed=8"]).config["seed"] == 8
        refused("generator=dcgann")
        assert GlobalHydra.instance().hydra is sweep
        assert GlobalHydra.instance().config_loader().list_groups("")
    assert GlobalHydra.instance().hydra is outer


def test_a_sweep_that_fails_leaves_hydra_as_it_was(shipped):
    outer = GlobalHydra.instance().hydra
    with pytest.raises(ArithmeticError), searching([shipped]):
        raise ArithmeticError
    assert GlobalHydra.instance().hydra is outer


@pytest.mark.parametrize(
    "overrides",
    [
        ["seed=5"],
        ["generator=dcgan", "seed=5"],
        ["penalty=[r1,r2]", "penalties.r1.weight=2", "optimizer.lr=3"],
        ["experiment=paper", "optimizers.generator.lr=1"],
        ["+optimizer.amsgrad=true", "~optimizer.betas"],
    ],
)
def test_many_configs_of_one_tree_are_what_each_alone_would_be(overrides):
    known = {}
    for given in (overrides, ["seed=7", *overrides], overrides):
        assert compose(given, None, known) == compose(given)


def test_a_mistake_among_many_is_told_as_it_is_alone():
    known = {}
    compose(["seed=1"], None, known)
    for given in ("optimizer.lrr=1", "seed.x=1", "generator=dcgann", "name=${seed.x}", "encoder=mlp"):
        alone = refused(given)
        with pytest.raises(UserError) as caught:
            compose([given], None, known)
        assert str(caught.value) == str(alone)
    assert compose(["seed=1"], None, known) == compose(["seed=1"])
