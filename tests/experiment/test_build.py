import importlib
import pickle
import sys

import numpy
import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.experiment.build import build, check

SOURCE = """
import pathlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from torch import Tensor, nn

if TYPE_CHECKING:
    from nowhere import Unresolved

class Measure(Protocol):
    def measure(self) -> float: ...

class Net(nn.Module):
    def __init__(self, shape: Sequence[int], width: int, slope: float = 0.2, name: str | None = None) -> None:
        super().__init__()
        self.arguments = {"shape": shape, "width": width, "slope": slope, "name": name}

class Bare(nn.Module):
    pass

class Pair(nn.Module):
    def __init__(self, generator: nn.Module, penalties: Mapping[str, nn.Module], *, clip: float | None) -> None:
        super().__init__()
        self.generator, self.penalties, self.clip = generator, dict(penalties), clip

@dataclass(frozen=True)
class Options:
    flag: bool = False
    mode: Literal["min", "max"] = "min"
    betas: tuple[float, float] = (0.5, 0.9)
    means: Sequence[Sequence[float]] = ((1.0,),)
    folder: Path = Path("x")
    either: int | str = 3
    call: Callable[[Tensor], Tensor] | None = None
    free: Any = None

class Loose:
    def __init__(self, measure: Measure, other: "Unresolved", plain, **rest: int) -> None:
        self.arguments = {"measure": measure, "other": other, "plain": plain, **rest}

class Strict:
    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError("size must be positive")
"""

PARTS = "my_parts_of_test"
ALLOW = [f"{PARTS}."]


@pytest.fixture(autouse=True)
def parts(tmp_path, monkeypatch):
    (tmp_path / f"{PARTS}.py").write_text(SOURCE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield
    sys.modules.pop(PARTS, None)


def node(name, **arguments):
    return {"_target_": f"{PARTS}.{name}", **arguments}


NET = node("Net", shape=[2, 3], width=5)


def refused(config, allow=ALLOW) -> UserError:
    with pytest.raises(UserError) as checked:
        check(config, allow)
    with pytest.raises(UserError) as built:
        build(config, allow)
    assert checked.value.args == built.value.args
    return checked.value


def test_a_node_becomes_an_object():
    made = build(NET, ALLOW)
    assert type(made).__name__ == "Net"
    assert made.arguments == {"shape": [2, 3], "width": 5, "slope": 0.2, "name": None}


def test_nodes_in_mappings_and_lists_are_built_first():
    made = build(node("Pair", generator=NET, penalties={"r1": node("Bare")}, clip=None), ALLOW)
    assert made.generator.arguments["width"] == 5
    assert type(made.penalties["r1"]).__name__ == "Bare"
    first, second = build({"a": [NET, {"b": node("Options", flag=True)}], "c": 7}, ALLOW)["a"]
    assert first.arguments["shape"] == [2, 3]
    assert second["b"].flag is True


def test_what_holds_no_node_stays():
    config = {"a": [1, {"b": None}], "c": "x"}
    check(config)
    assert build(config) == config
    assert build([1, "x"]) == [1, "x"]
    assert build(None) is None


def test_equal_nodes_become_different_objects():
    made = build({"a": NET, "b": NET}, ALLOW)
    assert made["a"] is not made["b"]


def test_the_config_is_left_as_it_is():
    config = {"a": dict(NET), "betas": node("Options", betas=[0.1, 0.2])}
    before = pickle.dumps(config)
    build(config, ALLOW)
    assert pickle.dumps(config) == before


def test_the_run_gives_an_optimizer_its_parameters_and_a_scheduler_its_optimizer():
    weights = [nn.Parameter(torch.zeros(2))]
    adam = {"_target_": "torch.optim.Adam", "lr": 1, "betas": [0.5, 0.75]}
    optimizer = build(adam, params=weights)
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.defaults["betas"] == (0.5, 0.75)
    scheduler = {"_target_": "torch.optim.lr_scheduler.MultiStepLR", "milestones": [3, 5], "gamma": 0.5}
    assert build(scheduler, optimizer=optimizer).gamma == 0.5
    check({"optimizer": adam, "scheduler": scheduler})
    with pytest.raises(UserError, match="params is missing"):
        build(adam)
    with pytest.raises(UserError, match="params"):
        build({**adam, "params": [1]}, params=weights)


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ({"betas": [0.5, 1]}, (0.5, 1)),
        ({"means": [[1, 2.5], [3.0]]}, [[1, 2.5], [3.0]]),
        ({"either": "x"}, "x"),
        ({"either": 4}, 4),
        ({"mode": "max"}, "max"),
        ({"free": {"a": [1]}}, {"a": [1]}),
    ],
)
def test_values_of_yaml_fit_their_annotations(arguments, value):
    (name,) = arguments
    assert getattr(build(node("Options", **arguments), ALLOW), name) == value


