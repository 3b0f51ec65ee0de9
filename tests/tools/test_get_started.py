"""The setup script says what is missing, installs what it may, and stops where it must.

It runs on a path that holds nothing but a few system tools and stand-ins for the rest, so
nothing is installed and nothing is downloaded.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stand-ins are for Linux")
TOOLS = ("bash", "sh", "dirname", "sed", "tr", "grep", "cat", "cksum", "mv", "env")
OLD_PYTHON = 'case "$2" in *sys.exit*) exit 1 ;; *) echo "/usr/bin/python3 is 3.9;" ;; esac'


class Machine:
    """A folder of commands that stands for a machine."""

    def __init__(self, folder: Path, script: Path) -> None:
        self.bin, self.log = folder / "bin", folder / "log"
        self.venv = folder / "venv"
        self.script = script
        self.bin.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
        self.add("uname", "echo Linux")
        self.add("id", "echo 0")
        self.add("ldconfig", "true")

    def add(self, name: str, body: str, path: Path | None = None) -> None:
        """Add a command; what it is called with goes to the log."""
        path = path or self.bin / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.log}"\n{body}\n')
        path.chmod(0o755)

    def add_venv(self, body: str = "") -> None:
        """Add an environment, whose Python does as much as the body says."""
        (self.venv / "bin").mkdir(parents=True)
        (self.venv / "pyvenv.cfg").write_text("version = 3.12\n")
        self.add("venv-python", body, self.venv / "bin" / "python")

    def run(self, *args: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run the script here."""
        env = {"PATH": str(self.bin), "HOME": str(self.bin), "VENV": str(self.venv), **settings}
        command = [str(self.bin / "bash"), str(self.script), *args]
        return subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=60, check=False
        )

    def calls(self, name: str) -> list[str]:
        """What ``name`` was called with, call by call."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.partition(" ")[2] for line in lines if line.split()[0] == name]


@pytest.fixture
def machine(root: Path, tmp_path: Path) -> Machine:
    return Machine(tmp_path, root / "tools" / "get-started.sh")


def test_its_use_and_missing_system_packages_are_told(machine) -> None:
    run = machine.run()
    assert run.returncode == 2 and "get-started.sh demo" in run.stderr
    assert machine.run("--help").returncode == 0
    run = machine.run("test")
    assert run.returncode == 1
    for package in ("libgl1", "libxcb-cursor0", "libglib2.0-0", "xvfb", "xauth"):
        assert f" {package} " in run.stderr
    assert "apt-get install" in run.stderr and not machine.venv.exists()


def test_only_what_is_missing_is_installed(machine: Machine) -> None:
    machine.add("ldconfig", 'for l in libGL.so.1 libEGL.so.1; do echo "$l (libc6) => /x"; done')
    machine.add("xvfb-run", "true")
    machine.add("Xvfb", "true")
    machine.add("apt-get", "true")
    run = machine.run("setup", PYTHON="no-such-python")
    (call,) = machine.calls("apt-get")
    assert "install --no-install-recommends" in call and call.endswith("libglib2.0-0 xauth")
    assert not {"libgl1", "libegl1", "xvfb"} & set(call.split())
    assert "PYTHON=no-such-python does not run" in run.stderr


@pytest.mark.parametrize("pythons", [(), ("python3",)])
def test_an_unfit_python_is_named_and_what_to_do(machine, pythons) -> None:
    for name in pythons:
        machine.add(name, OLD_PYTHON)
    run = machine.run("setup", SKIP_SYSTEM_PACKAGES="1")
    assert run.returncode == 1 and "Python 3.11, 3.12 or 3.13 is needed" in run.stderr
    assert ("/usr/bin/python3 is 3.9" in run.stderr) == bool(pythons)
    assert "apt-get install python3.12 python3.12-venv" in run.stderr


def test_a_folder_that_is_no_environment_is_left_alone(machine: Machine) -> None:
    machine.venv.mkdir()
    (machine.venv / "thesis.txt").write_text("mine")
    run = machine.run("setup", SKIP_SYSTEM_PACKAGES="1", PYTHON=sys.executable)
    assert run.returncode == 1 and "is no Python environment" in run.stderr
    assert (machine.venv / "thesis.txt").read_text() == "mine"


def test_what_is_installed_is_not_installed_again(machine: Machine) -> None:
    """The second run asks Python for its version and for pip, and nothing else."""
    machine.add_venv()
    machine.add("python3", "exit 0")
    first = machine.run("setup", SKIP_SYSTEM_PACKAGES="1", TORCH="torch==2.13.0")
    assert first.returncode == 0, first.stderr
    installs = [call for call in machine.calls("venv-python") if " install " in call]
    assert [call.split(" install ")[1].split()[0] for call in installs] == ["torch==2.13.0", "-e"]
    assert installs[1].endswith("[all,test]")
    again = machine.run("setup", SKIP_SYSTEM_PACKAGES="1")
    assert again.returncode == 0
    assert [c for c in machine.calls("venv-python") if " install " in c] == installs


@pytest.mark.parametrize(
    ("listed", "wanted"),
    [
        ("2.15.0, 2.14.1, 2.13.0+cpu, 2.13.0, 2.12.0+cpu", "torch==2.13.0+cpu"),
        ("2.15.0, 2.14.1", None),
    ],
)
def test_a_cpu_build_of_torch_is_preferred(machine, listed, wanted) -> None:
    if os.path.exists("/proc/driver/nvidia/version"):
        pytest.skip("this machine has an NVIDIA GPU: the usual build is right")
    machine.add_venv(
        'case "$*" in *"import torch"*) exit 1 ;; *"index versions"*'
        f') printf "torch (2.15.0)\\nAvailable versions: {listed}\\n" ;; esac'
    )
    run = machine.run("setup", SKIP_SYSTEM_PACKAGES="1")
    assert run.returncode == 0, run.stderr
    installs = [c.split(" install ")[1] for c in machine.calls("venv-python") if " install " in c]
    assert installs[:-1] == ([wanted] if wanted else [])
    assert ("no CPU build" in run.stderr) == (wanted is None)
