"""HoVer-Net as this program runs it on a CPU against the published way.

    python benchmarks/networks.py --mode fast --edge 4000

"published" is the network as it is, in tiles of hover_net's own size; "here" is the copy that
inference makes of it, in the tiles that inference chooses, in memory that is kept. Operations are
counted exactly, without running anything, for a whole image and with all that tiles throw away
at cuts. Time is CPU time of single tiles (the least of several), multiplied by the number of tiles.
"""

from __future__ import annotations

import argparse
import time
from copy import deepcopy

import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_hovernet.core.inference.tiles import choose_load, plan
from napari_hovernet.core.limits import freed_memory_kept
from napari_hovernet.core.networks.blocks import folded
from napari_hovernet.core.networks.hovernet import MODES, HoVerNet
from napari_hovernet.core.params import InferenceParams

WANTED = {"fast": 2.0, "original": 5.5}
"""Times faster that it shall be, by mode."""


def operations(network: HoVerNet, tile: tuple[int, int]) -> float:
    """Multiply-adds of one pass, counted on the meta device."""
    with torch.device("meta"):
        blank = HoVerNet(**network.config).eval()
        image = torch.zeros(1, 3, *tile)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        blank(image)
    return counter.get_total_flops() / 2


@torch.inference_mode()
def seconds(network: HoVerNet, image: torch.Tensor, repeats: int) -> float:
    """CPU time of one pass, the least of ``repeats``."""
    least = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        network(image)
        least = min(least, time.process_time() - start)
    return least


def published(network: HoVerNet, tile: tuple[int, int], repeats: int) -> float:
    """CPU time of a tile by the network as it was published."""
    image = torch.rand(1, 3, *tile).mul_(255)
    seconds(network, image, 1)  # warm up
    return seconds(network, image, repeats)


def here(network: HoVerNet, tile: tuple[int, int]) -> float:
    """CPU time of a tile as inference runs it."""
    twin = folded(deepcopy(network).to(memory_format=torch.channels_last))
    image = torch.rand(1, 3, *tile).mul_(255).contiguous(memory_format=torch.channels_last)
    with freed_memory_kept():
        return seconds(twin, image, 2)  # the first pass takes memory that is new


def compare(mode: str, args: argparse.Namespace) -> None:
    """Print a table of the two ways for one mode."""
    network = HoVerNet(mode, args.types or None).eval()
    geometry, shape = network.geometry, (args.edge, args.edge)
    params = InferenceParams(tile=args.tile)
    chosen = choose_load(network, geometry, shape, params, torch.device("cpu"), half=False).tile
    plans = {
        "published": plan(shape, geometry, geometry.reference_tile, reference=True),
        "here": plan(shape, geometry, chosen),
    }
    pixels = shape[0] * shape[1]
    print(f"{mode}, {args.types or 'no'} types, {args.edge} x {args.edge} px")
    print(f"{'':12}{'tiles':>7}{'edges':>13}{'Mop/px':>9}{'s/Mpx':>9}")
    totals = {}
    for name, tiles in plans.items():
        tile = tiles[0].input.shape
        count, spent = len(tiles) * operations(network, tile), 0.0
        if not args.count_only:
            one = (
                published(network, tile, args.repeats)
                if name == "published"
                else here(network, tile)
            )
            spent = len(tiles) * one
        totals[name] = (count, spent)
        row = f"{name:12}{len(tiles):7}{tile[0]:6} x {tile[1]:4}{count / pixels / 1e6:9.2f}"
        print(row + (f"{spent / pixels * 1e6:9.1f}" if spent else f"{'-':>9}"), flush=True)
    ops = totals["published"][0] / totals["here"][0]
    said = f"{ops:.2f} x fewer operations"
    if not args.count_only:
        said += f", {totals['published'][1] / totals['here'][1]:.2f} x faster"
    print(f"{said} (wanted {WANTED[mode]} x)\n", flush=True)


def main() -> None:
    """Parse the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=MODES, action="append", help="default: both")
    parser.add_argument("--types", type=int, default=6, help="0 = none")
    parser.add_argument("--edge", type=int, default=4000, help="of the image, px")
    parser.add_argument("--tile", type=int, help="input edge instead of the chosen one, px")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--count-only", action="store_true", help="count operations, time nothing")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for mode in args.mode or MODES:
        compare(mode, args)


if __name__ == "__main__":
    main()
