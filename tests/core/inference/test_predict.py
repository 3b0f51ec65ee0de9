"""An image through a network and back: whole, in its place, whatever tiles it went in."""

import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from napari_hovernet.core.hv import TURNS, HVConvention, Turn, turn_hv, turn_plane
from napari_hovernet.core.inference import devices, lane, predict, predict_steps
from napari_hovernet.core.inference import maps as maps_module
from napari_hovernet.core.inference.images import scaled_length
from napari_hovernet.core.inference.lane import BLACK_EDGE, Canvas, no_data
from napari_hovernet.core.inference.tiles import Box, Tile, plan
from napari_hovernet.core.networks.registry import Geometry, Network, build
from napari_hovernet.core.params import InferenceParams
from napari_hovernet.core.types import Maps, Model, ModelInfo, Progress
from napari_hovernet.errors import InputError, JobFailed

from ...refusals import refuses

IMAGE = np.random.default_rng(0).integers(0, 256, (97, 130, 3), np.uint8)
CPU = torch.device("cpu")


class Valid(Network):
    """A padding encoder at half resolution and a valid decoder, as HoVer-Net is built."""

    geometry = Geometry(divisor=2, remainder=0, margin=6, halo=4, reference_tile=32, minimum=16)

    def __init__(self) -> None:
        super().__init__()
        self.config = {"n_types": 4}
        self.first = nn.Conv2d(3, 6, 3, 2, padding=1)
        self.deep = nn.Conv2d(6, 6, 3, padding=1)
        self.decode = nn.Conv2d(6, 6, 5)
        self.heads = nn.ModuleDict({k: nn.Conv2d(6, n, 5) for k, n in HEADS.items()})

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = torch.relu(self.deep(torch.relu(self.first(x / 255))))
        x = nn.functional.interpolate(torch.relu(self.decode(x)), scale_factor=2.0)
        return {k: head(x) for k, head in self.heads.items()}


HEADS = {"np": 2, "hv": 2, "tp": 4}


def model(name: str = "compact", **info: Any) -> Model:
    torch.manual_seed(0)
    if name == "valid":
        network: Network = Valid().eval()
    else:
        network = build("compact", {"widths": [4, 6, 8], "n_types": 3}).eval()
    return Model(network, ModelInfo("compact", **info), CPU)


@pytest.mark.parametrize("name", ["compact", "valid"])
@pytest.mark.parametrize("mpp", [None, 0.4, 0.2])
def test_part_of_an_image_gets_what_the_whole_gives(name: str, mpp: float | None) -> None:
    m = model(name, mpp=0.25)
    params = InferenceParams(tile=64, image_mpp=mpp)
    whole = predict(m, IMAGE, params)
    for box in (Box(0, 20, 0, 30), Box(41, 97, 55, 130), Box(37, 60, 40, 41)):
        *_, part = drained(predict_steps(m, IMAGE, params, box=box))
        for a, b in zip(arrays(whole), arrays(part), strict=True):
            np.testing.assert_allclose(a[(..., *box.slices())], b, atol=1e-5)


def drained(steps: Any) -> list[Any]:
    found: list[Any] = []
    while True:
        try:
            found.append(next(steps))
        except StopIteration as stop:
            return [*found, stop.value]


def arrays(maps: Maps) -> tuple[np.ndarray, ...]:
    return tuple(a for a in (maps.np, maps.hv, maps.types) if a is not None)


def assert_equal(a: Maps, b: Maps, atol: float = 1e-5) -> None:
    assert len(arrays(a)) == len(arrays(b))
    for x, y in zip(arrays(a), arrays(b), strict=True):
        np.testing.assert_allclose(x, y, atol=atol)


def test_compact_agrees_with_the_network_itself() -> None:
    m, image = model(), IMAGE[:96, :128]
    with torch.inference_mode():
        raw = m.network(torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float())
    maps = predict(m, image)
    np.testing.assert_allclose(maps.np, raw["np"].softmax(1)[0, 1], atol=1e-5)
    np.testing.assert_allclose(maps.hv, raw["hv"][0], atol=1e-5)
    np.testing.assert_allclose(maps.types, raw["tp"].softmax(1)[0], atol=1e-5)
    assert all(a.dtype == np.float32 for a in (*arrays(maps), maps.magnitude))