def test_a_path_arrives_as_one(tmp_path):
    assert build(node("Options", folder=str(tmp_path)), ALLOW).folder == tmp_path


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"flag": 1}, "bool"),
        ({"flag": "true"}, "bool"),
        ({"mode": "mean"}, "Literal['min', 'max']"),
        ({"betas": [0.5]}, "tuple[float, float]"),
        ({"betas": ["a", "b"]}, "tuple[float, float]"),
        ({"means": [1.0]}, "Sequence[Sequence[float]]"),
        ({"means": "ab"}, "Sequence[Sequence[float]]"),
        ({"folder": 3}, "Path"),
        ({"either": 3.5}, "int | str"),
        ({"either": True}, "int | str"),
        ({"call": 3}, "Callable[[Tensor], Tensor] | None"),
    ],
)
def test_values_that_do_not_fit_are_refused_with_their_place(arguments, kind):
    (name,) = arguments
    error = refused({"a": [{"options": node("Options", **arguments)}]})
    assert error.given.startswith(f"a.0.options.{name}=")
    assert error.allowed == kind


def test_unknown_and_missing_arguments_are_told_together_with_the_nearest_names():
    error = refused({"generator": node("Net", shape=[2], widht=5), "pair": node("Pair", generator=NET, penalties={})})
    assert "generator.widht: my_parts_of_test.Net has no widht" in error.given
    assert "generator.width is missing" in error.given
    assert "pair.clip is missing" in error.given
    assert "width, name, shape, slope" in error.allowed
    assert "for example generator.width" in error.remedy


def test_a_node_repeated_by_an_interpolation_is_told_once():
    bad = node("Net", shape=[2], width="x")
    error = refused({"generator": bad, "model": node("Pair", generator=bad, penalties={}, clip=None)})
    assert error.given.startswith("generator.width='x'")
    assert "\n" not in error.given


def test_a_module_without_a_constructor_takes_no_argument():
    assert "has no size" in refused(node("Bare", size=3)).given


def test_an_argument_without_a_name_is_refused():
    assert "3" in refused(node("Loose", measure=1, other=2, plain=3) | {3: 4}).given


def test_annotations_that_check_nothing_are_let_through():
    made = build(node("Loose", measure=1, other=[2], plain="x", more=7), ALLOW)
    assert made.arguments == {"measure": 1, "other": [2], "plain": "x", "more": 7}
    assert "more" in refused(node("Loose", measure=1, other=2, plain=3, more="x")).given


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"generator": node("Options")}, "generator="),
        ({"generator": NET, "penalties": {"r1": node("Options")}}, "penalties="),
    ],
)
def test_a_built_object_of_another_kind_is_refused(arguments, place):
    config = node("Pair", **{"penalties": {}, "clip": None, **arguments})
    check(config, ALLOW)
    with pytest.raises(UserError) as caught:
        build(config, ALLOW)
    assert caught.value.given.startswith(place)


def test_a_constructors_complaint_names_the_place():
    config = {"a": [node("Strict", size=0)]}
    check(config, ALLOW)
    with pytest.raises(UserError, match=r"a\.0: size must be positive"):
        build(config, ALLOW)


def test_without_the_command_lines_word_nothing_of_the_users_is_built():
    assert "may not be built" in refused(NET, allow=()).given
    assert PARTS not in sys.modules


class Canary:
    """What each harmful call would do if it were made: it leaves a file."""

    def __init__(self, folder):
        self.path = folder / "canary"
        self.pickled, self.array = folder / "evil.pt", folder / "evil.npy"
        self.pickled.write_bytes(pickle.dumps(self))
        numpy.save(self.array, numpy.array([self], dtype=object), allow_pickle=True)
        (folder / "hubconf.py").write_text(f"open({str(self.path)!r}, 'w')\ndef evil(): ...\n", encoding="utf-8")
        self.folder = folder

    def __reduce__(self):
        return open, (str(self.path), "w")


