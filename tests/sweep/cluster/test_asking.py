from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir

from duogen.sweep.cluster.asking import asked_for, asking


@pytest.mark.parametrize(
    "folder", ["plain", "a sweep", "lr=1e-3,seed=0", "it's", 'a "b"', "[x]{y}", "${z}", "$", "back\\slash", "é~#!&;"]
)
def test_a_path_arrives_as_it_is_through_hydras_grammar(tmp_path, folder):
    (tmp_path / "train.yaml").write_text("seed: 0\n")
    file = Path("/runs") / folder / "trials" / "0a1b.json"
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        config = compose("train", asking(SimpleNamespace(file=file)), return_hydra_config=True)
    assert asked_for(config) == file
    assert config.hydra.sweep.subdir == "."
    assert config.hydra.output_subdir is None
