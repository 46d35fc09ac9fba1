"""What keeps the tree explainable: layers, who knows which library, sizes, names, and a YAML for every class."""

import ast
import inspect
from importlib import import_module
from pathlib import Path
from typing import Protocol

import pytest
import yaml

from duogen.conftree import conf_dir

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "duogen"
FILES = sorted(SOURCE.rglob("*.py"))
LAYERS = {
    "errors": 0, "resolvers": 0, "records": 0, "ramp": 0.5, "seeds": 0, "files": 0, "signals": 0, "conftree": 1,
    "networks": 1, "objectives": 1, "augmentations": 1, "metrics": 1, "data": 1,
    "modules": 2, "callbacks": 3, "experiment": 4, "report": 4.5, "overrides": 4.1, "loading": 4.2, "additions": 4.3,
    "compose": 4.4, "complete": 4.6, "sweep": 5, "cli": 6, "__main__": 7,
}  # fmt: skip
KNOWN_TO = {
    "hydra": {"overrides", "loading", "compose", "sweep"},
    "optuna": {"sweep"},
    "pytorch_lightning": {"data", "modules", "callbacks", "experiment"},
    "wandb": {"callbacks", "experiment"},
}
ROLES = {
    "networks": {"generator", "discriminator", "conditioning"}
    | {"encoder", "decoder", "posterior", "prior", "likelihood", "quantizer", "sampler"},
    "augmentations": {"augmentation"},
    "objectives": {"adversarial", "penalty", "variational"},
    "metrics": {"metrics", "extractor"},
    "data": {"data"},
    "modules": {"model", "turns"},
}
EXEMPT = {
    "Ramp", "Linear", "Cosine", "Cyclical", "WarmupCosine",  # values of a weight, written where the weight stands
    "Turn",  # stands inside the turns
    "MovingAverage",  # optimizers.<player>.ema
    "Penalty", "Play", "Watched", "Extracted", "Evidence", "Split",  # what a role is, and records
    "CodeReader", "AuxiliaryClassification",  # come with model=infogan and conditioning=auxiliary_classifier
    "Maxout", "MinibatchStd", "Chain", "ConditionalBatchNorm2d", "Level", "Residual", "SumPool", "SelfAttention",
    "EqualizedLinear", "ModulatedConv2d", "StyledLayer", "Attention", "TransformerBlock", "GatedRecurrence",
    "GatedDense",  # layers
    "OrderedCategorical", "TiltedUniform", "LogisticMixture", "FittedNormal",  # distributions that likelihoods return
    "Gaussian", "InverseMultiquadratic",  # kernels of discrepancies
    "StandardNormal", "Bits", "Point", "VonMisesFisher", "HypersphericalUniform", "Mixture",
    "Flowed",  # what posteriors, priors and likelihoods return
    "FlowPosterior", "FlowPrior", "Polar", "Coupling", "Halves", "Planar", "Planars",  # what they are
    "Joint", "Upward", "Downward", "HierarchicalDecoder",  # made of
    "Quantized", "Assigned",  # what quantizers return
    "Descent", "GatedLayer", "Normals",  # what samplers are made of
    "Bridge", "Place", "Local",  # what annealing and local posteriors are made of
    "Encoded", "Importances",  # what scores of factors are computed from
    "TensorCache", "Side", "RealSet", "Collected", "Gallery", "PerChannel",  # what metrics share
    "Weights", "LenetClassifier", "InceptionNetwork", "Dinov2Network", "Block",  # networks inside extractors
}  # fmt: skip


def part(path: Path) -> str:
    relative = path.relative_to(SOURCE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return names


def test_the_tree_was_found():
    assert len(FILES) >= 30


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down_and_libraries_are_known_where_they_may_be(path):
    if path == SOURCE / "__init__.py":
        return
    mine = part(path)
    for name in imported(path):
        package, *rest = name.split(".")
        if package == "duogen" and rest:
            assert rest[0] == mine or LAYERS[rest[0]] < LAYERS[mine], f"{path} imports {name}"
        if package in KNOWN_TO:
            assert mine in KNOWN_TO[package], f"{path} imports {name}"


def test_files_and_functions_are_short():
    sizes = {path: path.read_text(encoding="utf-8").count("\n") for path in FILES}
    long_functions = [
        f"{path.name}:{node.name}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert [f"{path.name}: {size}" for path, size in sizes.items() if size > 300] == []
    assert long_functions == []
    assert sorted(sizes.values())[len(sizes) // 2] <= 120


def test_no_room_is_called_utils():
    banned = {"utils", "helpers", "common", "base", "misc"}
    assert [path for path in FILES if banned & set(path.with_suffix("").parts)] == []


def test_nothing_turns_the_safe_loading_off():
    offenders = [path for path in FILES if "weights_only=False" in path.read_text(encoding="utf-8")]
    assert offenders == []


def public_classes(layer: str) -> dict[str, type]:
    classes = {}
    for path in sorted((SOURCE / layer).rglob("*.py")):
        names = [part for part in path.relative_to(SOURCE).with_suffix("").parts if part != "__init__"]
        module = import_module(".".join(["duogen", *names]))
        for name, value in inspect.getmembers(module, inspect.isclass):
            ours = value.__module__ == module.__name__ and not name.startswith("_") and Protocol not in value.__bases__
            if ours and not inspect.isabstract(value) and name not in EXEMPT:
                classes[f"{value.__module__}.{name}"] = value
    return classes


def targets() -> dict[str, str]:
    """Every `_target_` at the head of an option, by the option's path."""
    found = {}
    for path in sorted(conf_dir().glob("*/*.yaml")):
        node = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        node = node.get(path.parent.name, node)
        if isinstance(node, dict) and "_target_" in node:
            found[f"{path.parent.name}/{path.stem}"] = node["_target_"]
    return found


@pytest.mark.parametrize("layer", ["networks", "objectives", "augmentations", "metrics"])
def test_every_public_class_of_a_role_has_a_yaml(layer):
    classes = public_classes(layer)
    assert len(classes) >= 2
    named = {target for option, target in targets().items() if option.split("/")[0] in ROLES[layer]}
    assert sorted(set(classes) - named) == []


def test_every_target_of_ours_is_a_public_class():
    ours = {option: target for option, target in targets().items() if target.startswith("duogen.")}
    assert len(ours) >= 20
    for option, target in ours.items():
        module, _, name = target.rpartition(".")
        made = getattr(import_module(module), name)
        assert inspect.isclass(made), option
        assert made.__module__ == module, option


def test_tests_mirror_the_source():
    """Every source file with logic has a test file at the same place, or is covered by the contracts named here."""
    by_contract = {
        "modules": {"alternating", "evaluated", "gan", "ranks", "state", "turns"},
        "callbacks": {"records", "samples"},
        "experiment": {"assemble"},
        "sweep": {"desk"},
    }
    for path in FILES:
        relative = path.relative_to(SOURCE)
        if path.stem.startswith("__") or path.stem in by_contract.get(part(path), set()):
            continue
        assert (ROOT / "tests" / relative.with_name(f"test_{path.name}")).exists(), relative