@pytest.mark.parametrize("name", ["compact", "valid"])
@pytest.mark.parametrize("tile, batch", [(62, 1), (80, 3), (100, 1), (4000, 2)])
def test_the_result_does_not_depend_on_tile_or_batch(name: str, tile: int, batch: int) -> None:
    m = model(name)
    assert_equal(predict(m, IMAGE), predict(m, IMAGE, InferenceParams(tile=tile, batch=batch)))


@pytest.mark.parametrize("name", ["compact", "valid"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (17, 5)])
def test_any_size_down_to_one_pixel(name: str, shape: tuple[int, int]) -> None:
    maps = predict(model(name), IMAGE[: shape[0], : shape[1]])
    assert maps.shape == shape and all(np.isfinite(a).all() for a in arrays(maps))


@pytest.mark.parametrize("name", ["compact", "valid"])
@pytest.mark.parametrize("scale", [0.5, 0.7, 1.7, 2.0])
def test_resizing_does_not_depend_on_the_tile_either(name: str, scale: float) -> None:
    m = model(name, mpp=0.25)
    whole = predict(m, IMAGE, InferenceParams(image_mpp=0.25 * scale))
    tiled = predict(m, IMAGE, InferenceParams(image_mpp=0.25 * scale, tile=100))
    assert whole.shape == IMAGE.shape[:2]
    assert_equal(whole, tiled)


@pytest.mark.parametrize("image_mpp, factor", [(0.5, 2.0), (0.125, 0.5), (0.27, 1.0), (None, 1.0)])
def test_mpp_resizes_what_the_network_sees_and_tells(image_mpp, factor) -> None:
    seen: list[tuple[int, int]] = []
    m = model(mpp=0.25)
    m.network.register_forward_pre_hook(lambda _, x: seen.append(tuple(x[0].shape[2:])))
    told: list[Progress] = []
    predict(m, IMAGE, InferenceParams(image_mpp=image_mpp), told.append)
    legal = m.network.geometry.legal
    assert seen == [tuple(legal(scaled_length(n, factor)) for n in IMAGE.shape[:2])]
    assert any("resized" in step.notice for step in told) == (factor != 1.0)


def test_a_resized_ramp_comes_back_in_place() -> None:
    class Echo(Network):
        geometry = Geometry(1, 0, 0, 0, 64, 1)

        def __init__(self) -> None:
            super().__init__()
            self.config = {}

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"np": torch.zeros_like(x[:, :2]), "hv": x[:, :2] / 255}

    ramp = np.broadcast_to((np.arange(100) * 2)[None, :, None], (80, 100, 3)).astype(np.uint8)
    for mpp in (0.5, 0.2, 0.1):
        m = Model(Echo().eval(), ModelInfo("echo", mpp=0.25), CPU)
        hv = predict(m, ramp, InferenceParams(image_mpp=mpp)).hv[0] * 255
        bias = (hv - ramp[..., 0])[10:-10, 10:-10]
        assert abs(bias.mean()) < 0.6 and abs(bias).max() <= 4


