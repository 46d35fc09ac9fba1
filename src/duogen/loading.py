"""Hydra set up on the config tree: the files in their order, and the config that overrides make of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import DictConfig, OmegaConf, flag_override

from duogen import resolvers
from duogen.conftree import Tree
from duogen.overrides import Override, chosen

resolvers.register()


Known = dict[tuple[Any, ...], Any]  # what was composed before, for many configs of one tree; the caller keeps it


def loaded(given: Sequence[Override], files: Tree, known: Known | None = None) -> DictConfig:
    """The config that overrides make of the files; with `known`, those that choose options are composed once."""
    if known is None:
        return composed(given, files.folders)
    choices = chosen(given, files)
    key = (files.folders, *(override.line for override in choices))
    if key not in known:
        known[key] = composed(choices, files.folders)
    config = deepcopy(known[key])
    lines = [override.line for override in given if override not in choices]
    with flag_override(config, "struct", True):
        ConfigLoaderImpl._apply_overrides_to_config(OverridesParser.create().parse_overrides(lines), config)
    return config


def composed(given: Sequence[Override], folders: Sequence[Path]) -> DictConfig:
    with searching(folders) as lines:
        return hydra_compose("train", [*lines, *(override.line for override in given)], return_hydra_config=True)


@contextmanager
def searching(folders: Sequence[Path]) -> Iterator[list[str]]:
    """Hydra set up on these config folders, the first the strongest, with overrides that it needs besides."""
    # Hydra looks for train.yaml in the main folder alone, and appends what it is given after that.
    main = next(index for index, folder in enumerate(folders) if (folder / "train.yaml").is_file())
    rest = ",".join(QuotedString(f"file://{folder}", Quote.single).with_quotes() for folder in folders[main + 1 :])
    outer, state = GlobalHydra.instance().hydra, GlobalHydra.instance()
    state.clear()
    try:
        with initialize_config_dir(str(folders[main]), job_name="duogen", version_base="1.3"):
            search_path = state.config_loader().get_search_path()
            for folder in reversed(folders[:main]):
                search_path.prepend("user", f"file://{folder}")
            yield [f"hydra.searchpath=[{rest}]"]
    finally:
        GlobalHydra.instance().hydra = outer


def plain(config: DictConfig) -> dict[str, Any]:
    container: Any = OmegaConf.to_container(config)
    return {key: value for key, value in container.items() if key != "hydra"}
