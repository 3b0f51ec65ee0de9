"""Large tiles against hover_net's own: operations and time per kept pixel.

    python benchmarks/networks.py --mode fast --edge 4000 --tile 1280

Operations are counted exactly, without running anything, for a whole image and with all
that tiles throw away at cuts. Time is that of single tiles (the fastest of several),
multiplied by the number of tiles, so that an image of any size can be judged in a minute.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_hovernet.core.inference.tiles import plan
from napari_hovernet.core.networks.hovernet import MODES, HoVerNet

WANTED = {"fast": 1.4, "original": 3.5}
"""Times faster that large tiles shall be, by mode."""


def operations(network: HoVerNet, tile: tuple[int, int]) -> float:
    """Multiply-adds of one pass, counted on the meta device."""
    with torch.device("meta"):
        blank = HoVerNet(**network.config).eval()
        image = torch.zeros(1, 3, *tile)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        blank(image)
    return counter.get_total_flops() / 2


@torch.inference_mode()
def seconds(network: HoVerNet, tile: tuple[int, int], repeats: int) -> float:
    """Time of one pass, the fastest of ``repeats``."""
    image = torch.rand(1, 3, *tile).mul_(255).contiguous(memory_format=torch.channels_last)
    fastest = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        network(image)
        fastest = min(fastest, time.perf_counter() - start)
    return fastest


def compare(mode: str, args: argparse.Namespace) -> None:
    """Print a table of the two ways for one mode."""
    network = HoVerNet(mode, args.types or None).eval().to(memory_format=torch.channels_last)
    geometry, shape = network.geometry, (args.edge, args.edge)
    plans = {
        "reference": plan(shape, geometry, geometry.reference_tile, reference=True),
        "large": plan(shape, geometry, geometry.legal(args.tile)),
    }
    pixels = shape[0] * shape[1]
    print(f"{mode}, {args.types or 'no'} types, {args.edge} x {args.edge} px")
    print(f"{'':12}{'tiles':>7}{'edge':>7}{'Mop/px':>9}{'s/Mpx':>9}")
    totals = {}
    for name, tiles in plans.items():
        tile = tiles[0].input.shape
        if name == "reference" and not args.count_only:
            seconds(network, tile, 1)  # warm up
        count = len(tiles) * operations(network, tile)
        repeats = args.repeats if name == "reference" else 1
        spent = 0.0 if args.count_only else len(tiles) * seconds(network, tile, repeats)
        totals[name] = (count, spent)
        row = f"{name:12}{len(tiles):7}{tile[0]:7}{count / pixels / 1e6:9.2f}"
        print(row + (f"{spent / pixels * 1e6:9.1f}" if spent else f"{'-':>9}"), flush=True)
    ops = totals["reference"][0] / totals["large"][0]
    said = f"large tiles: {ops:.2f} x fewer operations"
    if not args.count_only:
        said += f", {totals['reference'][1] / totals['large'][1]:.2f} x faster"
    print(f"{said} (wanted {WANTED[mode]} x)\n", flush=True)


def main() -> None:
    """Parse the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=MODES, action="append", help="default: both")
    parser.add_argument("--types", type=int, default=6, help="0 = none")
    parser.add_argument("--edge", type=int, default=4000, help="of the image, px")
    parser.add_argument("--tile", type=int, default=1536, help="large tile's input edge, px")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--count-only", action="store_true", help="count operations, time nothing")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for mode in args.mode or MODES:
        compare(mode, args)


if __name__ == "__main__":
    main()
