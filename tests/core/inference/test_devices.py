"""Devices are found or refused with the reason; free memory is what may still be taken."""

from types import SimpleNamespace

import pytest
import torch

from napari_hovernet.core import limits
from napari_hovernet.core.inference import devices
from napari_hovernet.errors import DeviceError, is_out_of_memory

from ...refusals import refuses

CPU = torch.device("cpu")


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Pretend that this computer has these GPUs (compute capabilities); edit the list."""
    found = [(9, 0), (3, 5)]
    pretended = {
        "is_available": lambda: True,
        "device_count": lambda: len(found),
        "get_device_name": lambda i: ("NVIDIA H200", "Tesla K40")[i],
        "get_device_capability": lambda i: found[i],
        "get_arch_list": lambda: ["sm_50", "sm_90a", "compute_90"],
        "mem_get_info": lambda d: (120_000_000_000, 150_000_000_000),
        "memory_reserved": lambda d: 500_000_000,
        "memory_allocated": lambda d: 200_000_000,
    }
    for name, function in pretended.items():
        monkeypatch.setattr(torch.cuda, name, function)
    return found


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:0"])
def test_a_gpu_is_found(gpus: list[tuple[int, int]], name: str) -> None:
    assert devices.resolve_device(name) == torch.device("cuda", 0)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "", "cuda:-3", "meta"])
def test_an_unknown_name_is_refused_with_the_choices(name: str) -> None:
    refuses("choose auto, cpu, cuda", devices.resolve_device, name, by=DeviceError)


def test_cuda_and_mps_missing_say_why(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(devices, "_is_mac", lambda: False)
    assert devices.resolve_device("auto") == CPU
    first, last = devices.list_devices()
    assert not first.available and first.reason and first.free is None
    assert last.name == "cpu"
    monkeypatch.setattr(torch.version, "cuda", None)
    refuses("built without CUDA", devices.resolve_device, "cuda", by=DeviceError)

    def broken() -> None:
        raise RuntimeError("Found no NVIDIA driver on your system.\nmore")

    monkeypatch.setattr(torch.version, "cuda", "12.4")
    monkeypatch.setattr(torch.cuda, "init", broken)
    with pytest.raises(DeviceError, match=r"Found no NVIDIA driver on your system \(PyTorch"):
        devices.resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    refuses("CUDA_VISIBLE_DEVICES", devices.resolve_device, "cuda", by=DeviceError)
    refuses("Apple", devices.resolve_device, "mps", by=DeviceError)
    monkeypatch.setattr(devices, "_is_mac", lambda: True)
    refuses("built without MPS", devices.resolve_device, "mps", by=DeviceError)
    assert [d.name for d in devices.list_devices()] == ["cuda", "mps", "cpu"]


def test_gpus_are_listed_and_old_or_missing_ones_refused(gpus) -> None:
    first, second, cpu = devices.list_devices()
    assert (first.name, first.label) == ("cuda:0", "NVIDIA H200, 120.3 GB free")
    assert first.available and first.free == 120_300_000_000
    assert not second.available and "older" in second.reason
    assert cpu.available and cpu.free == pytest.approx(devices.free_memory(), rel=0.2)
    with pytest.raises(DeviceError, match=r"Tesla K40 \(compute capability 3.5\) is older"):
        devices.resolve_device("cuda:1")
    with pytest.raises(DeviceError, match="cuda:7 is not there; this computer has cuda:0, cuda:1"):
        devices.resolve_device("cuda:7")
    gpus[:] = [(3, 5), (9, 0)]
    assert devices.resolve_device("auto") == torch.device("cuda", 1)


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
    assert is_out_of_memory(error) is expected


def test_a_real_failed_allocation_is_known_and_a_cpu_takes_float32() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value) and devices.choose_precision(CPU, "auto") == "float32"
    assert devices.choose_precision(CPU, "bfloat16") == "bfloat16"
    refuses("float16 is not for the CPU", devices.choose_precision, CPU, "float16", by=DeviceError)
    a = torch.ones(2, 2)
    with devices.autocast(CPU, "bfloat16"):
        assert (a @ a).dtype == torch.bfloat16
    with devices.autocast(CPU, "float32"):
        assert (a @ a).dtype == torch.float32


@pytest.mark.parametrize(
    ("limit", "used", "cache", "free"),
    [
        ("3000", "1000", None, 2000),
        ("3000", "2500", "anon 500\ninactive_file 2000", 2500),  # given back when it is needed
        ("90000", "0", None, 5000),
        ("max", "0", None, 5000),
        ("1000", "2000", None, 1),
        (None, None, None, 5000),
    ],
)
def test_free_memory_is_what_is_available_and_a_container_leaves(
    tmp_path, monkeypatch, limit, used, cache, free
) -> None:
    assert 2**20 < devices.free_memory() < 2**50
    job = tmp_path / "slurm" / "job_7" / "step"
    job.mkdir(parents=True)
    texts = {"memory.max": limit, "memory.current": used, "memory.stat": cache}
    for name, text in texts.items():
        if text is not None:
            (job.parent / name).write_text(f"{text}\n")
    own = tmp_path / "own"
    own.write_text("1:cpu:/\n0::/slurm/job_7/step\n")
    monkeypatch.setattr(limits, "_CGROUPS", tmp_path)
    monkeypatch.setattr(limits, "_OWN_CGROUP", own)
    memory = SimpleNamespace(available=5000)
    monkeypatch.setattr(limits.psutil, "virtual_memory", lambda: memory)
    assert devices.free_memory() == free


@pytest.mark.parametrize(
    ("files", "slurm", "cores"),
    [
        ({}, "", 8),
        ({"slurm/job_7/cpu.max": "max 100000"}, "", 8),
        ({"slurm/job_7/cpu.max": "250000 100000"}, "", 2),
        ({"slurm/cpu.max": "300000 100000", "slurm/job_7/cpu.max": "500000 100000"}, "", 3),
        ({"cpu.max": "50000 100000"}, "", 1),
        ({"cpu/old/cpu.cfs_quota_us": "400000", "cpu/old/cpu.cfs_period_us": "100000"}, "", 4),
        ({"cpu/old/cpu.cfs_quota_us": "-1", "cpu/old/cpu.cfs_period_us": "100000"}, "", 8),
        ({}, "5", 5),
        ({}, "x", 8),
    ],
)
def test_a_worker_has_the_cores_it_was_given(tmp_path, monkeypatch, files, slurm, cores) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    own = tmp_path / "own"
    own.write_text("2:cpu,cpuacct:/old/step\n0::/slurm/job_7\n")
    monkeypatch.setattr(limits, "_CGROUPS", tmp_path)
    monkeypatch.setattr(limits, "_OWN_CGROUP", own)
    monkeypatch.setattr(limits, "_AFFINITY", False)
    monkeypatch.setattr(limits.os, "cpu_count", lambda: 8)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", slurm)
    assert limits.cores_given() == cores
