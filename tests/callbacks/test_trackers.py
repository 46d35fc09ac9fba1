import csv
import inspect
import json
import os
import struct
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import yaml
from PIL import Image

from duogen.callbacks import trackers
from duogen.callbacks.login import run_id
from duogen.callbacks.trackers import Csv, Guarded, TensorBoard, TrackedRun, Tracker, WeightsAndBiases
from duogen.errors import UserError

CONF = Path(__file__).parents[2] / "conf" / "logger"
FIRST = {"time": 1000.5, "train/discriminator/adversarial": 0.25, "samples": 64.0}
SECOND = {
    "time": 1001.5,
    "train/discriminator/adversarial": 0.125,
    "samples": 128.0,
    "validate/gan/frechet_pixels": 3.5,
}
THIRD = {"time": 1002.5, "train/discriminator/adversarial": 0.0625, "samples": 192.0}


@pytest.fixture(autouse=True)
def no_login(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb-config"))


def tracked(folder: Path, *held: tuple[int, dict[str, float]]) -> TrackedRun:
    """A run that continues from the last of the rows that its metrics.jsonl holds."""
    path = folder / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step, **row}) + "\n" for step, row in held))
    step = held[-1][0] if held else 0
    return TrackedRun(folder, "abc-0f3e2d", "gan-ring", "sweep", ["data=ring"], {"budget": {"steps": 150}}, step, path)


def drawn(folder: Path, step: int) -> Path:
    path = folder / "samples" / f"step-{step}.png"
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (4, 6), (step, 20, 30)).save(path)
    return path


@pytest.mark.parametrize("name", ["csv", "tensorboard", "wandb"])
def test_the_yaml_gives_what_the_constructor_takes(name):
    node = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    kind = getattr(trackers, node.pop("_target_").removeprefix("duogen.callbacks.trackers."))
    assert list(node) == list(inspect.signature(kind).parameters)
    assert isinstance(kind(**node), Tracker)


def test_rows_leave_out_a_line_that_was_never_finished(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert list(trackers.rows(path)) == []
    path.write_text('{"step": 50, "x": 1.5}\n{"step": 100, "x"')
    assert list(trackers.rows(path)) == [(50, {"x": 1.5})]


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_a_column_for_every_value_and_step_and_time_first(tmp_path):
    tracker = Csv()
    assert tracker.open(tracked(tmp_path)) is None
    tracker.log(50, {"samples": 64.0, "time": 1000.5})
    tracker.log(100, SECOND)
    tracker.log(150, THIRD)
    tracker.close(0)
    assert list(table(tmp_path)[0])[:3] == ["step", "time", "samples"]
    assert [row["step"] for row in table(tmp_path)] == ["50", "100", "150"]
    assert [row["validate/gan/frechet_pixels"] for row in table(tmp_path)] == ["", "3.5", ""]
    assert float(table(tmp_path)[2]["train/discriminator/adversarial"]) == THIRD["train/discriminator/adversarial"]


def test_csv_appends_a_row_of_known_columns_and_rewrites_for_a_new_one(tmp_path):
    tracker, path = Csv(), tmp_path / "metrics.csv"
    tracker.open(tracked(tmp_path, (50, FIRST)))
    before, file = path.read_text(), path.stat().st_ino
    tracker.log(100, THIRD)
    assert path.stat().st_ino == file
    assert path.read_text() == before + "100,1002.5,0.0625,192.0\n"
    tracker.log(150, SECOND)
    assert path.stat().st_ino != file
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_csv_of_a_continued_run_holds_what_the_file_holds(tmp_path):
    tracker = Csv()
    tracker.open(tracked(tmp_path))
    for step, row in ((50, FIRST), (100, SECOND), (150, THIRD)):
        tracker.log(step, row)
    resumed = Csv()
    resumed.open(tracked(tmp_path, (50, FIRST)))
    resumed.log(100, {**SECOND, "samples": 999.0})
    assert [(row["step"], row["samples"]) for row in table(tmp_path)] == [("50", "64.0"), ("100", "999.0")]


def events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0, "scalars": 0}).Reload()


