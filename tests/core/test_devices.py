from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_hovernet.core.inference import devices
from napari_hovernet.core.inference import devices as memory
from napari_hovernet.errors import DeviceError


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Pretend that this computer has these GPUs (compute capabilities); edit the list."""
    found = [(9, 0), (3, 5)]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(found))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda i: ("NVIDIA H200", "Tesla K40")[i])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda i: found[i])
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_50", "sm_90a", "compute_90"])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda d: (120_000_000_000, 150_000_000_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda d: 500_000_000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda d: 200_000_000)
    return found


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(devices, "_is_mac", lambda: False)


def test_auto_takes_the_cpu_where_there_is_nothing_else(no_gpu: None) -> None:
    assert devices.resolve_device("auto") == torch.device("cpu")


@pytest.mark.parametrize("index, expected", [("auto", 0), ("cuda", 0), ("cuda:0", 0)])
def test_a_gpu_is_found(gpus: list[tuple[int, int]], index: str, expected: int) -> None:
    assert devices.resolve_device(index) == torch.device("cuda", expected)


def test_auto_passes_over_a_gpu_that_is_too_old(gpus: list[tuple[int, int]]) -> None:
    gpus[:] = [(3, 5), (9, 0)]
    assert devices.resolve_device("auto") == torch.device("cuda", 1)


def test_a_gpu_that_is_too_old_or_missing_is_refused(gpus: list[tuple[int, int]]) -> None:
    with pytest.raises(DeviceError, match=r"Tesla K40 \(compute capability 3.5\) is older"):
        devices.resolve_device("cuda:1")
    with pytest.raises(DeviceError, match="cuda:7 is not there; this computer has cuda:0, cuda:1"):
        devices.resolve_device("cuda:7")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "", "cuda:-3"])
def test_an_unknown_name_is_refused_with_the_choices(name: str) -> None:
    with pytest.raises(DeviceError, match="choose auto, cpu, cuda"):
        devices.resolve_device(name)


def test_a_device_without_support_is_refused() -> None:
    with pytest.raises(DeviceError, match="not supported"):
        devices.resolve_device("meta")


def test_cuda_missing_says_why(no_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(DeviceError, match="built without CUDA"):
        devices.resolve_device("cuda")

    def broken() -> None:
        raise RuntimeError("Found no NVIDIA driver on your system.\nmore")

    monkeypatch.setattr(torch.version, "cuda", "12.4")
    monkeypatch.setattr(torch.cuda, "init", broken)
    with pytest.raises(DeviceError, match=r"Found no NVIDIA driver on your system \(PyTorch"):
        devices.resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    with pytest.raises(DeviceError, match="CUDA_VISIBLE_DEVICES"):
        devices.resolve_device("cuda")


def test_mps_missing_says_why(no_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match="Apple"):
        devices.resolve_device("mps")
    monkeypatch.setattr(devices, "_is_mac", lambda: True)
    with pytest.raises(DeviceError, match="built without MPS"):
        devices.resolve_device("mps")
    assert [d.name for d in devices.list_devices()] == ["cuda", "mps", "cpu"]


def test_the_list_names_gpus_with_their_free_memory(gpus: list[tuple[int, int]]) -> None:
    first, second, cpu = devices.list_devices()
    assert (first.name, first.label) == ("cuda:0", "NVIDIA H200, 120.3 GB free")
    assert first.available and first.free == 120_300_000_000
    assert not second.available and "older" in second.reason
    assert cpu.available and cpu.free == pytest.approx(memory.free_memory(), rel=0.2)


def test_the_list_gives_the_reason_when_there_is_no_gpu(no_gpu: None) -> None:
    first, last = devices.list_devices()
    assert not first.available and first.reason and first.free is None
    assert last.name == "cpu"


@pytest.mark.parametrize(
    "error, expected",
    [
        (MemoryError(), True),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 18 GB)"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("Given groups=1, weight of size [64, 3, 7, 7]"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_lack_of_memory_is_recognised(error: Exception, expected: bool) -> None:
    assert devices.is_out_of_memory(error) is expected


def test_a_real_failed_allocation_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert devices.is_out_of_memory(caught.value)


def test_precision_is_float32_on_a_cpu_unless_asked_for() -> None:
    cpu = torch.device("cpu")
    assert devices.choose_precision(cpu, "auto") == "float32"
    assert devices.choose_precision(cpu, "bfloat16") == "bfloat16"
    with pytest.raises(DeviceError, match="float16 is not for the CPU"):
        devices.choose_precision(cpu, "float16")


def test_autocast_computes_in_the_precision_named() -> None:
    a = torch.ones(2, 2)
    with devices.autocast(torch.device("cpu"), "bfloat16"):
        assert (a @ a).dtype == torch.bfloat16
    with devices.autocast(torch.device("cpu"), "float32"):
        assert (a @ a).dtype == torch.float32


def test_marks_measure_time() -> None:
    first, second = (devices.Mark(torch.device("cpu")) for _ in range(2))
    second.wait()
    assert 0 <= second.seconds_since(first) < 1


def test_a_container_s_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "max").write_text("5000000\n")
    (tmp_path / "current").write_text("2000000\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable:    8000000 kB\n")
    monkeypatch.setattr(memory, "_CGROUPS", ((tmp_path / "max", tmp_path / "current"),))
    assert memory.free_memory() == 3_000_000
    (tmp_path / "max").write_text("max\n")
    assert memory.free_memory() == 8_000_000 * 1024
