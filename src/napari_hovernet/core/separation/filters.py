"""Derivatives of HV: Gaussians inside the mask, where there is mask, and Sobel kernels.

Every pixel is computed by the same sums in the same order, whatever is computed beside it: a part
made anew is equal, to the last bit, to the same part of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..params import SeparationParams
from ..types import Bool, Float32, bands, kernel, spread

Array = npt.NDArray[Any]
Span = tuple[int, int, int, int]
Pair = tuple[Any, Any]
Part = tuple[float, float, Float32]
"""A scale, its share in the energy, and where its terms go: float32 (H, W)."""
Taps = tuple[Array, Any, int]
"""Half of a kernel, from its middle on, what the other half is multiplied with (1 or -1), and how
many pixels lie from one tap to the next."""

TRUNCATE = 3.0
"""Sigmas at which a Gaussian is cut off."""
WIDE = 8.0
"""Scale from which on a Gaussian is made of two, which take two thirds of the taps."""
FIRST = 3.0
"""Scale of the first of them: what it lets pass of waves that the second does not see is 2e-5."""
SPARSE = 4
"""Pixels between two taps of the second."""
TINY = np.float32(1e-6)
"""Added to denominators that can be 0."""
BLOCK = 64
"""Edge in pixels of the squares of which those that hold mask are computed."""
MOST_COLUMNS = 2048
"""Columns computed at once: their rows stay in the processor's cache."""
UNIT = np.float32(2**20)
"""Magnitudes are summed in whole numbers of 1 / UNIT, so that their order does not matter."""
LARGEST = np.float32(2**24)
"""Magnitude that is summed at most, so that no sum overflows."""


