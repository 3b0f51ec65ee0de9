"""Chunks of labels packed as runs: their numbers can be changed without unpacking them.

They are LZ4 in a frame of Blosc, as any reader of zarr takes them. LZ4 is literal bytes, and
copies of what was there before; here all literals are whole numbers, and copies repeat such.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from ..types import Int32, UInt8, kernel

HEAD = struct.Struct("<BBBBIIIIi")
"""Version of Blosc and of LZ4, flags, bytes a number, bytes in all twice, packed, start, stream."""
VERSIONS, FLAGS, WIDTH = (2, 1), 1 << 5 | 1 << 4, 4
"""LZ4, in one piece; int32."""
LAST = 3
"""Numbers at the end that LZ4 wants to stand for themselves."""
FAR = 0xFFFF // WIDTH
"""Numbers back that a copy may begin."""


@kernel
def _run_length(values: Any, width: int, least: int, out: Any) -> int:
    """Write runs of ``least`` numbers or more as copies; return the length."""
    at, kept, end = 0, 0, values.size - LAST
    zeros, count, first = 0, 0, 0  # where the last run of 0 is that was no copy, its length
    while first < end:
        value, after = values[first], first + 1
        while after < end and values[after] == value:
            after += 1
        back, n = 0, after - first
        if value == 0 and n <= count and first - zeros <= FAR:
            back = first - zeros
        elif value and first >= width:
            above = first - width
            while above < after - width and values[above] == value:
                above += 1
            back = width if above == after - width else 0
        if n >= least:
            own = 0 if back else 1  # numbers that the copies are made from
            length = WIDTH * (n - own) - 4
            at = _literals(values, kept, first - kept + own, min(length, 15), out, at)
            back = WIDTH * (back or 1)
            out[at], out[at + 1] = back & 255, back >> 8
            at = _more(length, out, at + 2)
            kept = after
            if value == 0 and own:
                zeros, count = first, n
        first = after
    return _literals(values, kept, values.size - kept, 0, out, at)


@kernel
def _literals(values: Any, first: int, n: int, token: int, out: Any, at: int) -> int:
    out[at] = min(WIDTH * n, 15) << 4 | token
    at = _more(WIDTH * n, out, at + 1)
    for k in range(first, first + n):
        for byte in range(WIDTH):
            out[at] = (values[k] >> (8 * byte)) & 255
            at += 1
    return at


@kernel
def _more(length: int, out: Any, at: int) -> int:
    """Write what of a length does not fit into a token."""
    if length >= 15:
        length -= 15
        while length >= 255:
            out[at] = 255
            length -= 255
            at += 1
        out[at] = length
        at += 1
    return at


def pack(labels: Int32) -> bytes:
    """Pack a chunk."""
    values, width = np.ascontiguousarray(labels).ravel(), labels.shape[1]
    room = np.empty(values.nbytes + values.nbytes // 200 + 64, np.uint8)
    size = _run_length(values, width, 2, room)
    if size == values.nbytes:  # what is as long as it was is taken for not packed
        size = _run_length(values, width, values.size, room)
    head = HEAD.pack(*VERSIONS, FLAGS, WIDTH, values.nbytes, values.nbytes, HEAD.size + size,
                     HEAD.size - 4, size)  # fmt: skip
    return head + room[:size].tobytes()


@kernel
def renumber(packed: UInt8, starts: Any, ends: Any, ids: Int32) -> None:
    """Replace each number in chunks, from start to end of each, by ``ids`` of it."""
    for k in range(len(starts)):
        at, end = starts[k], ends[k]
        while at < end:
            token = np.int64(packed[at])
            at, n = at + 1, token >> 4
            if n == 15:
                while packed[at] == 255:
                    at, n = at + 1, n + 255
                at, n = at + 1, n + packed[at]
            for _ in range(n // WIDTH):
                old = np.int64(0)
                for byte in range(WIDTH):
                    old |= np.int64(packed[at + byte]) << (8 * byte)
                new = ids[old]
                for byte in range(WIDTH):
                    packed[at + byte] = (new >> (8 * byte)) & 255
                at += WIDTH
            at += 2
            if token & 15 == 15 and at < end:
                while packed[at] == 255:
                    at += 1
                at += 1