def test_reference_repeats_the_published_way() -> None:
    m = model("valid")
    maps = predict(m, IMAGE, InferenceParams(tiling="reference", batch=4))
    window, step = 32, 20
    last = [(-(-(n - step) // step) + 1) * step for n in IMAGE.shape[:2]]
    pad = [(6, end + window - n) for end, n in zip(last, IMAGE.shape[:2], strict=True)]
    padded = np.pad(IMAGE, (*pad, (0, 0)), mode="reflect")
    expected = np.zeros((2, *last), np.float32)
    for r in range(0, last[0], step):
        for c in range(0, last[1], step):
            patch = torch.from_numpy(padded[r : r + window, c : c + window].copy())
            with torch.inference_mode():
                out = m.network(patch.permute(2, 0, 1)[None].float())["hv"][0]
            expected[:, r : r + step, c : c + step] = out
    np.testing.assert_allclose(maps.hv, expected[:, :97, :130], atol=1e-5)
    assert not np.allclose(maps.hv, predict(m, IMAGE).hv, atol=1e-3)


@pytest.mark.parametrize("name, change", [
    ("hover_net", lambda hv: hv),
    ("vh_inward_radial", lambda hv: -hv[::-1]),
    ("hv_inward_peak", lambda hv: -hv),
])  # fmt: skip
def test_hv_comes_out_as_hv_outward(name: str, change: Any) -> None:
    expected = change(predict(model(), IMAGE).hv)
    np.testing.assert_array_equal(predict(model(hv_convention=name), IMAGE).hv, expected)


def test_progress_counts_tiles_and_tells_what_was_assumed() -> None:
    told: list[Progress] = []
    predict(model(), IMAGE, InferenceParams(tile=64, batch=2), told.append)
    counted = [step.done for step in told if step.total]
    assert counted == sorted(counted) and counted[0] == 0
    assert told[-1].done == told[-1].total > 2
    assert told[-1].message == f"tile {told[-1].total} of {told[-1].total}"
    told: list[Progress] = []
    predict(model(), IMAGE[..., 0], None, told.append)
    assert "grey" in told[0].notice


def test_closing_cancels_and_frees_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[torch.device] = []
    monkeypatch.setattr(devices, "release", released.append)
    m = model()
    runs: list[int] = []
    m.network.register_forward_hook(lambda *_: runs.append(1))
    steps = predict_steps(m, IMAGE, InferenceParams(tile=48))
    while next(steps).done < 2:
        pass
    count = len(runs)
    steps.close()
    assert released == [CPU] and len(runs) == count


def test_bfloat16_stays_near_float32_and_torch_as_it_was() -> None:
    a, b = (predict(model(), IMAGE, InferenceParams(precision=p)) for p in ("float32", "bfloat16"))
    assert_equal(a, b, atol=0.1)
    assert abs(a.np - b.np).max() > 0
    steps = predict_steps(model(), IMAGE, InferenceParams(tile=48, precision="bfloat16"))
    for _ in steps:
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        assert not torch.is_autocast_enabled("cpu")


class Scarce(nn.Module):
    """Pretends to run out of memory above a number of input pixels."""

    def __init__(self, limit: int, fail: Exception) -> None:
        super().__init__()
        self.limit, self.fail, self.tried = limit, fail, []

    def __call__(self, _: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        x = inputs[0]
        self.tried.append(tuple(x.shape))
        if x.shape[0] * x.shape[2] * x.shape[3] > self.limit:
            raise self.fail


OOM = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


@pytest.mark.parametrize("batch", [None, 4])
def test_out_of_memory_halves_the_load_and_goes_on(batch: int | None) -> None:
    m = model()
    expected = predict(m, IMAGE)
    scarce = Scarce(6000, OOM)
    m.network.register_forward_pre_hook(scarce)
    told: list[Progress] = []
    maps = predict(m, IMAGE, InferenceParams(batch=batch), told.append)
    assert_equal(maps, expected)
    notices = [step.notice for step in told if step.notice]
    assert notices and all("Out of memory" in n and "going on" in n for n in notices)
    assert told[-1].done == told[-1].total


def test_out_of_memory_in_the_middle_keeps_what_is_done() -> None:
    m = model()
    expected = predict(m, IMAGE)
    scarce = Scarce(10**9, OOM)
    m.network.register_forward_pre_hook(scarce)
    done = 0

    def cut_short(step: Progress) -> None:
        nonlocal done
        if scarce.limit == 10**9 and step.total and step.done > step.total // 2:
            scarce.limit, done = 3500, len(scarce.tried)

    assert_equal(predict(m, IMAGE, InferenceParams(tile=64), cut_short), expected)
    shapes = scarce.tried[done + 1 :]
    rows = plan(IMAGE.shape[:2], m.network.geometry, 64)
    assert len(shapes) < len(plan(IMAGE.shape[:2], m.network.geometry, shapes[-1][2]))
    assert len(rows) > done > len(rows) // 2


@pytest.mark.parametrize("tiling", ["large", "reference"])
def test_too_little_memory_for_the_smallest_tile_ends_the_job(tiling: str) -> None:
    m = model("valid")
    m.network.register_forward_pre_hook(Scarce(0, OOM))
    with pytest.raises(JobFailed, match=r"even with one tile of .* close other programs"):
        predict(m, IMAGE, InferenceParams(tiling=tiling, batch=2))


def test_errors_of_torch_and_of_the_image() -> None:
    m = model()
    m.network.register_forward_pre_hook(
        Scarce(0, RuntimeError("CUDA error: device-side assert\nx"))
    )
    with pytest.raises(
        JobFailed, match=r"compact .* on cpu \(RuntimeError\): CUDA error"
    ) as caught:
        predict(m, IMAGE)
    assert not isinstance(caught.value, RuntimeError)
    data = np.ones((5000, 6000), np.float32)
    data[:] = 0.5

    class Lazy:
        shape, dtype, ndim = data.shape, data.dtype, 2

        def __getitem__(self, key: Any) -> np.ndarray:
            raise InputError("part 3 is damaged")

    refuses("part 3", lambda: predict(model(), Lazy()))


def test_what_cannot_be_predicted_is_refused() -> None:
    huge = np.broadcast_to(np.uint8(0), (10**6, 10**6, 3))
    refuses("run on a region", lambda: predict(model(), huge))
    m = model()
    m.network.accepts = "tokens"
    refuses("tokens of a feature extractor", predict, m, IMAGE)
    m = model()
    with torch.no_grad():
        m.network.heads["hv"][-1].bias.fill_(float("nan"))
    with pytest.raises(JobFailed, match="choose the precision float32"):
        predict(m, IMAGE, InferenceParams(precision="bfloat16"))
    refuses("output in float32 cannot be used", predict, m, IMAGE, by=JobFailed)


def pretend_to_pin(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Take the way of a GPU, whose buffers cannot be swapped out; returns those that are made."""
    made, empty = list[torch.Tensor](), torch.empty

    def unpinned(*size: Any, pin_memory: bool = False, **more: Any) -> torch.Tensor:
        new = empty(*size, **more)
        return made.append(new) or new if pin_memory else new  # type: ignore[func-returns-value]

    monkeypatch.setattr(devices, "pins_memory", lambda device: True)
    monkeypatch.setattr(lane.torch, "empty", unpinned)
    return made


def test_a_queue_as_on_a_gpu_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffers used again and two batches on the way, without a GPU."""
    m, params = model(), InferenceParams(tile=62, batch=3)
    expected = predict(m, IMAGE, params)
    made = pretend_to_pin(monkeypatch)
    maps = predict(m, IMAGE, params)
    monkeypatch.undo()
    assert_equal(maps, expected, atol=0)
    batches = -(-len(plan(IMAGE.shape[:2], m.network.geometry, 62)) // 3)
    assert batches > 6 and 0 < len(made) <= 2 * (lane.AHEAD + 2)


@pytest.mark.parametrize("name", ["compact", "valid"])
@pytest.mark.parametrize("more", [{}, {"views": 2}, {"image_mpp": 0.4}, {"tile": 62, "batch": 3}])
@pytest.mark.parametrize("types", [True, False])
def test_streamed_gives_the_same_in_six_bytes_a_pixel(name, more, types) -> None:
    m, params = model(name, mpp=0.25), InferenceParams(**{"tile": 64, **more})
    if not types:
        m = Model(build("compact", {"widths": [4, 6, 8]}).eval(), m.info, CPU)
    expected, maps = predict(m, IMAGE, params), predict(m, IMAGE, replace(params, streamed="on"))
    np.testing.assert_allclose(maps.np, expected.np, atol=0.51 / 255)
    np.testing.assert_allclose(maps.hv, expected.hv, atol=1e-4, rtol=1e-3)
    assert (maps.types is None) == (expected.types is None) == (not types)
    if types and "image_mpp" not in more:
        likeliest = np.arange(len(maps.types))[:, None, None] == expected.types.argmax(axis=0)
        np.testing.assert_array_equal(maps.types, likeliest)


def test_streamed_is_for_nuclei_on_a_gpu_and_can_be_turned_off(monkeypatch: Any) -> None:
    def steps(m: Model, streamed: str) -> Maps:
        maps: Maps = drained(predict_steps(m, IMAGE, InferenceParams(streamed=streamed)))[-1]
        return maps

    m = model()
    whole = predict(m, IMAGE)
    assert_equal(steps(m, "auto"), whole, atol=0)
    pretend_to_pin(monkeypatch)
    assert_equal(steps(m, "off"), whole, atol=0)
    assert_equal(predict(m, IMAGE), whole, atol=0)
    assert set(np.unique(steps(m, "auto").types)) <= {0, 1}


def test_streamed_reads_ahead_tells_errors_and_ends_its_thread() -> None:
    class Damaged:
        shape, notes, where = (300, 300), (), []

        def read(self, r0: int, r1: int, c0: int, c1: int) -> np.ndarray:
            self.where.append(threading.current_thread().name)
            if r0 > 150:
                raise InputError("part 3 is damaged")
            return np.zeros((r1 - r0, c1 - c0, 3), np.uint8)

    source, params = Damaged(), InferenceParams(tile=64, streamed="on")
    refuses("part 3", predict, model(), source, params)
    assert len(source.where) > 2 and all("read" in name for name in source.where)
    assert not any("napari-hovernet read" in t.name for t in threading.enumerate())


@pytest.mark.parametrize("bad", ["np", "hv", "tp"])
def test_streamed_hides_no_broken_output(bad: str) -> None:
    m = model()
    with torch.no_grad():
        m.network.heads[bad][-1].bias.fill_(float("nan"))
    refuses("cannot be used", predict, m, IMAGE, InferenceParams(streamed="on"), by=JobFailed)


def views_by_hand(m: Model, image: np.ndarray, turns: tuple[Turn, ...]) -> tuple[np.ndarray, ...]:
    """Turn the whole image, predict, turn pixels and vectors back, take the mean."""
    order = HVConvention.preset(m.info.hv_convention).order
    sums: list[np.ndarray] = []
    for turn in turns:
        looked = np.ascontiguousarray(turn_plane(image, turn, (0, 1)))
        with torch.inference_mode():
            raw = m.network(torch.from_numpy(looked).permute(2, 0, 1)[None].float())
        inward = HVConvention.preset(m.info.hv_convention).sign == "inward"
        hv = raw["hv"][0].numpy() * (-1 if inward else 1)
        back = next(t for t in TURNS if np.allclose(t.matrix @ turn.matrix, np.eye(2)))
        maps = [
            turn_plane(raw["np"].softmax(1)[0, 1].numpy(), back),
            turn_hv(hv, back, order)[:: 1 if order == "hv" else -1],
            turn_plane(raw["tp"].softmax(1)[0].numpy(), back),
        ]
        sums = [a + b for a, b in zip(sums, maps, strict=True)] if sums else maps
    return tuple(total / len(turns) for total in sums)


@pytest.mark.parametrize("convention", ["default", "vh_inward_radial"])
@pytest.mark.parametrize(("views", "turns"), [(2, (TURNS[0], Turn(flip=True))), (8, TURNS)])
def test_views_are_turned_back_with_their_vectors(views, turns, convention) -> None:
    m, image = model(hv_convention=convention), IMAGE[:96, :64]
    found = predict(m, image, InferenceParams(views=views))
    for array, wanted in zip(arrays(found), views_by_hand(m, image, turns), strict=True):
        np.testing.assert_allclose(array, wanted, atol=1e-5)


def test_views_do_not_depend_on_the_tiles() -> None:
    m = model()
    whole = predict(m, IMAGE, InferenceParams(views=8))
    tiled = predict(m, IMAGE, InferenceParams(views=8, tile=62, batch=3))
    inside = (slice(None), slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(tiled.hv[inside], whole.hv[inside], atol=1e-5)
    np.testing.assert_allclose(tiled.np[inside[1:]], whole.np[inside[1:]], atol=1e-5)


def test_hv_is_not_blended_across_its_jump() -> None:
    inner = np.zeros((3, 8, 16), np.float32)
    inner[1, :, :8], inner[1, :, 8:] = 1, -1
    canvas = Canvas((12, 25), 0, 16 / 25)
    box = Box(0, 8, 0, 16)
    canvas.put(Tile(box, box, box), inner)
    assert set(np.unique(canvas.maps().hv[0])) == {-1.0, 1.0}


def test_nothing_in_a_viewer_s_process_loads_the_compiler_of_torch() -> None:
    """Where Mesa's LLVM is loaded already, importing triton ends the process."""
    code = """
import sys, numpy, napari_hovernet as nh
image = numpy.random.default_rng(0).integers(0, 256, (300, 300, 3), numpy.uint8)
maps = nh.predict(nh.load_model("compact", device="cpu"), image)
nh.separate(maps)
assert not {"torch._dynamo", "triton"} & sys.modules.keys()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_large_black_areas_alone_are_no_data_and_have_no_nucleus() -> None:
    pixels = np.full((100, 120, 3), 200, np.uint8)
    pixels[10 : 10 + BLACK_EDGE - 1, 5:60] = 0
    assert no_data(pixels[:20, :20]) is None
    assert not no_data(pixels).any()  # type: ignore[union-attr]
    pixels[50:, 40:] = 0
    found = no_data(pixels)
    assert found is not None
    assert found[50:, 40:].all() and not found[:50].any()
    image = np.random.default_rng(0).integers(1, 255, (90, 150, 3), np.uint8)
    image[:, 80:] = 0
    maps = predict(model(), image)
    assert not maps.np[:, 80:].any() and (maps.np[:, :80] > 0).all()


def test_compiled_runs_what_torch_compiles_and_tries_it_once(monkeypatch: Any) -> None:
    passes = []

    def stand_in(network: Any) -> Any:
        return lambda image: passes.append(tuple(image.shape)) or network(image)

    m, params = model(), InferenceParams(tile=64, compiled="on")
    expected = predict(m, IMAGE, replace(params, compiled="off"))
    monkeypatch.setattr(maps_module, "WINDOWS", ())
    monkeypatch.setattr(torch, "compile", stand_in)
    for more in (1, 0):
        passes.clear()
        assert_equal(predict(m, IMAGE, params), expected, atol=1e-5)
        assert len(passes) == len(plan(IMAGE.shape[:2], m.network.geometry, 64)) + more


@pytest.mark.parametrize("reason", ["no compiler", "windows"])
def test_what_cannot_be_compiled_runs_as_it_is_and_says_so(monkeypatch: Any, reason: str) -> None:
    def fails(network: Any) -> Any:
        raise RuntimeError("no C++ compiler was found")

    monkeypatch.setattr(maps_module, "WINDOWS", ("math",) if reason == "windows" else ())
    monkeypatch.setattr(torch, "compile", fails)
    m, told = model(), []
    maps = predict(m, IMAGE, InferenceParams(compiled="on"), lambda step: told.append(step.notice))
    assert_equal(maps, predict(m, IMAGE), atol=0)
    assert any(("windows" if reason == "windows" else "C++ compiler") in notice for notice in told)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles with g++ here")
def test_really_compiled_gives_the_same_maps(tmp_path: Path) -> None:
    """In a process of its own: what it loads stays."""
    program = (
        "import numpy, napari_hovernet as nh; from napari_hovernet.core.params import *;"
        "m = nh.load_model('lite-typed'); told = [];"
        "image = numpy.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=numpy.uint8);"
        "a = nh.predict(m, image); b = nh.predict(m, image, InferenceParams(compiled='on'), "
        "lambda step: told.append(step.notice));"
        "assert not any('ot be compiled' in t or 'Not compiled' in t for t in told), told;"
        "numpy.testing.assert_allclose(b.hv, a.hv, atol=1e-4)"
    )
    kept = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=kept, check=True)
