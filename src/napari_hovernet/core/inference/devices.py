"""Which device does the work; the only place that knows the names of the kinds."""

from __future__ import annotations

import platform
import time
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from ...errors import DeviceError
from ..limits import free_memory

CPU, CUDA, MPS = "cpu", "cuda", "mps"

Parts = tuple[torch.Tensor, ...]
"""What the network gives for a batch, kind by kind."""

PRECISION_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
"""Autocast types by the name in ``InferenceParams.precision``; float32 needs none."""


@dataclass(frozen=True)
class DeviceInfo:
    """One device a model can run on, or the reason why it cannot."""

    name: str  # What :func:`resolve_device` takes: "cpu", "cuda:0", "mps".
    label: str  # For people: "NVIDIA H200, 120.3 GB free".
    free: int | None  # Bytes of memory free now
    available: bool = True
    reason: str = ""  # Why it is not used and what to do


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Find the device asked for."""
    if device == "auto":
        fit = (i for i in range(_cuda_count()) if not _cuda_too_old(i))
        index = next(fit, None)
        other = torch.device(CPU if _mps_reason() else MPS)
        return other if index is None else torch.device(CUDA, index)
    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise DeviceError(
            f"{device!r} is no device; choose auto, cpu, cuda, cuda:1 (and so on) or mps."
        ) from error
    if wanted.type not in (CPU, CUDA, MPS):
        raise DeviceError(f"{device!r} is not supported; choose auto, cpu, cuda or mps.")
    if wanted.type == CUDA:
        wanted = torch.device(CUDA, wanted.index or 0)
        count = _cuda_count()
        if count and wanted.index >= count:
            names = ", ".join(f"{CUDA}:{i}" for i in range(count))
            raise DeviceError(f"{wanted} is not there; this computer has {names}.")
        reason = _cuda_too_old(wanted.index) if count else _cuda_reason()
    else:
        reason = _mps_reason() if wanted.type == MPS else ""
    if reason:
        raise DeviceError(f"{device} cannot be used: {reason}")
    return wanted


def list_devices() -> tuple[DeviceInfo, ...]:
    """List every device, best first, the unusable ones with the reason.

    Always holds at least one CUDA entry (so that a user sees why no GPU is used), an MPS entry on a
    Mac, and the CPU last. Opens each GPU to ask for its free memory.
    """
    found = [_cuda_info(index) for index in range(_cuda_count())]
    if not found:
        found = [DeviceInfo(CUDA, "CUDA GPU: not available", None, False, _cuda_reason())]
    if _is_mac():
        reason, title = _mps_reason(), "Apple GPU (Metal)"
        found.append(
            DeviceInfo(MPS, title, None, False, reason) if reason else _free(MPS, MPS, title)
        )
    return (*found, _free(CPU, CPU, f"CPU, {torch.get_num_threads()} threads"))


def _free(name: str, device: str, title: str) -> DeviceInfo:
    """Describe a device that can be used, by its free memory."""
    free = free_bytes(torch.device(device))
    return DeviceInfo(name, f"{title}, {free / 1e9:.1f} GB free", free)


def free_bytes(device: torch.device) -> int:
    """Bytes of memory that tensors on ``device`` may still take.

    On CUDA what the driver says plus what torch holds in its cache without using it.
    """
    if device.type == CUDA:
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + cached)
    if device.type == MPS:
        limit = torch.mps.recommended_max_memory()
        return max(int(limit) - int(torch.mps.driver_allocated_memory()), 1)
    return free_memory()


def release(device: torch.device) -> None:
    """Give memory that torch only caches back to the device, for other programs."""
    if device.type == CUDA:
        with torch.cuda.device(device):
            torch.cuda.empty_cache()
    elif device.type == MPS:
        torch.mps.empty_cache()


def is_host(device: torch.device) -> bool:
    """Whether tensors on ``device`` live in main memory and work is done at once."""
    return device.type == CPU


def pins_memory(device: torch.device) -> bool:
    """Whether copies to and from ``device`` can run beside the work (page-locked memory)."""
    return device.type == CUDA


def choose_precision(device: torch.device, wanted: str) -> str:
    """Turn "auto" into a precision: bfloat16 on CUDA that computes in it, else float32."""
    if wanted == "auto":
        fits = device.type == CUDA and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if fits else "float32"
    if wanted == "float16" and device.type == CPU:
        raise DeviceError("precision float16 is not for the CPU; choose auto, float32 or bfloat16.")
    return wanted


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Open a context in which ``device`` computes in ``precision`` ("float32" = as is)."""
    if precision not in PRECISION_DTYPES:
        return nullcontext()
    return torch.autocast(device.type, dtype=PRECISION_DTYPES[precision])