def window_gain(hv: Float32, seen: Bool, params: SeparationParams) -> Float32:
    """Compute what brings the mean HV magnitude around each pixel into its range.

    ``hv`` (2, H, W); the mean is over those pixels of the window that are ``seen``, (H, W).
    """
    gain = np.empty(seen.shape, np.float32)
    low, high = np.float32(params.magnitude_low), np.float32(params.magnitude_high)

    def fill(first: int) -> None:
        rows = (first, min(first + params.band_rows, seen.shape[0]))
        fill_gain(hv, seen, params.magnitude_window // 2, (low, high), rows, gain)

    spread(fill, range(0, seen.shape[0], params.band_rows))
    return gain


def squeeze_terms(
    hv: Float32, seen: Bool, gain: Float32, blocks: Bool, parts: Sequence[Part], oblique: float
) -> None:
    """Write minus the divergence of the smoothed field, and ``oblique`` times its strain.

    Computed are the blocks chosen, (rows, columns) of `BLOCK` pixels; the others stay as they are.
    Parts with the same array are added up in it.
    """
    scales = [(gaussians(s), (np.float32(f), np.float32(oblique)), terms) for s, f, terms in parts]
    margin = max((reach_of(sigma) for sigma, _, _ in parts), default=0) + 1
    more = 2 * (1 + max((second[2] for (_, second), _, _ in scales), default=0))

    def fill(span: Span) -> None:
        field = weighted_field(hv, seen, gain, span, (margin, more))
        begun: list[Float32] = []
        for taps, factors, terms in scales:
            new = not any(terms is other for other in begun)
            add_squeeze(field, margin, (*taps, factors, new), span, terms)
            begun.append(terms)

    pieces = spans(blocks, seen.shape) if parts else ()
    spread(fill, list(pieces if margin < BLOCK // 2 else paired(pieces)))


def chosen_blocks(pixels: Bool) -> Bool:
    """Tell which blocks hold chosen pixels."""
    starts = [np.arange(0, edge, BLOCK) for edge in pixels.shape]

    def find(rows: slice) -> Bool:
        some = np.logical_or.reduceat(pixels[rows], starts[0][: -(-pixels[rows].shape[0] // BLOCK)])
        found: Bool = np.logical_or.reduceat(some, starts[1], axis=1)
        return found

    return np.concatenate(spread(find, bands(pixels.shape, BLOCK)))


@kernel
def changed_blocks(masks: Pair, seens: Pair, gains: Pair) -> Array:
    """Tell which blocks hold a change of mask, weight or gain, each given before and after."""
    height, width = masks[0].shape
    found = np.zeros((-(-height // BLOCK), -(-width // BLOCK)), np.bool_)
    for r in range(height):
        for k in range(found.shape[1]):
            if not found[r // BLOCK, k]:
                a, b = k * BLOCK, min((k + 1) * BLOCK, width)
                found[r // BLOCK, k] = is_changed(
                    (masks[0][r, a:b], masks[1][r, a:b]), (seens[0][r, a:b], seens[1][r, a:b]),
                    (gains[0][r, a:b], gains[1][r, a:b]),
                )  # fmt: skip
    return found


@kernel
def is_changed(masks: Pair, seens: Pair, gains: Pair) -> bool:
    """Tell whether a piece of a row has changed; gain counts where it is seen."""
    (mask0, mask), (seen0, seen), (gain0, gain) = masks, seens, gains
    some = False
    for c in range(mask.size):
        some |= (seen0[c] != seen[c]) | (mask0[c] != mask[c]) | (seen[c] & (gain0[c] != gain[c]))
    return some


def grown_blocks(blocks: Bool, scale: float) -> Bool:
    """Add the blocks whose pixels see, through a scale, pixels of those chosen."""
    reach = -(-(reach_of(scale) + 1) // BLOCK)
    around = np.ones((2 * reach + 1,) * 2, np.uint8)
    grown: Bool = cv2.dilate(blocks.view(np.uint8), around).astype(np.bool_)
    return grown


def spans(blocks: Bool, shape: tuple[int, int]) -> Iterator[Span]:
    """Join chosen blocks of a row to spans (r0, r1, c0, c1) of pixels."""
    most = MOST_COLUMNS // BLOCK
    for row, line in enumerate(blocks):
        start = 0
        for column in range(len(line) + 1):
            here = column < len(line) and bool(line[column])
            if start < column and (not here or column - start == most):
                yield (row * BLOCK, min((row + 1) * BLOCK, shape[0]),
                       start * BLOCK, min(column * BLOCK, shape[1]))  # fmt: skip
                start = column
            start = start if here else column + 1


def paired(pieces: Iterable[Span]) -> Iterator[Span]:
    """Join spans one above the other, two by two: wide margins are then made once."""
    left: dict[tuple[int, int, int], int] = {}
    for r0, r1, c0, c1 in pieces:
        above = left.pop((r0, c0, c1), None)
        if above is None:
            left[r1, c0, c1] = r0
        else:
            yield above, r1, c0, c1
    yield from ((r0, r1, c0, c1) for (r1, c0, c1), r0 in left.items())


def gaussians(sigma: float) -> tuple[Taps, Taps]:
    """Return two kernels that one after the other are a Gaussian; the first may be a single 1."""
    if sigma < WIDE:
        return (np.ones(1, np.float32), np.float32(1), 1), gaussian(sigma, 1)
    return gaussian(FIRST, 1), gaussian(math.sqrt(sigma**2 - FIRST**2), SPARSE)


def gaussian(sigma: float, step: int) -> Taps:
    """Taps of a Gaussian whose whole sums to 1."""
    away = step * np.arange(math.ceil(TRUNCATE * sigma / step) + 1)
    weights = np.exp(-0.5 * (away / sigma) ** 2)
    weights /= weights[0] + 2 * weights[1:].sum()
    return weights.astype(np.float32), np.float32(1), step


def reach_of(sigma: float) -> int:
    """Pixels on each side that a smoothed pixel is made from."""
    return sum((len(weights) - 1) * step for weights, _, step in gaussians(sigma))


def stretched_slope(channel: Float32, *, along_x: bool, size: int) -> tuple[Float32, float, float]:
    """Sobel derivative of a map stretched to 0..1, (H, W); also its lowest and highest value.

    Computed in float64, and equal to what OpenCV gives to the last bit of float32.
    """
    low, high = ends_of(spread(lambda rows: ends_of(channel[rows]), bands(channel.shape)))
    scale = 1.0 / (high - low) if high > low else 0.0
    slope, smooth = cv2.getDerivKernels(1, 0, size, ktype=cv2.CV_64F)
    turned = (slope.ravel()[size // 2 :], np.float64(-1), 1)
    even = (smooth.ravel()[size // 2 :], np.float64(1), 1)
    down, across = (even, turned) if along_x else (turned, even)
    result = np.empty(channel.shape, np.float32)
    blocks = np.ones([-(-edge // BLOCK) for edge in channel.shape], np.bool_)
    pieces = list(spans(blocks, channel.shape))

    def fill(span: Span) -> tuple[float, float]:
        fill_slope(channel, (low, scale), down, across, span, result)
        return ends_of(result[span[0] : span[1], span[2] : span[3]])

    return result, *ends_of(spread(fill, pieces))


def ends_of(values: npt.ArrayLike) -> tuple[float, float]:
    """Lowest and highest of all values."""
    return float(np.min(values)), float(np.max(values))


@kernel
def fill_gain(
    hv: Array, seen: Array, half: int, limits: Pair, rows: tuple[int, int], gain: Array
) -> None:
    """Write the gain of some rows; the window reaches ``half`` pixels to each side."""
    height, width = seen.shape
    first, last = rows
    total, count = np.zeros(width, np.int64), np.zeros(width, np.int32)
    totals = np.zeros(width + 2 * half + 1, np.int64)
    counts = np.zeros(width + 2 * half + 1, np.int32)
    more, less = np.int64(1), np.int64(-1)  # for plain numbers `add_magnitudes` is compiled twice
    for r in range(max(first - half, 0), min(first + half, height)):
        add_magnitudes(hv[0, r], hv[1, r], seen[r], more, total, count)
    for r in range(first, last):
        if r + half < height:
            add_magnitudes(hv[0, r + half], hv[1, r + half], seen[r + half], more, total, count)
        left = r - half - 1
        if left >= max(first - half, 0):
            add_magnitudes(hv[0, left], hv[1, left], seen[left], less, total, count)
        sum_up(total, totals[half + 1 : half + 1 + width])
        sum_up(count, counts[half + 1 : half + 1 + width])
        totals[half + width :] = totals[half + width]
        counts[half + width :] = counts[half + width]
        far = 2 * half + 1
        ends = (totals[far:], totals[:width], counts[far:], counts[:width])
        gains(ends, limits, gain[r])


@kernel
def add_magnitudes(h: Array, v: Array, seen: Array, sign: Any, total: Array, count: Array) -> None:
    """Add, or take away, the magnitudes of a row where it is seen."""
    for c in range(h.size):
        length = np.int64(min(np.sqrt(h[c] * h[c] + v[c] * v[c]), LARGEST) * UNIT)
        total[c] += sign * (length if seen[c] else np.int64(0))
        count[c] += np.int32(sign) * np.int32(seen[c])


@kernel
def sum_up(values: Array, sums: Array) -> None:
    """Write the running sums of a row."""
    total = values[0]
    sums[0] = total
    for c in range(1, values.size):
        total += values[c]
        sums[c] = total


@kernel
def gains(ends: tuple[Array, Array, Array, Array], limits: Pair, gain: Array) -> None:
    """Gain of a row from running sums at both ends of the window of each pixel."""
    (total, total0, count, count0), (low, high) = ends, limits
    for c in range(gain.size):
        n = np.float32(max(count[c] - count0[c], 1))
        mean = max(np.true_divide(np.float32(total[c] - total0[c]), UNIT * n), TINY)
        gain[c] = np.true_divide(min(max(mean, low), high), mean)


@kernel
def weighted_field(
    hv: Array, seen: Array, gain: Array, span: Span, around: tuple[int, int]
) -> Array:  # fmt: skip
    """Weight and both channels, (3, rows, columns), of a span and what is around, 0 if not seen.

    That is a margin, and more rows below, for `sum_rows`.
    """
    (r0, r1, c0, c1), (margin, more) = span, around
    field = np.empty((3, r1 - r0 + 2 * margin + more, c1 - c0 + 2 * margin), np.float32)
    a, b = max(c0 - margin, 0), min(c1 + margin, seen.shape[1])
    first, last = a - c0 + margin, b - c0 + margin
    for r in range(r0 - margin, r1 + margin + more):
        k = r - r0 + margin
        if not 0 <= r < seen.shape[0]:
            field[:, k] = 0
            continue
        field[:, k, :first] = 0
        field[:, k, last:] = 0
        weights = field[0, k, first:last]
        weigh(seen[r, a:b], weights)
        for channel in range(2):
            multiply(hv[channel, r, a:b], gain[r, a:b], weights, field[channel + 1, k, first:last])
    return field


# Loops over rows have few arrays each: the compiler makes none wide that has many.


@kernel
def weigh(seen: Array, out: Array) -> None:
    """Weight 1 where seen, 0 elsewhere."""
    for c in range(out.size):
        out[c] = np.float32(seen[c])


@kernel
def multiply(a: Array, b: Array, c: Array, out: Array) -> None:
    """Product of three rows."""
    for i in range(out.size):
        out[i] = a[i] * (b[i] * c[i])


@kernel
def add_squeeze(
    field: Array, margin: int, part: tuple[Taps, Taps, Pair, bool], span: Span, terms: Array
) -> None:
    """Add what `squeeze_terms` says of the smoothed field in a span.

    Central differences, one-sided at the border of the image. ``part`` is both kernels, factors of
    all and of the strain, and whether the terms are new: they are zeros then.
    """
    (first, taps, factors, new), (height, width) = part, terms.shape
    r0, r1, c0, c1 = span
    n = c1 - c0 + 2
    field = smoothed_down(field, margin - 1, r1 - r0 + 2, (first, taps))
    between = np.empty(field.shape[2] - 2 * (first[0].size - 1) * first[2], np.float32)
    room = np.empty((4, n), np.float32)
    share = np.empty(n, np.float32)
    h, v = np.empty((3, n), np.float32), np.empty((3, n), np.float32)
    wide = np.empty(n - 2, np.float32)
    wide[:] = np.float32(0.5)
    if c0 == 0:
        wide[0] = 1
    if c1 == width:
        wide[-1] = 1
    for r in range(r0 - 1, r1 + 1):
        up, here, down = (r - r0 + 2) % 3, (r - r0) % 3, (r - r0 + 1) % 3
        at = min(max(r, 0), height - 1) - r0 + 1
        smooth_row(field[0, at], (first, taps), between, share)
        for channel, smooth in ((1, h[down]), (2, v[down])):
            smooth_row(field[channel, at], (first, taps), between, smooth)
            divide(smooth, share)
            if c0 == 0:
                smooth[0] = smooth[1]
            if c1 == width:
                smooth[-1] = smooth[-2]
        if r > r0:
            tall = np.float32(1.0 if r in (1, height) else 0.5)
            energy = terms[r - 1, c0:c1]
            if new:
                energy[:] = 0
            add_terms((h, v), (up, here, down), (wide, tall), factors, room, energy)


@kernel
def smoothed_down(field: Array, top: int, rows: int, kernels: tuple[Taps, Taps]) -> Array:
    """Convolve the columns of three channels with both kernels, for some rows from one on."""
    (first, second), width = kernels, field.shape[2]
    rows = -(-rows // (2 * second[2])) * 2 * second[2]
    if first[0].size > 1:
        far = (second[0].size - 1) * second[2]
        between = np.empty((3, rows + 2 * far, width), np.float32)
        for channel in range(3):
            sum_rows(field[channel], top - far, first, between[channel])
        field, top = between, far
    smooth = np.empty((3, rows, width), np.float32)
    for channel in range(3):
        sum_rows(field[channel], top, second, smooth[channel])
    return smooth


@kernel
def smooth_row(values: Array, kernels: tuple[Taps, Taps], between: Array, out: Array) -> None:
    """Convolve a row with both kernels."""
    first, second = kernels
    if first[0].size > 1:
        sum_columns(values, first, between)
        sum_columns(between, second, out)
    else:
        sum_columns(values, second, out)


# Whether the compiler makes the next two wide hangs on how they are written: `i + 1 <= reach`
# instead of `i < reach` doubles their speed.


@kernel
def sum_rows(field: Array, top: int, down: Taps, out: Array) -> None:
    """Convolve the columns, in the arrays' precision, for as many rows as ``out`` has.

    They begin at row ``top``, and two, a tap apart, are made at once: they share what is loaded.
    """
    step = down[2]
    for start in range(0, out.shape[0], 2 * step):
        for k in range(start, start + step):
            sum_two(field, top + k, down, out[k], out[k + step])


@kernel
def sum_two(field: Array, r: int, down: Taps, one: Array, two: Array) -> None:
    """Convolve the columns at row ``r`` and a tap below, four pairs of taps at a time."""
    (taps, turn, s), n = down, one.size
    reach, near = taps.size - 1, taps[0]
    for c in range(n):
        one[c] = near * field[r, c]
        two[c] = near * field[r + s, c]
    i = 1
    while i + 3 <= reach:
        a, b, k1, k2, k3, k4 = r - i * s, r + i * s, taps[i], taps[i + 1], taps[i + 2], taps[i + 3]
        d, e, f, g, p, q = a - s, b + s, a - 2 * s, b + 2 * s, a - 3 * s, b + 3 * s
        for c in range(n):
            af, bf, df, ef = field[a, c], field[b, c], field[d, c], field[e, c]
            ff, gf, qf = field[f, c], field[g, c], field[q, c]
            x = k1 * (bf + turn * af) + k2 * (ef + turn * df)
            y = k3 * (gf + turn * ff) + k4 * (qf + turn * field[p, c])
            one[c] = one[c] + (x + y)
            x = k1 * (ef + turn * field[a + s, c]) + k2 * (gf + turn * af)
            y = k3 * (qf + turn * df) + k4 * (field[q + s, c] + turn * ff)
            two[c] = two[c] + (x + y)
        i += 4
    while i + 1 <= reach:
        a, b, k1, k2 = r - i * s, r + i * s, taps[i], taps[i + 1]
        d, e = a - s, b + s
        for c in range(n):
            af, ef = field[a, c], field[e, c]
            one[c] = one[c] + (k1 * (field[b, c] + turn * af) + k2 * (ef + turn * field[d, c]))
            x = k1 * (ef + turn * field[a + s, c]) + k2 * (field[e + s, c] + turn * af)
            two[c] = two[c] + x
        i += 2
    if i <= reach:
        a, b, near = r - i * s, r + i * s, taps[i]
        for c in range(n):
            one[c] += near * (field[b, c] + turn * field[a, c])
            two[c] += near * (field[b + s, c] + turn * field[a + s, c])


@kernel
def sum_columns(room: Array, across: Taps, out: Array) -> None:
    """Convolve a row; it has the same margin on both sides of ``out``."""
    (taps, turn, step), n = across, np.uintp(out.size)
    reach, margin = taps.size - 1, (room.size - out.size) // 2
    near, k = taps[0], np.uintp(margin)
    for c in range(n):
        out[c] = near * room[k + c]
    i = 1
    while i + 3 <= reach:
        a, b = np.uintp(margin - i * step), np.uintp(margin + i * step)
        d, e = np.uintp(margin - (i + 1) * step), np.uintp(margin + (i + 1) * step)
        f, g = np.uintp(margin - (i + 2) * step), np.uintp(margin + (i + 2) * step)
        p, q = np.uintp(margin - (i + 3) * step), np.uintp(margin + (i + 3) * step)
        k1, k2, k3, k4 = taps[i], taps[i + 1], taps[i + 2], taps[i + 3]
        for c in range(n):
            x = k1 * (room[b + c] + turn * room[a + c]) + k2 * (room[e + c] + turn * room[d + c])
            y = k3 * (room[g + c] + turn * room[f + c]) + k4 * (room[q + c] + turn * room[p + c])
            out[c] = out[c] + (x + y)
        i += 4
    while i + 1 <= reach:
        a, b = np.uintp(margin - i * step), np.uintp(margin + i * step)
        d, e = np.uintp(margin - (i + 1) * step), np.uintp(margin + (i + 1) * step)
        k1, k2 = taps[i], taps[i + 1]
        for c in range(n):
            x = k1 * (room[b + c] + turn * room[a + c]) + k2 * (room[e + c] + turn * room[d + c])
            out[c] = out[c] + x
        i += 2
    if i <= reach:
        a, b, near = np.uintp(margin - i * step), np.uintp(margin + i * step), taps[i]
        for c in range(n):
            out[c] += near * (room[b + c] + turn * room[a + c])


@kernel
def divide(values: Array, share: Array) -> None:
    """Divide a row by the share of it that was seen, in place."""
    for c in range(values.size):
        values[c] = np.true_divide(values[c], share[c] + TINY)  # `/` asks whether that is 0


@kernel
def add_terms(
    fields: Pair, rows: tuple[int, int, int], reach: Pair, factors: Pair, room: Array, out: Array,
) -> None:  # fmt: skip
    """Differentiate a row of both channels, of which three rows are given, and add its terms."""
    (h, v), (up, here, down), (wide, tall), (factor, oblique) = fields, rows, reach, factors
    across, along, shear, close = room[0, 1:-1], room[1, 1:-1], room[2, 1:-1], room[3, 1:-1]
    differ(h[here, 2:], h[here, :-2], wide, across)
    differ(v[here, 2:], v[here, :-2], wide, shear)
    differ_down(v[down, 1:-1], v[up, 1:-1], tall, along)
    for c in range(out.size):
        close[c] = factor * (across[c] + along[c])
        across[c] -= along[c]
    differ_down(h[down, 1:-1], h[up, 1:-1], tall, along)
    factor *= oblique
    for c in range(out.size):
        turned = shear[c] + along[c]
        across[c] = factor * np.sqrt(across[c] * across[c] + turned * turned)
    for c in range(out.size):
        out[c] += across[c] - close[c]


@kernel
def differ(a: Array, b: Array, factor: Array, out: Array) -> None:
    """Differences of two rows, each with a factor of its own."""
    for c in range(out.size):
        out[c] = (a[c] - b[c]) * factor[c]


@kernel
def differ_down(a: Array, b: Array, factor: Any, out: Array) -> None:
    """Differences of two rows times a factor."""
    for c in range(out.size):
        out[c] = (a[c] - b[c]) * factor


@kernel
def mix_terms(
    parts: tuple[Array, ...], inside: Array, rows: tuple[int, int], energy: Array
) -> None:  # fmt: skip
    """Write the sums of some rows of the terms, (H, W) in each part; 0 off the mask."""
    total = np.empty(inside.shape[1], np.float32)
    for r in range(rows[0], rows[1]):
        total[:] = parts[0][r]
        for k in range(1, len(parts)):
            add_row(parts[k][r], total)
        keep_inside(total, inside[r], energy[r])


@kernel
def add_row(values: Array, total: Array) -> None:
    """Add a row to another; numpy would make a third."""
    for c in range(total.size):
        total[c] += values[c]


@kernel
def keep_inside(values: Array, inside: Array, out: Array) -> None:
    """Copy a row where there is mask; 0 elsewhere."""
    for c in range(out.size):
        out[c] = values[c] if inside[c] else np.float32(0)


@kernel
def fill_slope(
    channel: Array, even: Pair, down: Taps, across: Taps, span: Span, result: Array
) -> None:
    """Write the derivative of a map in a span; the border of the image is a mirror.

    ``even`` is what is taken from the map first, and what the rest is multiplied with.
    """
    low, scale = even
    r0, r1, c0, c1 = span
    height, width = channel.shape
    reach = down[0].size - 1
    rows = r1 - r0 + (r1 - r0) % 2  # `sum_rows` makes two at once
    field = np.empty((rows + 2 * reach, c1 - c0 + 2 * reach), np.float64)
    a, b = max(reach - c0, 0), min(field.shape[1], width - c0 + reach)
    for k in range(field.shape[0]):
        r, at = mirrored(r0 - reach + k, height), c0 - reach
        stretch(channel[r, at + a : at + b], low, scale, field[k, a:b])
        for c in range(a):
            field[k, c] = field[k, mirrored(at + c, width) - at]
        for c in range(b, field.shape[1]):
            field[k, c] = field[k, mirrored(at + c, width) - at]
    down_summed, out = np.empty((rows, field.shape[1])), np.empty(c1 - c0)
    sum_rows(field, reach, down, down_summed)
    for r in range(r0, r1):
        sum_columns(down_summed[r - r0], across, out)
        result[r, c0:c1] = out


@kernel
def mirrored(place: int, size: int) -> int:
    """Place in 0..size - 1, mirrored at both ends as often as it takes."""
    while size > 1 and not 0 <= place < size:
        place = -place if place < 0 else 2 * size - 2 - place
    return place if size > 1 else 0


@kernel
def stretch(values: Array, low: float, scale: float, out: Array) -> None:
    """Shift and scale a row in float64, and round it to float32."""
    for c in range(out.size):
        out[c] = np.float32((np.float64(values[c]) - low) * scale)


@kernel
def stronger(a: Array, b: Array, unit_a: Pair, unit_b: Pair) -> None:
    """Stretch two slopes (H, W), each the steeper the lower, and keep the stronger in ``a``.

    The units are what a slope is taken from, and what the rest is multiplied with.
    """
    (top_a, scale_a), (top_b, scale_b) = unit_a, unit_b
    for r in range(a.shape[0]):
        for c in range(a.shape[1]):
            a[r, c] = max((top_a - a[r, c]) * scale_a, (top_b - b[r, c]) * scale_b)


@kernel
def split_borders(strength: Array, mask: Array, most: Any, weak: Array, calm: Array) -> None:
    """Tell where in the mask borders are weaker than ``most``; ``calm`` is strength minus 1."""
    for r in range(mask.shape[0]):
        for c in range(mask.shape[1]):
            inside, edge = mask[r, c], strength[r, c]
            weak[r, c] = inside & (edge < most)
            calm[r, c] = edge - np.float32(1) if inside else np.float32(0)
