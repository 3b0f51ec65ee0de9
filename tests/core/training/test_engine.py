import io
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_hovernet.core import params
from napari_hovernet.core.checkpoint import load_model, save_model
from napari_hovernet.core.data.samples import LoadedData, Sample
from napari_hovernet.core.networks.registry import build
from napari_hovernet.core.training import loop as callbacks
from napari_hovernet.core.training import loop as engine
from napari_hovernet.core.training.files import RunFolder
from napari_hovernet.core.training.resume import load_resume
from napari_hovernet.core.types import Model, ModelInfo, numbered
from napari_hovernet.errors import OutputError

EDGE = 64
Event = dict[str, Any]


def sample(name: str, seed: int, typed: bool = False) -> Sample:
    """Dark discs on a light ground."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:EDGE, :EDGE]
    labels = np.zeros((EDGE, EDGE), np.int32)
    for i in range(1, 9):
        cy, cx = rng.integers(6, EDGE - 6, 2)
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= 25] = i
    image = np.where(labels[..., None] > 0, (110, 60, 140), (230, 200, 220))
    noisy = np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)
    types = {"types": (labels > 0) * (1 + labels % 2)} if typed else {}
    return Sample(name, image=noisy, labels=labels, **types)


def data_of(typed: bool = False) -> LoadedData:
    train = tuple(sample(f"train {i}", i, typed) for i in range(3))
    return LoadedData(train, (sample("val", 100, typed),), notes=("made of discs",))


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> LoadedData:
    found = data_of()
    monkeypatch.setattr(engine, "load_data", lambda config: found)
    return found


def tiny(path: Path, n_types: int | None = None, **info: Any) -> str:
    """Write a small network to start from."""
    torch.manual_seed(3)
    network = build("compact", {"widths": [4, 8], "n_types": n_types}).eval()
    types = numbered(n_types) if n_types else {}
    save_model(Model(network, ModelInfo("compact", types=types, **info), torch.device("cpu")), path)
    return str(path)


def config_of(tmp_path: Path, **changes: Any) -> params.TrainConfig:
    optim = {"epochs": 2, "batch": 2, "steps_per_epoch": 3, "lr": 1e-3}
    optim |= {
        k: changes.pop(k) for k in list(changes) if k in params.OptimParams.__dataclass_fields__
    }
    start = tmp_path / "start.safetensors"
    if "start" not in changes and not start.exists():
        tiny(start)
    base = params.TrainConfig(str(start), device="cpu", save_epochs=(1,), seed=7)
    data, augment = params.DataParams(("made",), crop=32), params.AugmentParams(p_rotate=0.0)
    base = replace(base, data=data, augment=augment, optim=params.OptimParams(**optim))
    return replace(base, **changes)


def folder_of(tmp_path: Path, name: str = "run", **changes: Any) -> RunFolder:
    folder = RunFolder(tmp_path / name)
    folder.write_config(config_of(tmp_path, **changes))
    return folder


def events_of(folder: RunFolder, kind: str = "") -> list[Event]:
    written = folder.events.read_bytes() if folder.events.exists() else b""
    found = map(json.loads, written[: written.rfind(b"\n") + 1].splitlines())
    return [event for event in found if not kind or event["event"] == kind]


def after_step(monkeypatch: pytest.MonkeyPatch, step: int, act: Callable[[], object]) -> None:
    """Do something once, between two steps."""
    original = callbacks.Conductor._obey
    done: list[int] = []

    def obey(self: Any, trainer: Any, module: Any) -> None:
        if self.position.step == step and not done:
            done.append(step)
            act()
            self._control.command(now=True)
        original(self, trainer, module)

    monkeypatch.setattr(callbacks.Conductor, "_obey", obey)


def same_weights(a: Path, b: Path) -> bool:
    one, two = load_file(a), load_file(b)
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def totals(folder: RunFolder) -> dict[int, float]:
    """Loss of every step that was told; the latest word counts."""
    return {event["step"]: event["total"] for event in events_of(folder, "step")}


def timeless(folder: RunFolder) -> list[Event]:
    history = load_resume(folder.resume_file)["position"]["history"]
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in history]


def flat(history: list[Event]) -> dict[str, Any]:
    """Scores by epoch and name; threads of a busy machine may add them up in another order."""
    found: dict[str, Any] = {}
    for entry in history:
        for key, value in entry.items():
            parts = value.items() if isinstance(value, dict) else [("", value)]
            found |= {f"{entry['epoch']} {key} {name}": part for name, part in parts}
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run from its start to its end, once for all tests."""
    folder = folder_of(tmp_path_factory.mktemp("finished"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "load_data", lambda config: data_of())
        assert engine.run_training(folder) == 0
    return folder


def test_a_run_leaves_models_events_scores_and_previews(finished, data) -> None:
    folder = finished
    kinds = [event["event"] for event in events_of(folder)]
    assert (kinds[:3], kinds[-1]) == (["state", "start", "state"], "end")
    (start,) = events_of(folder, "start")
    assert (start["steps_per_epoch"], start["epochs"], start["batch"]) == (3, 2, 2)
    assert (start["train_images"], start["val_images"], start["resumed_epoch"]) == (3, 1, 0)
    assert "made of discs" in start["notes"]
    assert [event["epoch"] for event in events_of(folder, "epoch")] == [0, 1, 2]
    for path in (folder.best, folder.last, folder.model_of(1), *map(folder.preview_of, range(3))):
        assert path.is_file(), path
    assert not folder.model_of(2).exists()
    status = folder.read_status()
    assert (status["state"], status["epoch"], status["step"]) == ("done", 2, 6)
    steps = events_of(folder, "step")
    assert {1, 3, 4, 6} <= {event["step"] for event in steps}
    assert [event["epoch"] for event in steps if event["step"] in (1, 6)] == [1, 2]
    first = steps[0]
    assert set(first["terms"]) == {"np", "hv", "hv_mse", "hv_gradient", "hv_magnitude", "nt"}
    assert sum(first["shares"].values()) == pytest.approx(1)
    assert 0.6 < first["true_magnitude"] < 0.8 and first["lr"] == pytest.approx(1e-3)
    assert steps[-1]["lr"] < 2e-4 and first["images_per_s"] > 0
    (heads,) = events_of(folder, "heads")
    assert sum(heads["grad_share"].values()) == pytest.approx(1)
    before, after = events_of(folder, "epoch")[::2]
    assert before["train"] == {} and after["train"]["total"] > 0
    for name in ("loss", "magnitude", "cosine", "hv_mse", "dice", "aji", "pq", "cc_aji"):
        assert isinstance(after["val"][name], float), name
    assert after["val"]["oracle_aji"] > 0.8
    assert after["val"]["hv_zero_mse"] == before["val"]["hv_zero_mse"] > 0.2
    image = np.load(folder.path / "preview" / "image.npz")
    maps = np.load(folder.path / events_of(folder, "preview")[-1]["path"])
    assert image["image"].dtype == np.uint8 and np.array_equal(image["truth"], data.val[0].labels)
    assert (maps["np"].dtype, maps["hv"].shape) == (np.float16, (2, EDGE, EDGE))
    assert maps["labels"].dtype == np.int32


def test_a_model_tells_how_it_was_trained_and_from_what(tmp_path: Path, data: LoadedData) -> None:
    start = tiny(tmp_path / "a.safetensors", mpp=0.25, licence="CC0", hv_convention="hover_net")
    origin = load_model(start, "cpu").info
    loss = params.LossParams(lambda_magnitude=4.0)
    folder = folder_of(tmp_path, start=start, loss=loss)
    engine.run_training(folder)
    info = load_model(folder.last, "cpu").info
    assert (info.mpp, info.licence, info.hv_convention) == (0.25, "CC0", "default")
    assert info.training["loss"]["lambda_magnitude"] == 4.0
    assert [entry["epoch"] for entry in info.history] == [0, 1, 2]
    assert info.origin[0]["sha256"] == origin.sha256 and not same_weights(Path(start), folder.last)


def test_a_network_of_inward_hv_keeps_its_convention_and_learns(tmp_path, data) -> None:
    start = tiny(tmp_path / "a.safetensors", hv_convention="vh_inward_radial")
    folder = folder_of(tmp_path, start=start, epochs=1, steps_per_epoch=25, lr=0.02)
    engine.run_training(folder)
    assert load_model(folder.last, "cpu").info.hv_convention == "vh_inward_radial"
    before, after = (event["val"]["cosine"] for event in events_of(folder, "epoch"))
    assert after > before + 0.1


# Going on after an interruption


@pytest.fixture
def whole(tmp_path: Path, data: LoadedData, finished: RunFolder) -> RunFolder:
    """A run that was never interrupted."""
    shutil.copytree(finished.path, tmp_path / "whole")
    return RunFolder(tmp_path / "whole")


@pytest.mark.parametrize("step", [0, 1, 3, 5])
def test_stopped_anywhere_and_resumed_it_ends_bit_for_bit_the_same(
    tmp_path: Path, whole: RunFolder, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    folder = folder_of(tmp_path)
    with monkeypatch.context() as patch:
        after_step(patch, step, lambda: folder.write_command("stop"))
        assert engine.run_training(folder) == 0
    assert (folder.read_status()["state"], folder.read_status()["step"]) == ("stopped", step)
    assert not folder.control_file.exists() and load_model(folder.last, "cpu")
    assert (engine.run_training(folder, resume=True), folder.read_status()["state"]) == (0, "done")
    start = events_of(folder, "start")[-1]
    assert (start["resumed_epoch"], start["resumed_step"]) == (step // 3, step)
    assert same_weights(folder.last, whole.last) and same_weights(folder.best, whole.best)
    both = [totals(folder), totals(whole)]
    assert {k: v for k, v in both[0].items() if k in both[1]} == {
        k: v for k, v in both[1].items() if k in both[0]
    }
    assert timeless(folder) == timeless(whole)


def test_learned_weights_types_and_dropout_are_resumed_too(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(engine, "load_data", lambda config: data_of(typed=True))
    start = tiny(tmp_path / "typed.safetensors", n_types=3)
    loss = params.LossParams(adaptive=True)
    whole, folder = (folder_of(tmp_path, name, start=start, loss=loss) for name in ("whole", "run"))
    engine.run_training(whole)
    with monkeypatch.context() as patch:
        after_step(patch, 4, lambda: folder.write_command("stop"))
        engine.run_training(folder)
    engine.run_training(folder, resume=True)
    ends = [load_resume(each.resume_file) for each in (whole, folder)]
    assert torch.equal(ends[0]["loss"]["s"], ends[1]["loss"]["s"])
    assert not torch.equal(ends[0]["loss"]["s"], torch.zeros(3))
    assert same_weights(folder.last, whole.last) and events_of(folder, "step")[0]["terms"]["nt"] > 0


def test_resuming_what_is_done_or_never_began(whole, tmp_path) -> None:
    before = whole.last.read_bytes()
    assert (engine.run_training(whole, resume=True), whole.last.read_bytes()) == (0, before)
    assert whole.read_status()["state"] == "done"
    folder = folder_of(tmp_path)
    assert engine.run_training(folder, resume=True) == 0 and same_weights(folder.last, whole.last)


def test_other_data_or_epochs_are_refused_on_resuming(tmp_path, whole, monkeypatch) -> None:
    before = whole.last.read_bytes()
    whole.write_config(config_of(tmp_path, steps_per_epoch=4))
    assert engine.run_training(whole, resume=True) == 1
    assert "had 3 steps" in events_of(whole, "error")[-1]["message"]
    fewer = LoadedData(data_of().train[:2], data_of().val)
    monkeypatch.setattr(engine, "load_data", lambda config: fewer)
    assert engine.run_training(whole, resume=True) == 1
    assert "not those the run began with" in whole.read_status()["message"]
    assert whole.last.read_bytes() == before


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_engine as module
module.engine.load_data = lambda config: module.data_of()
module.callbacks.SAVE_SECONDS = 0.0
sys.exit(module.engine.run_training(module.RunFolder(Path(sys.argv[1])), resume=len(sys.argv) > 2))
"""


def process(folder: RunFolder, *more: str) -> subprocess.Popen[bytes]:
    script = SCRIPT.format(tests=str(Path(__file__).parent))
    return subprocess.Popen([sys.executable, "-c", script, str(folder.path), *more])


def wait_for_step(folder: RunFolder, step: int, seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if any(event["step"] >= step for event in events_of(folder, "step")):
            return
        time.sleep(0.02)
    raise AssertionError(f"step {step} never came: {folder.log}")


@pytest.mark.slow
def test_killed_with_kill_9_and_resumed_it_ends_bit_for_bit_the_same(tmp_path, data) -> None:
    whole, folder = (folder_of(tmp_path, n, epochs=3, steps_per_epoch=20) for n in ("a", "run"))
    assert process(whole).wait(600) == 0
    running = process(folder)
    wait_for_step(folder, 25)
    running.kill()
    running.wait()
    assert folder.read_status()["state"] == "running"  # nobody was left to say otherwise
    assert process(folder, "--resume").wait(600) == 0
    assert events_of(folder, "start")[-1]["resumed_step"] >= 20
    assert same_weights(folder.last, whole.last)
    assert flat(timeless(folder)) == pytest.approx(flat(timeless(whole)), rel=1e-5, nan_ok=True)


def test_a_paused_run_waits_without_work_and_goes_on(tmp_path, whole, monkeypatch) -> None:
    folder = folder_of(tmp_path)
    after_step(monkeypatch, 2, lambda: folder.write_command("pause"))
    seen: dict[str, Any] = {}

    def sleep(seconds: float) -> None:
        """Stand in for the sleep of a paused run, which is all that it does meanwhile."""
        seen["sleeps"] = seen.get("sleeps", 0) + 1
        seen["status"] = folder.read_status()
        if seen["sleeps"] == 3:
            folder.write_command("resume")

    monkeypatch.setattr(callbacks.time, "sleep", sleep)
    assert engine.run_training(folder) == 0
    states = [event["state"] for event in events_of(folder, "state")]
    assert states == ["starting", "running", "paused", "running"]
    assert (seen["sleeps"], seen["status"]["state"]) == (3, "paused")
    assert same_weights(folder.last, whole.last)


# What goes wrong


def test_a_loss_that_turns_nan_stops_the_run_and_keeps_the_good_models(tmp_path, data, monkeypatch):
    folder = folder_of(tmp_path)
    original = engine.HoverLoss.forward
    calls: list[int] = []

    def spoilt(self: Any, *args: Any) -> Any:
        total, terms = original(self, *args)
        if torch.is_grad_enabled():
            calls.append(1)
        if len(calls) == 5:
            terms = {**terms, "hv_magnitude": terms["hv_magnitude"] * float("nan")}
            total = total * float("nan")
        return total, terms

    monkeypatch.setattr(engine.HoverLoss, "forward", spoilt)
    assert engine.run_training(folder) == 1
    (error,) = events_of(folder, "error")
    assert error["term"] == "hv_magnitude" and "last good models are kept" in error["message"]
    assert folder.read_status()["state"] == "failed"
    assert events_of(folder, "end")[-1]["state"] == "failed"
    assert load_model(folder.last, "cpu").info.history[-1]["epoch"] == 1
    assert load_resume(folder.resume_file)["position"]["step"] == 3


def test_weights_that_turn_nan_never_reach_a_file(tmp_path, data, monkeypatch) -> None:
    folder = folder_of(tmp_path, epochs=1)
    original = callbacks.Conductor._log

    def spoil(self: Any, trainer: Any, module: Any, epoch: int) -> None:
        original(self, trainer, module, epoch)
        if self.position.step == 2:
            next(module.network.parameters()).data.fill_(float("nan"))

    monkeypatch.setattr(callbacks.Conductor, "_log", spoil)
    monkeypatch.setattr(callbacks, "SAVE_SECONDS", 0.0)
    assert engine.run_training(folder) == 1
    (error,) = events_of(folder, "error")
    assert error["kind"] == "Diverged" and "Weights became NaN" in error["message"]
    assert load_resume(folder.resume_file)["position"]["step"] == 1


def test_out_of_memory_is_told_with_the_remedy(tmp_path, data, monkeypatch) -> None:
    folder = folder_of(tmp_path)

    def full(*args: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 8 GB")

    monkeypatch.setattr(engine.HoverLoss, "forward", full)
    monkeypatch.setattr(callbacks.Validator, "score", lambda *args: ({}, None))
    assert engine.run_training(folder) == 1
    (error,) = events_of(folder, "error")
    assert error["kind"] == "out of memory"
    assert "lower the batch or the crop (now 2 crops of 32 px)" in error["message"]


def test_a_full_disk_is_told_and_leaves_the_earlier_files(tmp_path, data, monkeypatch) -> None:
    folder = folder_of(tmp_path)
    saved = callbacks.save_resume

    def fill(path: Path, state: Any) -> None:
        if state["position"]["step"] >= 6:
            raise OutputError(f"Cannot write {path}: the disk is full: free some space.")
        saved(path, state)

    monkeypatch.setattr(callbacks, "save_resume", fill)
    assert engine.run_training(folder) == 1 and "disk is full" in folder.read_status()["message"]
    assert load_resume(folder.resume_file)["position"]["step"] == 3
    assert not [p for p in folder.path.rglob("*") if p.name.startswith(".napari")]


def test_damaged_configurations_and_resume_files_fail_with_a_way_out(tmp_path, whole) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.config_file.write_text("{")
    assert (engine.run_training(folder), folder.read_status()["state"]) == (1, "failed")
    assert json.loads(folder.events.read_text().splitlines()[-1])["state"] == "failed"
    whole.resume_file.write_bytes(whole.resume_file.read_bytes()[:-100])
    assert engine.run_training(whole, resume=True) == 1
    assert "start a new run from best.safetensors" in whole.read_status()["message"]


def put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return an edit of a resume file: a value at a place."""

    def edit(state: dict[str, Any]) -> None:
        at: Any = state
        for name in path[:-1]:
            at = at[name]
        at[path[-1]] = value

    return edit


EDITS = {
    "a step beyond the end": put("position", "step", value=10**9),
    "an epoch that was not": put("position", "scored", value=2),
    "no position": put("position", value={}),
    "an unknown member": put("position", "more", value=1),
    "no history": put("position", "history", value=[]),
    "no weights": put("network", value={}),
    "another weight": put("network", "down.0.conv1.weight", value=torch.zeros(1)),
    "NaN": put("network", "down.0.conv1.weight", value=torch.full((4, 3, 3, 3), torch.nan)),
    "no header": put("header", value="{}"),
    "no optimiser": put("optimizer", value={}),
    "another optimiser": put("optimizer", "state", 0, "exp_avg", value=torch.zeros(1)),
    "an optimiser far on": put("optimizer", "state", 0, "step", value=torch.tensor(1e12)),
    "short random numbers": put("random", "torch", value=torch.zeros(3, dtype=torch.uint8)),
    "steps of a text": put("steps_per_epoch", value="x"),
    "data of a number": put("data", value=3),
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that was stopped in its second epoch."""
    folder = folder_of(tmp_path_factory.mktemp("stopped"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "load_data", lambda config: data_of())
        after_step(patch, 4, lambda: folder.write_command("stop"))
        assert engine.run_training(folder) == 0
    return folder


@pytest.fixture
def halfway(tmp_path: Path, data: LoadedData, stopped: RunFolder) -> RunFolder:
    """A copy of it."""
    shutil.copytree(stopped.path, tmp_path / "halfway")
    return RunFolder(tmp_path / "halfway")


def test_edited_resume_files_are_refused_and_best_is_offered(halfway, capfd) -> None:
    sound = halfway.resume_file.read_bytes()
    for name, edit in EDITS.items():
        state = torch.load(io.BytesIO(sound), weights_only=True)
        edit(state)
        torch.save(state, halfway.resume_file)
        assert engine.run_training(halfway, resume=True) == 1, name
        message = halfway.read_status()["message"]
        assert "start" in message and "new run" in message and "best.safetensors" in message, name
    assert "Traceback" not in capfd.readouterr().err
    halfway.resume_file.write_bytes(sound)
    assert engine.run_training(halfway, resume=True) == 0


@pytest.mark.parametrize("what", ["image", "labels"])
def test_changed_pixels_or_labels_are_named_on_resuming(halfway, monkeypatch, what) -> None:
    found = data_of()
    changed = getattr(found.train[1].arrays, what)
    changed[:] = 255 - changed if what == "image" else 0
    monkeypatch.setattr(engine, "load_data", lambda config: found)
    assert engine.run_training(halfway, resume=True) == 1
    message = halfway.read_status()["message"]
    assert "1 of 4 images or their labels have changed" in message
    assert found.train[1].name in message