def test_tensorboard_shows_each_step_of_a_continued_run_once(tmp_path):
    tracker = TensorBoard()
    tracker.open(tracked(tmp_path))
    for step, row in ((50, FIRST), (100, SECOND), (150, THIRD)):
        tracker.log(step, row)
        tracker.picture(step, "samples", drawn(tmp_path, step))
    resumed = TensorBoard()
    resumed.open(tracked(tmp_path, (50, FIRST), (100, SECOND)))
    resumed.log(150, {"time": 1009.0, "train/discriminator/adversarial": 0.5})
    resumed.close(0)
    resumed.close(0)
    found = events(tmp_path)
    scalars = found.Scalars("train/discriminator/adversarial")
    assert [(event.step, event.value, event.wall_time) for event in scalars] == [
        (50, 0.25, 1000.5),
        (100, 0.125, 1001.5),
        (150, 0.5, 1009.0),
    ]
    images = found.Images("pictures/samples")
    assert [(image.step, image.width, image.height) for image in images] == [(50, 4, 6), (100, 4, 6)]
    assert "time" not in found.Tags()["scalars"]


def test_tensorboard_is_brought_up_to_a_run_that_began_without_it(tmp_path):
    drawn(tmp_path, 100)
    drawn(tmp_path, 150)
    tracker = TensorBoard()
    tracker.open(tracked(tmp_path, (50, FIRST), (100, SECOND)))
    tracker.log(150, THIRD)
    tracker.close(0)
    assert [event.step for event in events(tmp_path).Scalars("samples")] == [50, 100, 150]
    assert [image.step for image in events(tmp_path).Images("pictures/samples")] == [100]


class Broken(Tracker):
    """Fails in the one method that is named and notes every call."""

    def __init__(self, method: str) -> None:
        self.method, self.calls = method, []

    def _call(self, method: str) -> None:
        self.calls.append(method)
        if method == self.method:
            raise OSError("no space left\non this disk")

    def open(self, run):
        self._call("open")
        return "id-7"

    def log(self, step, values):
        self._call("log")

    def picture(self, step, name, path):
        self._call("picture")

    def close(self, exit_code):
        self._call("close")


@pytest.mark.parametrize(
    ("method", "calls"),
    [
        ("open", ["open", "close"]),
        ("log", ["open", "log", "close"]),
        ("picture", ["open", "log", "picture", "close"]),
        ("close", ["open", "log", "picture", "log", "picture", "close"]),
    ],
)
def test_a_broken_tracker_is_told_of_once_and_left_alone(tmp_path, caplog, method, calls):
    broken = Broken(method)
    guarded = Guarded(broken)
    assert guarded.open(tracked(tmp_path)) == (None if method == "open" else "id-7")
    for step in (50, 100):
        guarded.log(step, FIRST)
        guarded.picture(step, "samples", tmp_path / "none.png")
    guarded.close(1)
    assert broken.calls == calls
    assert [record.message for record in caplog.records] == [
        "Broken shows no more rows (OSError: no space left on this disk); metrics.jsonl holds everything"
    ]


