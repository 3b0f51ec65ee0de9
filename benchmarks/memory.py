"""What networks take of memory per input pixel, against what stands with them.

    python benchmarks/memory.py                  # count: no numbers, no memory
    python benchmarks/memory.py --real 1024      # and run a tile of that edge for real

Counted are the bytes of the tensors alive at the fullest moment and the elements of the
largest one, by sending shapes alone through the network. Measured is how far the process
grows while a tile goes through, each in a process of its own; ``WORKSPACE`` allows for what
convolutions need besides. Needed once for a new network, whose numbers come from here.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from napari_hovernet.core.inference.tiles import WORKSPACE
from napari_hovernet.core.networks.optimus import GRID, OUTPUT, TOKEN_PREFIX
from napari_hovernet.core.networks.registry import Network, build

EDGE = 512
"""Input edge of the count, pixels; large enough that margins hardly count."""
KNOWN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("compact", {}),
    ("compact", {"widths": [32, 64, 128, 256], "n_types": 6}),
    ("lite", {"n_types": 5}),
    ("lite", {"widths": [32, 64, 96, 128], "n_types": 6}),
    ("hovernet", {"mode": "fast", "n_types": 6}),
    ("hovernet", {"mode": "original", "n_types": 6}),
    ("optimus", {}),
)


class Tally(TorchDispatchMode):
    """Counts the bytes of tensors alive, by storage, while operations run."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.now = self.peak = self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.count(leaf)
        return result

    def count(self, tensor: torch.Tensor) -> None:
        """Add a tensor's storage until nothing holds it any more."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if not self.alive.get(key):
            self.now += size
            self.peak, self.largest = max(self.peak, self.now), max(self.largest, tensor.numel())
        self.alive[key] = self.alive.get(key, 0) + 1
        weakref.finalize(tensor, self.drop, key, size)

    def drop(self, key: int, size: int) -> None:
        """Forget one tensor of a storage."""
        self.alive[key] -= 1
        self.now -= 0 if self.alive[key] else size


def inputs(network: Network, edge: int, device: str) -> tuple[torch.Tensor, int]:
    """Return an input of a network, and how many pixels it stands for."""
    if network.accepts == "tokens":
        shape = (1, TOKEN_PREFIX + GRID * GRID, network.config["embed_dim"])
        return torch.zeros(shape, device=device), OUTPUT**2
    edge = network.geometry.legal(edge)
    return torch.zeros(1, 3, edge, edge, device=device), edge**2


def counted(name: str, config: dict[str, Any]) -> tuple[float, float]:
    """Return bytes alive at once and elements of the largest tensor, per pixel."""
    with torch.device("meta"):
        network = build(name, config).eval()
    image, pixels = inputs(network, EDGE, "meta")
    with torch.no_grad(), Tally() as tally:
        network(image)
    return tally.peak / pixels, tally.largest / pixels


def grown(name: str, config: dict[str, Any], edge: int) -> float:
    """Return bytes per pixel by which this process grows while a tile goes through."""
    network = build(name, config).eval().to(memory_format=torch.channels_last)
    small, _ = inputs(network, 1, "cpu")
    with torch.inference_mode():
        network(small)
        image, pixels = inputs(network, edge, "cpu")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        network(image)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (after - before) * (1 if sys.platform == "darwin" else 1024) / pixels


def main() -> None:
    """Parse the command line and print a line per network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=int, help="edge of a tile to run for real, px")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(grown(*json.loads(args.one), args.real))
        return
    print(f"{'':44}{'stands':>8}{'counted':>9}{'largest':>9}{'counted':>9}{'grown':>8}")
    for name, config in KNOWN:
        network, (alive, largest) = build(name, config), counted(name, config)
        row = f"{name + ' ' + json.dumps(config):44}{network.bytes_per_pixel:8.0f}{alive:9.0f}"
        row += f"{network.elements_per_pixel:9.0f}{largest:9.0f}"
        if args.real:
            one = json.dumps([name, config])
            command = [sys.executable, __file__, "--real", str(args.real), "--one", one]
            found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            row += f"{float(found):8.0f}"
        print(row, flush=True)
    print(f"grown should stay below {WORKSPACE} times what stands with the network")


if __name__ == "__main__":
    main()
