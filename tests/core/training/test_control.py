"""Commands from a file and from signals."""

from __future__ import annotations

import os
import signal

import pytest

from napari_hovernet.core.training import loop as module
from napari_hovernet.core.training.files import RunFolder
from napari_hovernet.core.training.loop import Control


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


def test_commands_are_read_again_only_after_a_while(folder, monkeypatch):
    monkeypatch.setattr(module, "POLL_SECONDS", 60)
    control = Control(folder)
    assert control.command() == ""
    folder.write_command("stop")
    assert control.command() == ""
    assert control.command(now=True) == "stop"


def test_one_of_several_processes_reads_nothing(folder):
    folder.write_command("stop")
    assert Control(folder, active=False).command(now=True) == ""


def test_a_pause_waits_for_the_next_command(folder, monkeypatch):
    folder.write_command("pause")
    monkeypatch.setattr(module.time, "sleep", lambda _: folder.write_command("resume"))
    assert Control(folder).wait() == "resume"


def test_an_answered_command_is_not_there_for_the_next_run(folder):
    folder.write_command("stop")
    control = Control(folder)
    control.answered()
    control.answered()
    assert folder.read_command() == "" and not folder.control_file.exists()


def test_sigterm_asks_for_a_stop_and_the_former_handler_comes_back(folder):
    before = signal.getsignal(signal.SIGTERM)
    control = Control(folder)
    with control.signals():
        os.kill(os.getpid(), signal.SIGTERM)
        assert control.command() == "stop"
        assert signal.getsignal(signal.SIGTERM) == before  # a second one acts as usual
    assert signal.getsignal(signal.SIGTERM) == before
