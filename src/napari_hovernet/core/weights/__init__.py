"""The models that come with the package: what each is for, its licence, whom to name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class BuiltIn:
    """What to know before one is chosen; its header says the same, and more."""

    name: str
    about: str
    licence: str
    attribution: str
    commercial: bool  # Whether the licence lets a company use it

    @property
    def path(self) -> Path:
        """Where its file is, or would be."""
        return FOLDER / f"{self.name}.safetensors"

    @property
    def card(self) -> Path:
        """Where its model card is."""
        marked = "" if self.name == "compact" else f"-{self.name}"
        return FOLDER / f"MODEL_CARD{marked}.md"

    @property
    def terms(self) -> str:
        """Its licence in a few words."""
        return f"{self.licence}, {'also' if self.commercial else 'not'} for commercial use"

    @property
    def there(self) -> bool:
        """Whether this installation has it."""
        return self.path.is_file()


_ENCODER = "encoder from ImageNet weights of EfficientNet-Lite0 (Tan & Le; Apache 2.0)"
_CONSEP = "CoNSeP (Graham et al., Medical Image Analysis 2019)"
_MONUSEG = "MoNuSeg (Kumar et al., IEEE Transactions on Medical Imaging 2017)"
_DSB = "Data Science Bowl 2018 (BBBC038, Caicedo et al., Nature Methods 2019)"
BUILT_IN: Mapping[str, BuiltIn] = {
    found.name: found
    for found in (
        BuiltIn(
            "lite-typed", "nuclei and four types, trained on everything", "CC BY-NC-SA 4.0",
            f"{_MONUSEG}; {_CONSEP}; {_DSB}; {_ENCODER}", commercial=False,
        ),
        BuiltIn(
            "lite-free", "nuclei and four types, for any use", "Apache 2.0",
            f"{_CONSEP}; {_DSB}; {_ENCODER}", commercial=True,
        ),
        BuiltIn(
            "compact", "nuclei without types, as in version 0.1", "CC BY-NC-SA 4.0",
            f"{_MONUSEG}; {_DSB}", commercial=False,
        ),
    )
}  # fmt: skip
"""By name, the best one for most people first: the first that is there is the default, so this
order, and the file, are all that decide it."""


def offered() -> tuple[str, ...]:
    """Return the names of those that are in this installation."""
    return tuple(name for name, model in BUILT_IN.items() if model.there)


DEFAULT = next(iter(offered()), next(iter(BUILT_IN)))
"""The one that is meant where none is named."""
