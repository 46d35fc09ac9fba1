import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from duogen.callbacks import checkpoints as subject
from duogen.callbacks.checkpoints import Checkpoints, link, random_state, restore_random_state, seed_generators
from duogen.errors import UserError

CPU = torch.device("cpu")


def draws():
    return torch.randn(3).tolist(), np.random.rand(3).tolist(), [random.random() for _ in range(3)]


def test_every_generator_is_seeded_kept_and_put_back(tmp_path):
    seed_generators(5)
    first = draws()
    torch.save(random_state(CPU), tmp_path / "state")
    second = draws()
    seed_generators(5)
    assert draws() == first
    restore_random_state(torch.load(tmp_path / "state", weights_only=True), CPU)
    assert draws() == second


def checkpoints(folder, better, files=()):
    return Checkpoints(folder, {}, None, 1, 1, 2, None, better, files, lambda files: None)


@pytest.mark.parametrize(
    ("sign", "values", "improved"),
    [
        (1, [float("nan"), 0.2, 0.1, 0.3, float("inf")], [False, True, False, True, False]),
        (-1, [5.0, 7.0, float("nan"), 4.0], [True, False, False, True]),
    ],
)
def test_best_follows_the_metrics_direction_and_never_a_value_that_is_none(sign, values, improved):
    watched = checkpoints(None, lambda new, old: sign * new > sign * old)
    found = []
    for value in values:
        found.append(watched.improves(value))
        watched.best = value if found[-1] else watched.best
    assert found == improved


def test_links_are_replaced_in_one_step_and_old_files_pruned(tmp_path):
    watched = checkpoints(tmp_path, None)
    for step in (1, 2, 10):
        watched.write(step, f"content {step}".encode(), best=step == 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt", "step-10.ckpt", "step-2.ckpt"]
    assert (tmp_path / "last.ckpt").samefile(tmp_path / "step-10.ckpt")
    assert (tmp_path / "best.ckpt").read_bytes() == b"content 2"
    assert sorted(file["path"] for file in watched.files) == [
        f"checkpoints/{name}" for name in ("best.ckpt", "last.ckpt", "step-10.ckpt", "step-2.ckpt")
    ]


def test_a_continued_run_still_names_the_files_that_stand(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "step-3.ckpt").write_bytes(b"x")
    known = [{"path": f"checkpoints/step-{step}.ckpt", "step": step, "sha256": ""} for step in (2, 3)]
    assert [file["step"] for file in checkpoints(folder, None, known).files] == [3]


def test_linking_over_a_link(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        link(tmp_path / name, tmp_path / "last")
    assert (tmp_path / "last").read_text() == "b"


def test_ranks_that_see_different_checkpoints_are_refused(monkeypatch):
    watched, trainer = checkpoints(None, None), SimpleNamespace(global_step=500)
    watched.on_train_start(trainer, None)
    monkeypatch.setattr(subject, "gathered", lambda mine: [mine, {"step": 0}])
    with pytest.raises(UserError, match="steps 500, 0"):
        watched.on_train_start(trainer, None)
