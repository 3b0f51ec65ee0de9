from __future__ import annotations

from types import SimpleNamespace

from napari_hovernet._napari.widgets.device_picker import DevicePicker


def device(name, label, available=True, reason=""):
    return SimpleNamespace(name=name, label=label, available=available, reason=reason)


CPU = device("cpu", "CPU, 8 threads")
GPU = device("cuda:0", "NVIDIA H200, 120.3 GB free")
NO_GPU = device("cuda", "CUDA", available=False, reason="no driver was found")


def test_the_reason_for_no_gpu_is_said(qtbot):
    picker = DevicePicker()
    qtbot.addWidget(picker)
    picker.set_devices((CPU, NO_GPU))
    assert picker.reason.text() == "No GPU is used: no driver was found"
    assert picker.combo.itemText(0) == "Automatic (CPU)"
    assert picker.combo.findData("cuda") == -1


def test_automatic_names_the_gpu_and_the_remark_its_free_memory(qtbot):
    picker = DevicePicker()
    qtbot.addWidget(picker)
    picker.set_devices((CPU, GPU))
    assert picker.combo.itemText(0) == "Automatic (NVIDIA H200)"
    assert picker.combo.itemText(2) == picker.reason.text() == "NVIDIA H200, 120.3 GB free"


def test_a_remembered_device_that_is_gone_becomes_automatic(qtbot):
    picker = DevicePicker()
    qtbot.addWidget(picker)
    picker.set_devices((CPU, GPU))
    picker.setValue("cuda:0")
    assert picker.value() == "cuda:0"
    picker.set_devices((CPU, NO_GPU))
    assert picker.value() == "auto"