class Mark:
    """A point in a device's queue of work: wait for it, or measure from one to another."""

    def __init__(self, device: torch.device) -> None:
        self._event: torch.cuda.Event | None = None
        self._time = time.perf_counter()
        if device.type == CUDA:
            self._event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            self._event.record(torch.cuda.current_stream(device))

    def wait(self) -> None:
        """Block until the mark is passed."""
        if self._event is not None:
            self._event.synchronize()

    def seconds_since(self, earlier: Mark) -> float:
        """Seconds of device time since ``earlier``; both marks must have been passed."""
        if self._event is not None and earlier._event is not None:
            return float(earlier._event.elapsed_time(self._event)) / 1e3
        return self._time - earlier._time


class Copies:
    """Copies to and from a device; with queues of their own they run beside its work.

    One queue for each way: in one, the next upload would wait for the download before it, which
    waits for the network.
    """

    def __init__(self, device: torch.device, own: bool) -> None:
        self._device, self._pinned = device, pins_memory(device)
        ways = range(2 if own and device.type == CUDA else 0)
        self._queues = [torch.cuda.Stream(device) for _ in ways]  # type: ignore[no-untyped-call]

    def up(self, host: torch.Tensor) -> torch.Tensor:
        """Copy to the device; what is queued there from now on comes after it."""
        if not self._queues:
            return host.to(self._device, non_blocking=self._pinned)
        with torch.cuda.stream(self._queues[0]):
            there = host.to(self._device, non_blocking=True)
        work = torch.cuda.current_stream(self._device)
        work.wait_stream(self._queues[0])
        there.record_stream(work)  # its memory is not given away before that has read it
        return there

    def down(self, parts: Parts, hosts: Parts) -> Mark:
        """Copy to main memory what is queued so far; done once the mark is passed."""
        queue = self._queues[1] if self._queues else None
        if queue is not None:
            queue.wait_stream(torch.cuda.current_stream(self._device))
        with nullcontext() if queue is None else torch.cuda.stream(queue):
            for part, host in zip(parts, hosts, strict=True):
                host.copy_(part, non_blocking=True)
                if queue is not None:
                    part.record_stream(queue)
            return Mark(self._device)


def _cuda_info(index: int) -> DeviceInfo:
    name, title, reason = f"{CUDA}:{index}", torch.cuda.get_device_name(index), _cuda_too_old(index)
    try:
        if not reason:
            return _free(name, name, title)
    except RuntimeError as error:  # occupied exclusively, or fell off the bus
        reason = f"the driver says: {_first_line(error)}"
    return DeviceInfo(name, title, None, False, reason)


def _cuda_count() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an unusable driver is told as a reason instead
        return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _cuda_reason() -> str:
    """Say why there is no CUDA device and what to do."""
    if torch.version.cuda is None and getattr(torch.version, "hip", None) is None:
        if _is_mac():
            return "Macs have no CUDA; choose mps or cpu."
        return (
            f"this PyTorch ({torch.__version__}) is built without CUDA; for an NVIDIA GPU "
            "install a CUDA build (see pytorch.org/get-started)."
        )
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return f"{_first_line(error)} (PyTorch {torch.__version__})."
    return "no GPU is visible; check nvidia-smi and the variable CUDA_VISIBLE_DEVICES."


def _cuda_too_old(index: int) -> str:
    """Say why a GPU does not fit this build of PyTorch; "" if it does."""
    if getattr(torch.version, "hip", None) is not None:
        return ""
    major, minor = torch.cuda.get_device_capability(index)
    built = [
        int(arch.split("_")[1].rstrip("af"))
        for arch in torch.cuda.get_arch_list()
        if arch.startswith(("sm_", "compute_"))
    ]
    if not built or major * 10 + minor >= min(built):
        return ""
    return (
        f"{torch.cuda.get_device_name(index)} (compute capability {major}.{minor}) is older than "
        "this PyTorch supports; install an older PyTorch, or use the CPU."
    )


def _mps_reason() -> str:
    """Say why MPS cannot be used; "" if it can."""
    if torch.backends.mps.is_available():
        return ""
    if not _is_mac():
        return "MPS is the GPU of Apple computers; choose cpu or cuda."
    if not torch.backends.mps.is_built():
        return f"this PyTorch ({torch.__version__}) is built without MPS; install a newer one."
    return "MPS needs macOS 12.3 or newer and an Apple or AMD GPU."


def _is_mac() -> bool:
    return platform.system() == "Darwin"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
