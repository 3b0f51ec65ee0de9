"""One image as a slide of any kind, without loss."""

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from .drawn import MPP, write_slide

KINDS = ("tiff", "ome-tiff", "svs", "ndpi", "dicom", "zarr 0.4", "zarr 0.5")


def copy_as(kind: str, folder: Path, image: np.ndarray) -> Path:
    """Write the image into a folder; returns its path."""
    if kind == "tiff":
        return write_slide(folder / "a.tif", image)
    if kind == "ome-tiff":
        path = folder / "a.ome.tif"
        about = {"PhysicalSizeX": MPP, "PhysicalSizeY": MPP, "axes": "YXS"}
        with tifffile.TiffWriter(path, ome=True) as file:
            file.write(image, tile=(128, 128), photometric="rgb", subifds=1, metadata=about)
            file.write(image[::2, ::2], tile=(128, 128), photometric="rgb", subfiletype=1)
        return path
    if kind == "svs":
        path = folder / "a.svs"
        with tifffile.TiffWriter(path) as file:
            text = f"Aperio Image Library v11\r\n700x560|AppMag = 40|MPP = {MPP}"
            file.write(image, tile=(240, 240), photometric="rgb", description=text, metadata=None)
            label = np.full((30, 40, 3), 9, np.uint8)
            file.write(label, photometric="rgb", description="label", metadata=None)
        return path
    if kind == "ndpi":
        return ndpi(folder / "a.ndpi", image)
    if kind == "dicom":
        pytest.importorskip("openslide")
        return dicom(folder / "a.dcm", image)
    return ome_zarr(folder / "a.ome.zarr", image, kind[5:])


def ome_zarr(path: Path, image: np.ndarray, version: str, unit: str = "micrometer") -> Path:
    """Write OME-Zarr of two levels, with time and colours as axes."""
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    datasets = []
    for level in (0, 1):
        planes = np.moveaxis(image[:: 2**level, :: 2**level], 2, 0)[None]
        array = group.create_array(str(level), data=planes, chunks=(1, 3, 128, 128))
        assert array.shape[0] == 1
        scale = [1, 1, MPP * 2**level, MPP * 2**level]
        moves = [{"type": "scale", "scale": scale}]
        datasets.append({"path": str(level), "coordinateTransformations": moves})
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}]
    axes += [{"name": axis, "type": "space", "unit": unit} for axis in "yx"]
    scales = [{"version": version, "axes": axes, "datasets": datasets}]
    about = {"multiscales": scales}
    group.attrs.update(about if version == "0.4" else {"ome": {"version": "0.5", **about}})
    return path


def ndpi(path: Path, image: np.ndarray) -> Path:
    """Write what Hamamatsu's files are (offsets of 64 bits in a small TIFF), but not in JPEG."""
    pages = [(image, 40.0), (image[::8, ::8].copy(), -1.0)]  # the slide, and a macro image
    data = bytearray(b"II*\0" + bytes(8))
    link = 4
    for pixels, lens in pages:
        rows, cols = pixels.shape[:2]
        strip, maker = len(data), b"Hamamatsu\0"
        data += pixels.tobytes() + maker
        rest = len(data)
        data += struct.pack("<HHH", 8, 8, 8) + struct.pack("<IIII", round(1e4 / MPP), 1,
                                                           round(1e4 / MPP), 1)  # fmt: skip
        tags = [
            (256, 4, 1, cols), (257, 4, 1, rows), (258, 3, 3, rest), (259, 3, 1, 1),
            (262, 3, 1, 2), (271, 2, len(maker), rest - len(maker)), (273, 4, 1, strip),
            (277, 3, 1, 3), (278, 4, 1, rows), (279, 4, 1, pixels.nbytes),
            (282, 5, 1, rest + 6), (283, 5, 1, rest + 14), (296, 3, 1, 3), (65420, 4, 1, 1),
            (65421, 11, 1, struct.unpack("<I", struct.pack("<f", lens))[0]),
        ]  # fmt: skip
        data += bytes(len(data) % 2)
        data[link : link + 8] = struct.pack("<Q", len(data))
        data += struct.pack("<H", len(tags))
        data += b"".join(struct.pack("<HHII", *tag) for tag in tags)
        link = len(data)
        data += bytes(8 + 4 * len(tags))  # the next page, and the high halves of the values
    path.write_bytes(data)
    return path


def dicom(path: Path, image: np.ndarray, tile: int = 128) -> Path:
    """Write a whole slide of DICOM: tiled full, in plain RGB."""
    rows, cols = (-(-n // tile) for n in image.shape[:2])
    padded = np.pad(image, [(0, rows * tile - image.shape[0]), (0, cols * tile - image.shape[1]),
                            (0, 0)])  # fmt: skip
    tiles = padded.reshape(rows, tile, cols, tile, 3).swapaxes(1, 2)
    uid, whole_slide, plain = "1.2.826.0.1.3680043.9.1.", "1.2.840.10008.5.1.4.1.1.77.1.6", (
        "1.2.840.10008.1.2.1"
    )  # fmt: skip

    def element(group: int, number: int, kind: str, *values: object) -> bytes:
        code = {"US": "H", "UL": "I", "FL": "f", "FD": "d"}.get(kind)
        if isinstance(values[0], bytes):
            value = values[0]
        elif code:
            value = struct.pack(f"<{len(values)}{code}", *values)
        else:
            value = "\\".join(map(str, values)).encode()
        value += (b"\0" if kind in ("UI", "OB") else b" ") * (len(value) % 2)
        long = kind in ("OB", "SQ")
        head = struct.pack("<HH2s", group, number, kind.encode())
        return head + struct.pack("<HI" if long else "<H", *[0] * long, len(value)) + value

    def sequence(group: int, number: int, *items: bytes) -> bytes:
        framed = (struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
        return element(group, number, "SQ", b"".join(framed))

    meta = element(2, 1, "OB", b"\0\1") + element(2, 2, "UI", whole_slide)
    meta += element(2, 3, "UI", f"{uid}1") + element(2, 16, "UI", plain)
    measures = element(0x18, 0x50, "DS", 0.001) + element(0x28, 0x30, "DS", MPP / 1e3, MPP / 1e3)
    body = (
        element(8, 8, "CS", "ORIGINAL", "PRIMARY", "VOLUME", "NONE"),
        element(8, 0x16, "UI", whole_slide), element(8, 0x18, "UI", f"{uid}1"),
        element(8, 0x60, "CS", "SM"),
        element(0x20, 0xD, "UI", f"{uid}2"), element(0x20, 0xE, "UI", f"{uid}3"),
        element(0x20, 0x52, "UI", f"{uid}4"), element(0x20, 0x9311, "CS", "TILED_FULL"),
        element(0x28, 2, "US", 3), element(0x28, 4, "CS", "RGB"), element(0x28, 6, "US", 0),
        element(0x28, 8, "IS", rows * cols), element(0x28, 0x10, "US", tile),
        element(0x28, 0x11, "US", tile), element(0x28, 0x100, "US", 8),
        element(0x28, 0x101, "US", 8), element(0x28, 0x102, "US", 7),
        element(0x28, 0x103, "US", 0),
        element(0x48, 6, "UL", image.shape[1]), element(0x48, 7, "UL", image.shape[0]),
        element(0x48, 0x303, "UL", 1),
        sequence(0x5200, 0x9229, sequence(0x28, 0x9110, measures)),
        element(0x7FE0, 0x10, "OB", tiles.tobytes()),
    )  # fmt: skip
    path.write_bytes(bytes(128) + b"DICM" + element(2, 0, "UL", len(meta)) + meta + b"".join(body))
    return path