HARMFUL = {
    "os.system": lambda canary: {"command": f"touch {canary.path}"},
    "logging.os.system": lambda canary: {"command": f"touch {canary.path}"},
    "builtins.open": lambda canary: {"file": str(canary.path), "mode": "w"},
    "builtins.exec": lambda canary: {"source": f"open({str(canary.path)!r}, 'w')"},
    "torch.load": lambda canary: {"f": str(canary.pickled), "weights_only": False},
    "torch.hub.load": lambda canary: {"repo_or_dir": str(canary.folder), "model": "evil", "source": "local"},
    "numpy.load": lambda canary: {"file": str(canary.array), "allow_pickle": True},
    "pathlib.Path.touch": lambda canary: {"self": {"_target_": "pathlib.Path", "path": str(canary.path)}},
    "subprocess.Popen": lambda canary: {"args": ["touch", str(canary.path)]},
    "functools.partial": lambda canary: {"func": {"_target_": "builtins.open", "file": str(canary.path), "mode": "w"}},
    "duogen.networks.images.torch.load": lambda canary: {"f": str(canary.pickled), "weights_only": False},
    "duogen.data.fetch.os.system": lambda canary: {"command": f"touch {canary.path}"},
    f"{PARTS}.pathlib.Path.touch": lambda canary: {"self": str(canary.path)},
    f"{PARTS}.pathlib.os.system": lambda canary: {"command": f"touch {canary.path}"},
    f"{PARTS}.Path": lambda canary: {"path": str(canary.path)},
}

SURROUNDINGS = {
    "at the top": lambda evil: evil,
    "in a mapping": lambda evil: {"model": {"generator": evil}},
    "in a list": lambda evil: {"callbacks": [1, [evil]]},
    "in a node": lambda evil: node("Pair", generator=evil, penalties={}, clip=None),
    "beside a node": lambda evil: [node("Strict", size=1), evil],
}


@pytest.mark.parametrize("surrounding", SURROUNDINGS)
@pytest.mark.parametrize("target", HARMFUL)
def test_nothing_of_a_harmful_target_happens(tmp_path, target, surrounding):
    canary = Canary(tmp_path)
    evil = {"_target_": target, **HARMFUL[target](canary)}
    error = refused(SURROUNDINGS[surrounding](evil))
    assert target in error.given
    assert not canary.path.exists()


@pytest.mark.parametrize("key", ["_partial_", "_args_", "_convert_", "_recursive_", "_name_"])
def test_hydras_other_keys_are_refused(tmp_path, key):
    canary = Canary(tmp_path)
    assert key in refused({"_target_": f"{PARTS}.Net", key: [f"touch {canary.path}"]}).given
    assert key in refused({"a": {key: True}}).given
    assert not canary.path.exists()


def test_no_module_is_imported_while_any_target_is_off_the_list(tmp_path, monkeypatch):
    mark = tmp_path / "imported"
    for name in ("my_trap_of_test", "my_nets_beside_of_test"):
        (tmp_path / f"{name}.py").write_text(f"open({str(mark)!r}, 'w')\nclass Net: ...\n", encoding="utf-8")
    importlib.invalidate_caches()
    trap, beside = {"_target_": "my_trap_of_test.Net"}, {"_target_": "my_nets_beside_of_test.Net"}
    error = refused([beside, trap], allow=["my_nets_beside_of_test."])
    assert error.given == "1._target_=my_trap_of_test.Net may not be built"
    assert not mark.exists()
    refused({"_target_": "antigravity.fly"})
    assert "antigravity" not in sys.modules
    build(beside, ["my_nets_beside_of_test."])
    assert mark.exists()


def test_a_canary_would_be_seen(tmp_path):
    canary = Canary(tmp_path)
    pickle.loads(canary.pickled.read_bytes()).close()
    assert canary.path.exists()


def test_nothing_is_built_where_something_is_wrong():
    with pytest.raises(UserError, match=r"^1\.width is missing"):
        build([node("Strict", size=0), node("Net", shape=[2])], ALLOW)
