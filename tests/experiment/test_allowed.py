import importlib
import sys

import pytest

from duogen.errors import UserError
from duogen.experiment.allowed import CLASSES, LAYERS, allowed, dotted

OURS = allowed([])


def names_no_class(target) -> bool:
    return any(OURS.faults({"_target_": target}, ""))


@pytest.mark.parametrize("alias", CLASSES)
def test_each_single_class_is_found_by_alias_and_by_its_own_name(alias):
    module, _, name = alias.rpartition(".")
    made = getattr(importlib.import_module(module), name)
    assert CLASSES[alias] == f"{made.__module__}.{made.__qualname__}"
    assert OURS.find(alias, "") is OURS.find(CLASSES[alias], "") is made


def test_our_layers_and_no_others_are_on_the_list():
    assert len(LAYERS) == 9
    for prefix in LAYERS:
        assert f"{prefix}images.Anything" in OURS
    others = "duogen.cli.main duogen.experiment.build.Plan duogen.networksx.Y duogen.networks torch.optim.LBFGS"
    for name in others.split():
        assert name not in OURS


HARMFUL = """
    os.system logging.os.system builtins.open builtins.eval torch.load torch.hub.load numpy.load pathlib.Path.touch
    functools.partial subprocess.Popen importlib.import_module yaml.unsafe_load
"""

NO_NAMES = [3, None, "", "..", ".", "x", True, 1.5, [], ["os.system"], {}, {"a": 1}]
NO_DOTTED_NAMES = """
    duogen.networks. duogen.networks..X duogen.networks.Ⅸ duogen.networks.images.Ｄcgan duogen.networks.images.X()
    duogen.networks.3.X duogen.networks.../os.system os\x00.system
"""


@pytest.mark.parametrize("target", HARMFUL.split())
def test_what_can_do_harm_is_refused_by_name(target):
    (fault,) = OURS.faults({"_target_": target}, "model.generator.")
    assert fault.given == f"model.generator._target_={target} may not be built"
    assert "duogen.networks.*" in fault.allowed
    assert "--allow" in fault.remedy


@pytest.mark.parametrize(
    "target", [*NO_NAMES, *NO_DOTTED_NAMES.split(), "duogen.networks.images.X\n", "duogen.networks. images.X"]
)
def test_what_is_no_dotted_name_is_refused(target):
    assert names_no_class(target)


@pytest.mark.parametrize("key", ["_partial_", "_args_", "_convert_", "_recursive_", "_anything", "__class__"])
@pytest.mark.parametrize("target", [{}, {"_target_": "torch.optim.Adam"}])
def test_keys_behind_an_underscore_are_refused(key, target):
    (fault,) = OURS.faults({**target, key: True}, "a.0.")
    assert f"a.0.{key}" in fault.given


def test_the_nearest_class_comes_first():
    (fault,) = OURS.faults({"_target_": "torch.optim.Adan"}, "")
    assert fault.allowed.startswith("torch.optim.Adam, ")


def module(tmp_path, monkeypatch, name, text):
    path = tmp_path / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()


SOURCE = """
import abc
import os
import pathlib
import torch
from torch import nn
from collections import OrderedDict as Renamed

class Net(nn.Module):
    class Inner: ...

class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...

def make(): ...

lazy = functools = None
net = Net()
"""


@pytest.fixture
def my_nets(tmp_path, monkeypatch):
    module(tmp_path, monkeypatch, "my_nets_of_test", SOURCE)
    yield "my_nets_of_test"
    sys.modules.pop("my_nets_of_test", None)


def test_a_prefix_or_a_class_from_the_command_line_is_found(my_nets):
    by_prefix = allowed([f"{my_nets}."]).find(f"{my_nets}.Net", "")
    assert by_prefix.__name__ == "Net"
    assert allowed([f"{my_nets}.Net"]).find(f"{my_nets}.Net", "") is by_prefix
    assert f"{my_nets}.Shape" not in allowed([f"{my_nets}.Net"])
    assert f"{my_nets}.Net" not in OURS


@pytest.mark.parametrize(
    ("name", "words"),
    [
        *(
            (name, "no module")
            for name in ("os.system", "torch.load", "nn.Linear", "pathlib.Path", "Net.Inner", "Net.forward")
        ),
        *((name, "no class") for name in ("os", "nn", "make", "net", "__builtins__", "__loader__")),
        *((name, "not there") for name in ("Nett", "lazy")),
        ("Renamed", "collections.OrderedDict"),
        ("Shape", "abstract"),
    ],
)
def test_what_an_allowed_module_imports_is_not_allowed(my_nets, name, words):
    with pytest.raises(UserError) as caught:
        allowed([f"{my_nets}."]).find(f"{my_nets}.{name}", "generator.")
    assert f"generator._target_={my_nets}.{name}" in caught.value.given
    assert words in caught.value.given


def test_the_classes_of_the_module_are_offered(my_nets):
    with pytest.raises(UserError) as caught:
        allowed([f"{my_nets}."]).find(f"{my_nets}.Nett", "")
    assert caught.value.allowed == f"{my_nets}.Net"


@pytest.mark.parametrize(
    ("target", "near"),
    [
        ("duogen.networks.image.DcganGenerator", "duogen.networks.images"),
        ("duogen.networks.images.DcganGenerater", "duogen.networks.images.DcganGenerator"),
        ("duogen.networks.images.torch.load", "nothing below duogen.networks.images"),
        ("duogen.networks.images.nn.Linear", "nothing below duogen.networks.images"),
        ("duogen.data.fetch.os.system", "nothing below duogen.data.fetch"),
        ("duogen.networks.nowhere.at.all.X", "nothing below duogen.networks.nowhere.at"),
    ],
)
def test_a_misspelt_target_of_ours_gets_the_nearest_name(target, near):
    with pytest.raises(UserError) as caught:
        OURS.find(target, "")
    assert caught.value.allowed.split(", ")[0] == near


def test_a_module_that_lacks_a_package_says_which(tmp_path, monkeypatch):
    module(tmp_path, monkeypatch, "my_broken_of_test", "import no_such_package_of_test")
    with pytest.raises(UserError, match="no_such_package_of_test"):
        allowed(["my_broken_of_test."]).find("my_broken_of_test.Net", "")


@pytest.mark.parametrize(
    "more", ["", ".", "..", "my_nets", "my nets.", "my_nets..", ".my_nets.", "é.", "*.", "my_nets.*"]
)
def test_an_allowance_is_a_prefix_or_a_class(more):
    with pytest.raises(UserError, match="--allow"):
        allowed([more])


@pytest.mark.parametrize(
    ("name", "expected"), [("a.b", True), ("a", True), ("a.", False), ("", False), ("a.b-c", False)]
)
def test_dotted_names(name, expected):
    assert dotted(name) is expected
