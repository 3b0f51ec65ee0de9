"""The story of a wrong diagnosis: every claim of it rebuilt on generated nuclei and measured again.

Three parts: what was said of the loss, what the wrong augmentation does to HV that is learned, and
what else made the blob. All rows hold on a sound installation.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from textwrap import fill
from typing import Any

import torch
from torch import Tensor

from .. import losses as terms
from ..losses import HoverLoss
from ..params import LOSS_PRESETS
from .engine import diagnose
from .loss_given import read_loss, synthetic_batch
from .report import OK
from .story_blob import ROWS, StoryRow, Told, scaled, told, trained


def story_parts() -> dict[str, tuple[StoryRow, ...]]:
    """Measure the story, by its parts; ten to thirty seconds."""
    return {part: tuple(measure() for measure in ROWS[part])
            for part in ("loss", "training", "blob")}  # fmt: skip


def story_rows() -> tuple[StoryRow, ...]:
    """Measure the story, in the order in which it is told."""
    return tuple(row for rows in story_parts().values() for row in rows)


def loss_claims(seed: int = 0) -> tuple[StoryRow, ...]:
    """Measure the claims and tests of the magnitude loss alone, and what length is good for."""
    return (_epsilon(), _background(), _ratio_test(seed), _gradient_test(seed),
            _weights_test(seed), trained(), scaled())  # fmt: skip


# --- the loss --------------------------------------------------------------------------

EPSILONS = {"1e-8": 1e-8, "1e-6": 1e-6}
"""Under the root before and after the change."""
BEFORE, AFTER = "before the fix", "expert fix"
WEAK, STRONG, DEMANDED = 0.1, 0.8, 5.0
"""Spreads of the two random predictions of test 1, and the ratio that it asks for."""


def _grad(value: Tensor, of: Tensor) -> Tensor:
    return torch.autograd.grad(value, of, retain_graph=True)[0]


def slope(at: float, eps: float, dtype: Any = torch.float32, inside: bool = True) -> float:
    """Slope of the length of HV along HV, with epsilon under the root or beside it."""
    hv = torch.tensor([at, 0.0], dtype=dtype, requires_grad=True)
    squared = hv.square().sum()
    return _grad((squared + eps).sqrt() if inside else squared.sqrt() + eps, hv)[0].item()


@told("loss", "Epsilon stood outside the root, so gradients were NaN or dead.",
      "under the root the slope at zero is 0 for 1e-8 and 1e-6 in float32; NaN only for sqrt(s) + "
      "eps; in float16 1e-8 gives NaN, 1e-6 does not; at |HV| = 1e-4 the larger one makes the "
      "slope 7 times smaller",
      "It stood inside. A larger epsilon helps in float16 alone, and has a price near zero."
      )  # fmt: skip
def _epsilon() -> Told:
    m: dict[str, float] = {}
    for name, eps in EPSILONS.items():
        for dtype in ("float32", "float16"):
            m[f"slope at 0, {name} under the root, {dtype}"] = slope(0, eps, getattr(torch, dtype))
        m[f"slope at 0, {name} outside the root"] = slope(0, eps, inside=False)
    near = slope(1e-4, 1e-8) / slope(1e-4, 1e-6)
    zero, truth = torch.zeros(1, 2, 1, 1, requires_grad=True), torch.full((1, 2, 1, 1), 0.8)
    pulls = [_grad(f(zero, truth, torch.ones(1, 1, 1)), zero).norm().item()
             for f in (terms.hv_magnitude, terms.hv_mse)]  # fmt: skip
    holds = all(m[f"slope at 0, {n} under the root, float32"] == 0 for n in EPSILONS) and all(
        math.isnan(m[f"slope at 0, {n} outside the root"]) for n in EPSILONS)  # fmt: skip
    half = [m[f"slope at 0, {n} under the root, float16"] for n in EPSILONS]
    m |= {"slope at |HV| = 1e-4: 1e-8 over 1e-6": near,
          "this loss: pull of the magnitude term at HV = 0": pulls[0],
          "this loss: pull of the squared error at HV = 0": pulls[1]}  # fmt: skip
    holds = holds and math.isnan(half[0]) and half[1] == 0
    return m, holds and 6.5 < near < 7.5 and pulls[0] == 0 and pulls[1] > 0


@told("loss", "The background diluted the loss.",
      "0.60840 before and 0.60836 after, on the example that was given; a mean over all pixels "
      "would be 0.0606, the same loss times the coverage",
      "With a mask of 0 and 1 both forms are the same loss. Dilution would be a constant factor, "
      "no pull towards 0.")  # fmt: skip
def _background() -> Told:
    mask = torch.zeros(1, 224, 224)
    mask[0, 50:100, 50:150] = 1

    def lengths(size: float | Tensor) -> Tensor:
        return torch.stack((size * torch.ones_like(mask), torch.zeros_like(mask)), 1)

    hv, truth = lengths(0.02).requires_grad_(), lengths(0.8 * mask)

    def first(eps: float) -> Tensor:
        return (mask * (terms.length(hv, eps) - terms.length(truth, eps))).square().sum()

    after = terms.hv_magnitude(hv, truth, mask, 1e-6)
    m = {"lengths masked first, 1e-8 (before)": (first(1e-8) / mask.sum()).item(),
         "error masked, 1e-6 (after)": after.item(),
         "mean over all pixels, 1e-6": (first(1e-6) / mask.numel()).item(),
         "share of the image that is nucleus": mask.mean().item(),
         "pull in the background, after": _grad(after, hv)[0, :,
        mask[0] == 0].abs().max().item()}  # fmt: skip
    wanted = (0.60840, 0.60836, 0.0606)
    near = all(abs(v - w) < 5e-5 for v, w in zip(m.values(), wanted, strict=False))
    return m, near and m["pull in the background, after"] == 0


@told("loss", "lambda_magnitude was too low.",
      "the new weights take more than half of NP's share, and the check of the weights warns of "
      "them and not of the old ones",
      "The document itself says that the magnitude was 94 % of the HV loss already. The weights "
      "were the only real change, and were cut back a day later because HV drowned NP."
      )  # fmt: skip
def _weights() -> Told:
    m: dict[str, float] = {}
    verdicts = {}
    for name in (BEFORE, AFTER):
        found = diagnose(loss=LOSS_PRESETS[name]).get("loss.weights")
        verdicts[name] = None if found is None else found.verdict
        _, parts = read_loss(LOSS_PRESETS[name]).full(synthetic_batch())  # type: ignore[misc]
        hv = sum(float(v) for n, v in parts.items() if n.startswith("hv"))
        m[f"NP in NP and HV, {name}"] = float(parts["np"]) / (float(parts["np"]) + hv)
        m[f"magnitude in HV, {name}"] = float(parts["hv_magnitude"]) / hv
    fell = m[f"NP in NP and HV, {AFTER}"] < m[f"NP in NP and HV, {BEFORE}"] / 2
    return m, fell and verdicts[BEFORE] == OK and verdicts[AFTER] not in (OK, None)


def expected_ratio(k: float) -> float:
    """Ratio of test 1 on average: lengths of normal vectors are Rayleigh distributed."""
    return (2 + 2 * k**2 - math.pi * k) / (4 - math.pi)


@told("loss", "Test 1: the ratio goes from 1.91 to more than 5.",
      "1.908 before and after (by formula 1.9088); with prediction = k x truth it tests what it "
      "means to",
      "Two random maps that have nothing to do with the truth: it can never pass as written."
      )  # fmt: skip
def _ratio_test(seed: int = 0) -> Told:
    rng = torch.Generator().manual_seed(seed)
    weak, strong, truth = (s * torch.randn(1, 2, 1024, 1024, generator=rng)
                           for s in (WEAK, STRONG, STRONG))  # fmt: skip
    ones = torch.ones_like(truth[:, 0])

    def ratio(a: Tensor, b: Tensor, eps: float = 1e-6) -> float:
        return (terms.hv_magnitude(a, truth, ones, eps)
                / terms.hv_magnitude(b, truth, ones, eps)).item()  # fmt: skip

    m = {f"old test, epsilon {n}": ratio(weak, strong, e) for n, e in EPSILONS.items()}
    near = all(abs(v - 1.908) <= 0.004 for v in m.values())
    m |= {"old test, by formula": expected_ratio(WEAK / STRONG),
          "corrected, 0.125 against 0.75 of the truth": ratio(0.125 * truth,
        0.75 * truth)}  # fmt: skip
    return m, near and list(m.values())[-1] > DEMANDED


@told("loss", "Test 3: no gradient before, a gradient after.",
      "None (NaN here) with either epsilon, as .grad of a non-leaf is asked; a gradient with "
      "either once retain_grad() is called",
      "It reads a thing that PyTorch never keeps, with any loss.")  # fmt: skip
def _gradient_test(seed: int = 0) -> Told:
    rng, shape = torch.Generator().manual_seed(seed), (1, 2, 32, 32)
    truth, leaf = (torch.randn(shape, generator=rng) for _ in range(2))
    leaf.requires_grad_()
    m: dict[str, float] = {}
    for name, eps in EPSILONS.items():
        for keep in (False, True):
            hv = leaf * WEAK
            if keep:
                hv.retain_grad()
            terms.hv_magnitude(hv, truth, torch.ones(1, 32, 32), eps).backward()  # type: ignore[no-untyped-call]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PyTorch says what is wrong with asking this
                found = math.nan if hv.grad is None else hv.grad.norm().item()
            m[f"{'with retain_grad()' if keep else 'old test'}, epsilon {name}"] = found
    kept = [v for n, v in m.items() if "retain" in n]
    return m, all(v > 0 for v in kept) and all(math.isnan(v) for n, v in m.items() if "old" in n)


@told("loss", "Test 5 stays green.",
      "it expects the weights 2 and 1, and fails after the change to 3 and 5",
      "The weights were what changed, so a test with weights written into it must break."
      )  # fmt: skip
def _weights_test(seed: int = 0) -> Told:
    rng, shape = torch.Generator().manual_seed(seed), (1, 2, 32, 32)
    logits, hv, truth = (torch.randn(shape, generator=rng) for _ in range(3))
    nuclei = torch.randint(0, 2, (1, 32, 32), generator=rng)
    errors, m = [], {}
    for name, params in LOSS_PRESETS.items():
        t = {n: v.item() for n, v in HoverLoss.from_params(params)(
            logits, hv, None, nuclei, truth, None)[1].items()}  # fmt: skip
        asked = t["hv_mse"] + params.lambda_gradient * t["hv_gradient"] + (
            params.lambda_magnitude * t["hv_magnitude"])  # fmt: skip
        errors.append(abs(t["hv"] / asked - 1))
        if name in (BEFORE, AFTER):
            written = t["hv_mse"] + 2 * t["hv_gradient"] + t["hv_magnitude"]
            m[f"old test: relative error, {name}"] = abs(t["hv"] / written - 1)
    m["corrected: largest relative error of all presets"] = max(errors)
    before, after = (m[f"old test: relative error, {name}"] for name in (BEFORE, AFTER))
    return m, before < 1e-5 and after > 0.1 and max(errors) < 1e-5


# --- as a page -------------------------------------------------------------------------

TITLE = "What really made the blob: what was said, and what was measured"
WIDTH, INDENT, LISTED = 88, 12, 8
"""Characters of a line, and before a number; numbers of a row that a table shows."""


def story_text(rows: Sequence[StoryRow], title: str = TITLE, end: str = "") -> str:
    """Write rows as a page for the terminal."""
    lines = [title, ""]
    for number, row in enumerate(rows, start=1):
        lines.append(f"{number}. {row.claim}{'' if row.holds else '   DOES NOT HOLD'}")
        lines.append(_wrapped("expected", row.expected))
        width = max(map(len, row.measured), default=0)
        for index, (name, value) in enumerate(row.measured.items()):
            title = "" if index else "measured"
            lines.append(f"{f'   {title}':<{INDENT}}{name:<{width}}  {_number(value):>9}")
        lines += [_wrapped("so", row.words), ""]
    held = sum(row.holds for row in rows)
    one = "s" if len(rows) == 1 else ""
    return "\n".join([*lines, end or f"{held} of {len(rows)} hold{one}."])


def story_markdown(rows: Sequence[StoryRow]) -> str:
    """Write rows as a table for the documentation."""
    lines = ["| what was said | what should come out | measured | so |", "|---|---|---|---|"]
    for row in rows:
        shown = [f"{name}: {_number(v)}" for name, v in list(row.measured.items())[:LISTED]]
        more = len(row.measured) - len(shown)
        listed = "<br>".join([*shown, *([f"and {more} more"] if more else [])])
        words = row.words if row.holds else f"**Does not hold here.** {row.words}"
        cells = (row.claim, row.expected, listed, words)
        lines.append(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in cells)} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinite"
    if value and abs(value) < 1e-4:
        return f"{value:.0e}"
    return f"{round(value, 5):g}" if abs(value) < 100 else f"{value:.6g}"


def _wrapped(title: str, text: str) -> str:
    return fill(text, WIDTH, initial_indent=f"   {title}".ljust(INDENT),
                subsequent_indent=" " * INDENT)  # fmt: skip
