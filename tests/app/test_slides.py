"""Runs of slides: killed and resumed, with bad slides, bad blocks and bad stores."""

import errno
import importlib
import json
import os
import platform
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_hovernet.app import slides
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.slides import SlideJob, Task, slide_steps, store_paths, watch_steps, work
from napari_hovernet.core import limits
from napari_hovernet.core.io import files
from napari_hovernet.core.io.far import Lease, place
from napari_hovernet.core.params import InferenceParams, SeparationParams
from napari_hovernet.core.slides.finish import read_nuclei
from napari_hovernet.core.slides.params import OFF, SlideParams, WorkParams
from napari_hovernet.core.slides.store import SlideStore
from napari_hovernet.core.types import Progress
from napari_hovernet.errors import InputError, JobFailed, OutputError

from ..refusals import refuses

pytest.importorskip("zarr")
pytest.importorskip("pyarrow")
DRAWN = Path(__file__).parents[1] / "core" / "slides" / "drawn.py"
STUB = f"{DRAWN}:stub"


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "a.tif"
    drawn = SimpleNamespace(**runpy.run_path(str(DRAWN)))
    return drawn.write_slide(path, drawn.scene((380, 450)))


def job(slide: Path | str, out: Path | str, block: int = 192, **more: object) -> SlideJob:
    params = SlideParams(block=block, context=48, mask=OFF)
    return SlideJob((str(slide),), out, STUB, "cpu", slide_params=params, **more)


def begun(slide: Path, out: Path | str, blocks: int) -> Any:
    """Steps of a run of which so many blocks are done."""
    steps = slide_steps(job(slide, out))
    while next(steps).done < blocks:
        pass
    return steps


def labels(store: Path | str) -> np.ndarray:
    return SlideStore(str(store)).group("r")["labels/0"][:]


def contents(store: Path) -> dict[str, bytes]:
    """All files of a store but those that tell of the run itself."""
    files = (file for file in store.rglob("*") if file.is_file())
    own = {"run.json", "summary.json", ".lock"}
    return {
        str(file.relative_to(store)): file.read_bytes()
        for file in files
        if file.name not in own and file.parent.name != "blocks"
    }