def test_a_guard_lets_an_interrupt_through(tmp_path, monkeypatch):
    def interrupted(step, values):
        raise KeyboardInterrupt

    broken = Broken("none")
    monkeypatch.setattr(broken, "log", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Guarded(broken).log(50, FIRST)


class FakeRun:
    """What W&B gives back: `step` is the next one that its server expects."""

    disabled = False
    url = "https://example.test/run"

    def __init__(self, step: int, offline: bool) -> None:
        self.step, self.offline, self.id = step, offline, "abc-0f3e2d"
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.finished: list[int] = []

    def log(self, values, step):
        self.logged.append((step, values))

    def finish(self, exit_code):
        self.finished.append(exit_code)


class FakeWandb(SimpleNamespace):
    class Error(Exception):
        pass

    Settings: ClassVar[Any] = staticmethod(lambda **settings: settings)
    Image: ClassVar[Any] = staticmethod(lambda path: f"image of {Path(path).name}")

    def __init__(self, run: FakeRun, reachable: bool = True) -> None:
        super().__init__(run=run, reachable=reachable, calls=[])

    def setup(self, settings):
        assert settings["silent"] is True

    def teardown(self):
        self.calls.append({"mode": "teardown"})

    def init(self, **arguments):
        self.calls.append(arguments)
        if arguments["mode"] != "offline" and not self.reachable:
            raise self.Error("no answer\nfrom the server")
        return self.run


@pytest.fixture
def fresh_wandb():
    """W&B reads its environment once in a process."""
    import wandb

    wandb.teardown()
    yield wandb
    wandb.teardown()


@pytest.fixture
def fake(monkeypatch):
    def install(run: FakeRun, reachable: bool = True) -> FakeWandb:
        module = FakeWandb(run, reachable)
        monkeypatch.setitem(sys.modules, "wandb", module)
        return module

    return install


def test_wandb_sends_what_the_server_lacks_and_skips_what_it_has(tmp_path, fake, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    run = FakeRun(step=51, offline=False)
    module = fake(run)
    tracker = WeightsAndBiases("duogen", None)
    for step in (50, 100):
        drawn(tmp_path, step)
    assert tracker.open(tracked(tmp_path, (50, FIRST), (100, SECOND))) == "abc-0f3e2d"
    tracker.log(150, THIRD)
    tracker.picture(150, "samples", drawn(tmp_path, 150))
    tracker.close(3)
    tracker.close(0)
    assert [step for step, _ in run.logged] == [100, 100, 150, 150]
    assert run.logged[2][1] == {
        "train/discriminator/adversarial": 0.0625,
        "samples": 192.0,
        "_timestamp": 1002.5,
    }
    assert run.logged[3][1] == {"pictures/samples": "image of step-150.png", "_timestamp": 1002.5}
    assert run.finished == [3]
    (call,) = module.calls
    assert (call["id"], call["resume"], call["reinit"], call["mode"]) == ("abc-0f3e2d", "allow", "create_new", None)
    assert (call["group"], call["tags"], call["name"]) == ("sweep", ["data=ring"], "gan-ring")
    assert call["job_type"] is None


def test_wandb_is_told_the_phase_and_no_tag_that_it_refuses(tmp_path, fake):
    module = fake(FakeRun(step=0, offline=True))
    tags = ["experiment=" + "x" * 60, "experiment=" + "x" * 61, "data=ring"]
    WeightsAndBiases("duogen", None).open(replace(tracked(tmp_path), tags=tags, job_type="narrow"))
    (call,) = module.calls
    assert call["job_type"] == "narrow"
    assert call["tags"] == ["experiment=" + "x" * 53, "data=ring"]


def test_wandb_of_a_run_ahead_of_its_checkpoint_repeats_no_step(tmp_path, fake):
    run = FakeRun(step=121, offline=False)
    fake(run)
    tracker = WeightsAndBiases("duogen", None)
    tracker.open(tracked(tmp_path, (50, FIRST)))
    for step in (100, 120, 150):
        tracker.log(step, THIRD)
        tracker.picture(step, "samples", drawn(tmp_path, step))
    assert [step for step, _ in run.logged] == [150, 150]


def test_wandb_is_offline_where_no_server_answers(tmp_path, fake, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    module = fake(FakeRun(step=0, offline=True), reachable=False)
    WeightsAndBiases("duogen", None).open(tracked(tmp_path))
    assert [call["mode"] for call in module.calls] == [None, "teardown", "offline"]
    assert "no answer from the server" in caplog.text


def test_wandb_that_must_be_online_says_so(tmp_path, fake, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    module = fake(FakeRun(step=0, offline=True), reachable=False)
    with pytest.raises(module.Error):
        WeightsAndBiases("duogen", "online").open(tracked(tmp_path))


def test_a_hanging_finish_does_not_hold_the_run(tmp_path, fake, monkeypatch, caplog):
    released, ended = threading.Event(), threading.Event()
    run = FakeRun(step=0, offline=False)

    def finish(exit_code):
        released.wait(60)
        ended.set()

    monkeypatch.setattr(run, "finish", finish)
    monkeypatch.setattr(trackers, "PATIENCE_S", 0.05)
    fake(run)
    tracker = WeightsAndBiases("duogen", None)
    tracker.open(tracked(tmp_path))
    tracker.close(0)
    assert not ended.is_set()
    assert "holds what is missing" in caplog.text
    released.set()
    assert ended.wait(60)


def test_an_error_in_finish_reaches_the_caller():
    with pytest.raises(OSError, match="disk"):
        trackers.within(60, lambda: (_ for _ in ()).throw(OSError("disk")))


def test_an_unknown_mode_is_refused():
    with pytest.raises(UserError) as caught:
        WeightsAndBiases("duogen", "of-line")
    assert caught.value.allowed.startswith("offline")


def wandb_records(path: Path) -> list[Any]:
    """The protobuf records of a .wandb file: 7 bytes of header, then LevelDB's log format in blocks of 32 KiB."""
    from wandb.proto import wandb_internal_pb2

    raw, at, whole, found = path.read_bytes(), 7, b"", []
    while at + 7 <= len(raw):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        _, size, kind = struct.unpack_from("<IHB", raw, at)
        whole += raw[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):
            record: Any = wandb_internal_pb2.Record()  # pyright: ignore[reportAttributeAccessIssue]
            record.ParseFromString(whole)
            found, whole = [*found, record], b""
    return found


def test_wandb_offline_keeps_one_file_with_each_step_once(tmp_path, capfd):
    import wandb

    other = wandb.init(mode="offline", project="other", dir=str(tmp_path / "elsewhere"), settings={"silent": True})
    tracker = WeightsAndBiases("duogen", None)
    tracker.open(tracked(tmp_path))
    tracker.log(50, FIRST)
    tracker.picture(50, "samples", drawn(tmp_path, 50))
    tracker.log(100, SECOND)
    tracker.close(1)
    resumed = WeightsAndBiases("duogen", None)
    assert resumed.open(tracked(tmp_path, (50, FIRST))) == "abc-0f3e2d"
    resumed.log(100, {**SECOND, "samples": 130.0})
    resumed.log(150, THIRD)
    resumed.close(1)
    assert wandb.run is other
    other.finish()
    wandb.teardown()  # waits until the files are whole

    (path,) = (tmp_path / "wandb").glob("offline-run-*/run-abc-0f3e2d.wandb")
    records = wandb_records(path)
    history = [
        {".".join([*item.nested_key]) or item.key: json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]
    assert [(row["_step"], row["samples"], row["_timestamp"]) for row in history] == [
        (50, 64.0, 1000.5),
        (100, 130.0, 1001.5),
        (150, 192.0, 1002.5),
    ]
    assert (history[0]["pictures/samples.width"], history[0]["pictures/samples.height"]) == (4, 6)
    (began,) = [record.run for record in records if record.HasField("run")]
    assert (began.project, began.display_name, began.run_group, list(began.tags)) == (
        "duogen",
        "gan-ring",
        "sweep",
        ["data=ring"],
    )
    assert [record.exit.exit_code for record in records if record.HasField("exit")] == [1]
    shown = capfd.readouterr()
    assert shown.out.count("W&B: offline") == 2


def test_a_run_that_an_agent_started_is_the_agents(tmp_path, monkeypatch, fresh_wandb, capfd):
    chosen = tmp_path / "chosen.yaml"
    chosen.write_text("wandb_version: 1\ngenerator: {value: mlp}\noptimizer.lr: {value: 0.001}\n")
    monkeypatch.setenv("WANDB_SWEEP_ID", "swept")
    monkeypatch.setenv("WANDB_RUN_ID", "theirs")
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(chosen))
    own = tracked(tmp_path)
    began = TrackedRun(**{**vars(own), "id": run_id(os.environ, own.id), "job_type": "search"})
    tracker = WeightsAndBiases("duogen", None)
    assert tracker.open(began) == "theirs"
    tracker.log(50, FIRST)
    tracker.close(0)
    fresh_wandb.teardown()  # waits until the file is whole
    (path,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    assert path.name == "run-theirs.wandb"
    (run,) = [record.run for record in wandb_records(path) if record.HasField("run")]
    assert (run.sweep_id, run.run_group, run.job_type) == ("swept", "sweep", "search")
    assert "Ignoring" not in capfd.readouterr().err
