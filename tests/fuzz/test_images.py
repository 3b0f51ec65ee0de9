"""Images that are damaged or claim too much."""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_hovernet.core.io.open import read_image
from napari_hovernet.errors import InputError

from .conftest import Rng, damaged

pytestmark = pytest.mark.filterwarnings("ignore")
RGB = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


def sound(rng: Rng) -> tuple[str, bytes]:
    """One image file of any kind."""
    kind = int(rng.integers(0, 8))
    buffer = io.BytesIO()
    if kind < 3:
        mode = ("RGB", "LA", "P")[kind]
        Image.fromarray(RGB).convert(mode).save(buffer, "PNG", dpi=(300, 300))
        return "png", buffer.getvalue()
    if kind == 3:
        Image.fromarray(RGB).save(buffer, "JPEG")
        return "jpg", buffer.getvalue()
    if kind == 4:
        Image.fromarray(RGB[..., 0].astype(np.uint16) * 257).save(buffer, "PNG")
        return "png", buffer.getvalue()
    more = ({"tile": (32, 32)}, {"compression": "zlib"}, {"rowsperstrip": 7})[kind - 5]
    ome = kind == 6
    tifffile.imwrite(buffer, RGB, photometric="rgb", ome=ome, **more)
    return ("ome.tif" if ome else "tif"), buffer.getvalue()


def test_600_images(tries, tmp_path: Path) -> None:
    def attack(rng: Rng) -> str | None:
        suffix, data = sound(rng)
        path = tmp_path / f"a.{suffix}"
        if suffix == "png" and rng.integers(0, 2):
            chunk = bytes(rng.choice([*b"tEXtzTXtiTXtiCCPpHYstRNSPLTE"], 4))
            bomb = zlib.compress(bytes(2 ** int(rng.integers(1, 24))))
            body = chunk + rng.bytes(4) + b"\0\0" + bomb
            made = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
            data = data[:33] + made + data[33:]
        path.write_bytes(damaged(data, rng))
        source = read_image(path).source
        height, width = source.shape
        pixels = source.read(0, min(height, 512), 0, min(width, 512))
        return None if pixels.dtype == np.uint8 and pixels.shape[2] == 3 else "wrong"

    tries(attack, 600)


@pytest.mark.parametrize("name", ["pipe", "device", "sparse"])
def test_what_is_no_image_file_is_refused_at_once(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.png"
    if name == "pipe":
        os.mkfifo(path)
    elif name == "device":
        path = Path("/dev/urandom")
    else:
        with path.open("wb") as file:
            file.truncate(200 * 10**9)
    with pytest.raises(InputError):
        read_image(path)