@pytest.fixture(scope="module")
def expected(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    out = tmp_path_factory.mktemp("expected") / "out.zarr"
    (outcome,) = drive(slide_steps(job(slide, out, 512)))
    assert outcome.summary["nuclei"] == labels(out).max() > 100
    return labels(out)


def test_cancelled_and_resumed(slide: Path, expected: np.ndarray, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    begun(slide, out, 3).close()
    store = SlideStore(str(out))
    assert sum(store.done(b) is not None for b in store.blocks) == 3
    (out / "np/0/c/0.5f2e.partial").write_bytes(b"of a process that was killed, as zarr names it")
    seen: list[Progress] = []
    drive(slide_steps(job(slide, out)), seen.append)
    assert "block 3 of 6" in next(s.message for s in seen if s.total == 6)
    np.testing.assert_array_equal(labels(out), expected)
    assert not list(out.rglob("*.partial"))
    (again,) = drive(slide_steps(job(slide, out)))  # finished: nothing is done again
    assert (again.summary["nuclei"], list(watch_steps(str(out)))) == (expected.max(), [])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killed_at_any_moment(slide: Path, expected: np.ndarray, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    command = [
        sys.executable, "-m", "napari_hovernet", "slide", str(slide), "-o", str(out), "-q",
        "--model", STUB, "--device", "cpu", "--block", "192", "--context", "48", "--mask", "off",
    ]  # fmt: skip
    rng = np.random.default_rng(1)
    for kills in range(4):
        process = subprocess.Popen([*command, *(["--workers", "1"] if kills % 2 else [])])
        begun = len(list((out / "blocks").glob("*.json"))) if out.exists() else 0
        while process.poll() is None and len(list((out / "blocks").glob("*.json"))) < begun + 1:
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert subprocess.run(command, check=False).returncode == 0
    np.testing.assert_array_equal(labels(out), expected)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_worker_that_dies_is_replaced(slide: Path, expected: np.ndarray, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    crew = slides._Processes(2)
    try:
        tasks = _tasks(slide, out)
        crew.submit(tasks[0])
        (process, _), *_ = crew._busy.values()
        os.kill(process.pid, signal.SIGKILL)
        found = []
        while not found:
            found = crew.ended()
        assert "process ended" in found[0][1].error
        crew.submit(tasks[0])
        found = []
        while not found:
            found = crew.ended()
        assert found[0][1].error == ""
    finally:
        crew.close()
    drive(slide_steps(job(slide, out, work=WorkParams(workers=2))))
    np.testing.assert_array_equal(labels(out), expected)


def _tasks(slide: Path, out: Path) -> list[Task]:
    steps = slide_steps(job(slide, out))
    for step in steps:
        if step.total:
            break
    steps.close()
    return [Task(str(out), block, STUB, "cpu") for block in SlideStore(str(out)).blocks]


def test_an_unreadable_tile_fails_its_block_alone(slide, expected, tmp_path) -> None:
    bad = tmp_path / "a.tif"
    bad.write_bytes(slide.read_bytes())
    with tifffile.TiffFile(bad, mode="r+") as file:
        counts = [*file.pages[0].databytecounts[:-1], 7]  # the tile below and right
        file.pages[0].tags["TileByteCounts"].overwrite(counts)
    out = tmp_path / "out.zarr"
    (outcome,) = drive(slide_steps(job(bad, out)))
    assert outcome.failed
    assert len(outcome.summary["missing_blocks"]) < len(SlideStore(str(out)).blocks)
    assert "damaged" in (out / "failed.json").read_text()
    bad.write_bytes(slide.read_bytes())  # copied again
    slides._store.cache_clear()
    (outcome,) = drive(slide_steps(job(bad, out)))
    assert not outcome.failed and not (out / "failed.json").exists()
    np.testing.assert_array_equal(labels(out), expected)


def test_a_bad_slide_among_others_does_not_stop_them(slide: Path, tmp_path: Path) -> None:
    both = replace(job(slide, tmp_path / "out", 512), slides=(str(tmp_path / "no.svs"), str(slide)))
    bad, good = drive(slide_steps(both))
    assert "not there" in bad.failed[0] and good.summary["nuclei"] > 100
    refuses("are called a", lambda: store_paths(replace(both, slides=(str(slide), str(slide)))))


def test_two_runs_into_one_store(slide: Path, tmp_path: Path) -> None:
    first = slide_steps(job(slide, tmp_path / "out.zarr"))
    while not next(first).total:
        pass
    refuses("Another run", lambda: drive(slide_steps(job(slide, tmp_path / "out.zarr"))))
    first.close()


def test_a_worker_of_another_version_ends_the_run(slide, tmp_path, monkeypatch) -> None:
    (task, *_) = _tasks(slide, tmp_path / "out.zarr")
    outcome = work(task._replace(version="0.0.1"))
    assert outcome.hopeless and "0.0.1" in outcome.error
    monkeypatch.setattr(slides, "work", lambda task: outcome)
    with pytest.raises(JobFailed, match="What is done is kept"):
        drive(slide_steps(job(slide, tmp_path / "out.zarr")))


@pytest.mark.parametrize("what", ["hv/0/c/0/1", "0001_0001.npz", "labels/0", "summary.json"])
def test_a_full_disk_ends_the_run_and_loses_nothing(slide, expected, tmp_path, monkeypatch, what):
    real, out = files.os.replace, tmp_path / "out.zarr"

    def full(temporary: Path, target: Path) -> None:
        if what in Path(target).as_posix():
            raise OSError(errno.ENOSPC, "No space left on device")
        real(temporary, target)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", full)
        with pytest.raises((JobFailed, OutputError), match="disk is full"):
            drive(slide_steps(job(slide, out)))
    assert not (out / "summary.json").exists()
    drive(slide_steps(job(slide, out)))
    np.testing.assert_array_equal(labels(out), expected)
    assert not list(out.rglob(".napari-hovernet-*"))


def test_unfit_places_and_too_little_memory_are_told_first(slide, tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("1")
    with pytest.raises(OutputError, match="not a folder: choose another path"):
        drive(slide_steps(job(slide, tmp_path / "file" / "out.zarr")))
    with pytest.raises(InputError, match=r"cannot be reached.*napari-hovernet\[s3\]"):
        drive(slide_steps(job(slide, "nosuch://bucket/out.zarr")))
    with pytest.raises(InputError, match="Slides of other kinds are read from files alone"):
        drive(slide_steps(job("memory://bucket/a.svs", "memory://bucket/out.zarr")))
    monkeypatch.setattr(limits, "free_memory", lambda: 10**9)
    refuses("smaller --block", lambda: drive(slide_steps(job(slide, tmp_path / "out.zarr"))))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, that may be made read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid():
        pytest.skip("needs Linux and root")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if (done := subprocess.run(mount, capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_read_only_store_is_told_and_loses_nothing(slide, expected, disk) -> None:
    out = disk / "out.zarr"
    steps = begun(slide, out, 2)
    steps.close()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for place_of in (out, disk / "new.zarr"):
        with pytest.raises(OutputError, match="disk is read-only"):
            drive(slide_steps(job(slide, place_of)))
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    drive(slide_steps(job(slide, out)))
    np.testing.assert_array_equal(labels(out), expected)


def test_a_slide_cut_off_gives_what_is_there(slide: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.tif").write_bytes(slide.read_bytes()[:-20_000])
    (outcome,) = drive(slide_steps(job(tmp_path / "cut.tif", tmp_path / "out.zarr", 64)))
    assert 0 < len(outcome.failed) < outcome.summary["blocks"]
    assert "cut.tif is damaged or cut off" in outcome.failed[0] and outcome.summary["nuclei"] > 0


GONE = 10**9
"""Messages that are dropped by a store which does not come back."""


class LostError(Exception):
    """Of a store's own library."""


def far_away(name: str, dropped: str) -> type:
    """Make a store by URL that is slow, and drops the next ``lost`` pixels "read" or "sent"."""
    fsspec = pytest.importorskip("fsspec")
    memory = importlib.import_module("fsspec.implementations.memory").MemoryFileSystem

    class Far(memory):  # type: ignore[misc, valid-type]
        protocol, lost = name, 0

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return memory._strip_protocol(path.replace(f"{name}://", "memory://"))

        def drop(self, path: str, way: str) -> None:
            if "/c/" in path and way == dropped:
                Far.lost -= 1
                if Far.lost >= 0:
                    raise LostError("reset by peer")

        def cat_file(self, path: str, *given: object, **more: object) -> bytes:
            time.sleep(0.01 * ("/c/" in path))
            self.drop(path, "read")
            return memory.cat_file(self, path, *given, **more)

        def put_file(self, local: str, path: str, *given: object, **more: object) -> None:
            self.drop(path, "sent")
            memory.put_file(self, local, path, *given, **more)

        def pipe_file(self, path: str, value: bytes, *given: object, **more: object) -> None:
            if Far.lost > GONE // 2:
                raise LostError("no route")
            memory.pipe_file(self, path, value, *given, **more)

    fsspec.register_implementation(name, Far, clobber=True)
    return Far


def store_slide(image: np.ndarray) -> None:
    group = pytest.importorskip("zarr").open_group("memory://a.zarr", mode="w")
    group.create_array("0", data=image, chunks=(128, 128, 3))
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "yx"]
    scale = [{"type": "scale", "scale": [0.25, 0.25, 1]}]
    level = {"path": "0", "coordinateTransformations": scale}
    scales = [{"axes": [*axes, {"name": "c", "type": "channel"}], "datasets": [level]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": scales}


def test_a_slide_in_a_store_that_drops(slide: Path, expected: np.ndarray, tmp_path: Path) -> None:
    far, out = far_away("far", "read"), tmp_path / "out.zarr"
    store_slide(tifffile.imread(slide))
    far.lost = 1  # tried again
    (outcome,) = drive(slide_steps(job("far://a.zarr", out)))
    assert not outcome.failed
    np.testing.assert_array_equal(labels(out), expected)
    far.lost, out = 10**6, tmp_path / "other.zarr"
    (outcome,) = drive(slide_steps(job("far://a.zarr", out)))
    assert len(outcome.failed) == 6 and "reset by peer" in outcome.failed[0]
    far.lost = 0
    drive(slide_steps(job("far://a.zarr", out)))
    np.testing.assert_array_equal(labels(out), expected)
    with pytest.raises(InputError, match="cannot be read as OME-Zarr"):
        drive(slide_steps(job("far://lost.zarr", tmp_path / "third.zarr")))


def test_a_result_in_a_store_by_url(slide: Path, expected: np.ndarray) -> None:
    kept, out = far_away("kept", "sent"), "kept://results/out.zarr"
    steps = begun(slide, out, 2)
    with pytest.raises(InputError, match=r"Another run writes kept://results/out.zarr: process"):
        drive(slide_steps(job(slide, out)))
    steps.close()
    with pytest.raises(InputError, match=r"was 0\.45, now 0\.6"):
        other = SeparationParams(np_threshold=0.6)
        drive(slide_steps(job(slide, out, separation=other)))
    kept.lost, seen = 1, list[Progress]()  # tried again
    (outcome,) = drive(slide_steps(job(slide, out)), seen.append)
    assert "block 2 of 6" in next(s.message for s in seen if s.total == 6) and not outcome.failed
    np.testing.assert_array_equal(labels(out), expected)
    store = SlideStore(out)
    assert sum(len(part) for part in read_nuclei(store)) == outcome.summary["nuclei"]
    names = {path.name for path in store.folder.iterdir()}
    assert {"overlay.png", "summary.json", "nuclei.parquet", "tissue.png"} < names
    assert not names & {".lock", "failed.json"} and list(watch_steps(out)) == []


def test_a_store_by_url_that_drops_all(slide: Path, expected: np.ndarray) -> None:
    kept, out = far_away("kept", "sent"), "kept://results/lost.zarr"
    kept.lost = 10**6
    (outcome,) = drive(slide_steps(job(slide, out)))
    assert len(outcome.failed) == 6 and "reset by peer: run again" in outcome.failed[0]
    kept.lost = GONE
    with pytest.raises(OutputError, match=r"Cannot write .*LostError: no route: run again"):
        drive(slide_steps(job(slide, out)))
    kept.lost = 0
    for step in (steps := slide_steps(job(slide, out))):
        if step.done == 2:
            kept.lost = GONE
            break
    with pytest.raises(OutputError, match="no route"):  # at the next block, not after all of them
        drive(steps)
    kept.lost = 0
    drive(slide_steps(job(slide, out)))
    np.testing.assert_array_equal(labels(out), expected)
    assert not (place(out) / "failed.json").exists()


def test_a_writer_that_is_gone_does_not_lock_a_store_by_url(slide: Path) -> None:
    far_away("kept", "sent")
    lock = place("kept://results/gone.zarr/.lock")
    own = {"host": platform.node(), "pid": os.getpid(), "born": 1.0, "renewed": time.time()}
    lock.write_bytes(json.dumps(own).encode())  # of a process of this computer that was killed
    assert not Lease(lock).taken_by()
    lock.write_bytes(json.dumps({**own, "host": "elsewhere"}).encode())
    assert Lease(lock).taken_by() == f"process {os.getpid()} on elsewhere"
    lock.write_bytes(json.dumps({**own, "host": "elsewhere", "renewed": 1.0}).encode())
    drive(slide_steps(job(slide, "kept://results/gone.zarr", 512)))
    assert not lock.exists()


def test_a_separation_that_cannot_be_exact_says_so(slide: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    params = SeparationParams.preset("hover_net")
    drive(slide_steps(job(slide, tmp_path / "out.zarr", 512, separation=params)), seen.append)
    assert any("one big image" in s.notice for s in seen)


def test_inference_options_that_do_not_matter_may_change(slide: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out.zarr", tmp_path / "other.zarr"
    smaller = InferenceParams(tile=64)
    drive(slide_steps(job(slide, out, 512)))
    drive(slide_steps(job(slide, out, 512, inference=smaller)))  # finished: accepted as the same
    drive(slide_steps(job(slide, other, 512, inference=smaller)))
    assert contents(out) == contents(other)


def test_types_are_named_and_taken_together(slide: Path, tmp_path: Path) -> None:
    file, tables = tmp_path / "types.json", []
    file.write_text('{"1": ["beside", [9, 9, 9], ["left", 1]]}')
    for out, types in (("as it is", ""), ("grouped", str(file))):
        wanted = replace(job(slide, tmp_path / out), model=f"{DRAWN}:typed", types=types)
        (outcome,) = drive(slide_steps(wanted))
        tables.append(np.concatenate([n.type for n in read_nuclei(SlideStore(outcome.store))]))
        names = [entry["name"] for entry in outcome.summary["types"].values()]
        assert names[-1] == ("beside" if types else "left")
    assert set(tables[0]) == {1, 2, 3} and (tables[1][tables[0] != 2] == 1).all()
    assert set(tables[1]) <= {0, 1}
    file.write_text('{"1": ["beside", [9, 9, 9], ["left"]]}')
    refuses(r"types.1.takes was \['left', 1\], now \['left'\]", lambda: drive(slide_steps(wanted)))


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start commands of dask as processes of their own; those left are ended."""
    pytest.importorskip("distributed")
    # A silent link is given up after 30 s unless told otherwise.
    known = {**os.environ, "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s"}
    started: list[subprocess.Popen[bytes]] = []

    def start(what: str, *words: str, within: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        line = [*within, sys.executable, "-m", f"distributed.cli.dask_{what}", "--no-dashboard"]
        started.append(subprocess.Popen([*line, *words], cwd=tmp_path, env=known))
        return started[-1]

    yield start
    for process in reversed(started):
        process.kill()
        process.wait()


def scheduled(dask: Any, tmp_path: Path, *words: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start a scheduler; its process and its address."""
    file = tmp_path / "scheduler.json"
    process = dask("scheduler", "--port", "0", "--scheduler-file", str(file), *words)
    while not file.exists():
        time.sleep(0.2)
    return process, str(json.loads(file.read_text())["address"])


def wait_for_two(address: str) -> None:
    with pytest.importorskip("distributed").Client(address) as client:
        client.wait_for_workers(2, timeout=120)


@pytest.mark.slow
def test_dask_workers_of_their_own_processes(slide, expected, tmp_path, dask) -> None:
    _, at = scheduled(dask, tmp_path)
    workers = [dask("worker", at, "--no-nanny", "--nthreads", "1") for _ in range(2)]
    wait_for_two(at)
    out, killed = tmp_path / "out.zarr", False
    for step in slide_steps(job(slide, out, work=WorkParams(scheduler=at))):
        if step.done >= 1 and not killed:
            workers[0].kill()  # a machine is lost: dask gives its block to the other
            killed = True
    assert killed
    np.testing.assert_array_equal(labels(out), expected)


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no network of its own can be made here: {done.stderr.strip()}")


@pytest.fixture
def cables() -> Iterator[list[tuple[str, str]]]:
    """Two machines, each a network namespace, and the cable to each: name, address of our end."""
    if sys.platform != "linux" or shutil.which("ip") is None or os.geteuid():
        pytest.skip("needs Linux, the command ip and root")
    made: list[tuple[str, str]] = []
    try:
        for k in (1, 2):
            name = f"nhn{os.getpid() % 10**6}-{k}"
            ip("netns", "add", name)
            made.append((name, f"10.213.{k}.1"))
            ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("address", "add", f"10.213.{k}.1/30", "dev", name)
            ip("link", "set", name, "up")
            ip("-n", name, "address", "add", f"10.213.{k}.2/30", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield made
    finally:
        for name, _ in made:
            subprocess.run(["ip", "netns", "delete", name], check=False)


@pytest.mark.slow
def test_a_worker_whose_link_drops_is_done_without(slide, expected, tmp_path, cables, dask) -> None:
    port = scheduled(dask, tmp_path, "--host", "0.0.0.0")[1].rpartition(":")[2]
    for name, ours in cables:
        dask("worker", f"tcp://{ours}:{port}", "--host", f"{ours[:-1]}2", "--nthreads", "1",
             "--no-nanny", within=("ip", "netns", "exec", name))  # fmt: skip
    at = f"tcp://{cables[0][1]}:{port}"
    wait_for_two(at)
    out, workers, dropped = tmp_path / "out.zarr", list[str](), False
    for step in slide_steps(job(slide, out, block=128, work=WorkParams(scheduler=at))):
        workers += [step.message.rpartition(", ")[2]] if "worker(s)" in step.message else []
        if step.done >= 2 and not dropped:
            ip("link", "set", cables[1][0], "down")
            dropped = True
    assert dropped
    assert "2 worker(s)" in workers[0] and "1 worker(s)" in workers[-1]
    np.testing.assert_array_equal(labels(out), expected)


@pytest.mark.slow
def test_a_scheduler_that_dies_ends_the_run(slide: Path, tmp_path: Path, dask: Any) -> None:
    scheduler, address = scheduled(dask, tmp_path)
    steps = slide_steps(job(slide, tmp_path / "out.zarr", work=WorkParams(scheduler=address)))
    while not next(steps).total:
        pass
    scheduler.kill()
    scheduler.wait()
    refuses(r"scheduler at tcp.* is gone. What is done is kept", drive, steps, by=JobFailed)


def test_a_scheduler_without_workers_is_told(slide, expected, tmp_path, monkeypatch) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(slides, "NO_WORKER_SECONDS", 0.5)
    own = {"processes": False, "protocol": "tcp", "dashboard_address": None}
    with distributed.LocalCluster(n_workers=0, **own) as cluster:
        at, notices, seen = cluster.scheduler_address, list[str](), list[str]()
        for step in slide_steps(job(slide, tmp_path / "out.zarr", work=WorkParams(scheduler=at))):
            seen.append(step.message)
            notices += [step.notice] if step.notice else []
            if step.notice:
                cluster.scale(1)
    assert any("no worker since" in message for message in seen)
    assert any("1 worker(s)" in message for message in seen) and len(notices) == 1
    assert f"start some with 'dask worker {at}'" in notices[0]
    np.testing.assert_array_equal(labels(tmp_path / "out.zarr"), expected)


def test_no_scheduler_is_told(slide: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    lost = WorkParams(scheduler="tcp://127.0.0.1:9")
    with pytest.raises(InputError, match="No dask scheduler"):
        drive(slide_steps(job(slide, tmp_path / "out.zarr", work=lost)))


def test_several_blocks_at_once_in_one_process(slide, expected, tmp_path, monkeypatch) -> None:
    """As beside a GPU: blocks are read, cut and written while others are in the network."""
    together, segment = threading.Barrier(3), slides.segment_block
    first = iter(range(3))

    def met(*given: object, **named: object) -> object:
        if next(first, None) is not None:
            together.wait(120)  # broken, and with it the block, unless three are in work at once
        return segment(*given, **named)

    monkeypatch.setattr(slides, "segment_block", met)
    monkeypatch.setattr(slides, "_slots", lambda _device: 3)
    out = tmp_path / "out.zarr"
    steps = begun(slide, out, 2)
    steps.close()  # what is in work ends, and is kept
    assert sum(SlideStore(str(out)).done(b) is not None for b in SlideStore(str(out)).blocks) >= 2
    drive(slide_steps(job(slide, out)))
    np.testing.assert_array_equal(labels(out), expected)
    assert not together.broken
