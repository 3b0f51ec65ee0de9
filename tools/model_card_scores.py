"""Write the table of scores in the model card from a run's scores.json.

python tools/model_card_scores.py runs/default/scores.json step_04200.pt
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

CARD = Path(__file__).parent.parent / "src/napari_hovernet/core/weights/MODEL_CARD.md"
NAMES = {
    "plain": "validation images as they are",
    "restained": "the same, stain vectors and tone changed at random",
    "x0.6": "the same, at 0.6 times their size",
    "x1.6": "the same, at 1.6 times their size",
}
SOURCES = {
    "monuseg_train_core": "of these, MoNuSeg",
    "dsb18_purple_bg": "of these, DSB 2018 purple",
    "dsb18_white_bg": "of these, DSB 2018 white",
}


def row(name: str, rows: list[dict[str, float]]) -> str:
    """Format the means of some images as one line of the table."""
    cells = [
        f"{np.mean([r[k] for r in rows]):.3f}"
        for k in ("aji", "pq", "dice", "magnitude", "magnitude_true")
    ]
    return f"| {name} | {len(rows)} | " + " | ".join(cells) + " |"


def table(judged: dict[str, dict]) -> str:
    """Return the whole table."""
    lines = [
        "| Images | n | AJI | PQ | Dice | magnitude | true magnitude |",
        "|---|---|---|---|---|---|---|",
        row(NAMES["plain"], judged["plain"]["rows"]),
    ]
    for source, name in SOURCES.items():
        lines.append(row(name, [r for r in judged["plain"]["rows"] if r["source"] == source]))
    lines += [row(NAMES[k], judged[k]["rows"]) for k in NAMES if k != "plain"]
    note = "\nMeans per image. Magnitude is HV's mean length inside the true nuclei."
    return "\n".join([*lines, note])


def main() -> None:
    """Replace what stands between the headings "Scores" and "Nuclei are separated"."""
    judged = json.loads(Path(sys.argv[1]).read_text())[sys.argv[2]]
    text = CARD.read_text(encoding="utf-8")
    head, rest = text.split("## Scores\n", 1)
    tail = rest[rest.index("Nuclei are separated") :]
    CARD.write_text(f"{head}## Scores\n\n{table(judged)}\n\n{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
