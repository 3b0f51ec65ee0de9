"""What ``import napari_hovernet`` gives, and what it must not pull in."""

from importlib.metadata import version

import pytest

import napari_hovernet


@pytest.mark.parametrize("name", sorted(set(napari_hovernet.__all__) - {"__version__"}))
def test_every_public_name_says_what_it_does(name: str) -> None:
    doc = getattr(napari_hovernet, name).__doc__
    assert doc and doc.strip()
    assert not doc.startswith(f"{name}(")  # what dataclass writes when nobody wrote a docstring


def test_names_for_type_checkers_are_the_lazy_ones_and_the_version_is_right() -> None:
    """A type checker reads the ``TYPE_CHECKING`` block, Python reads ``_EXPORTS``."""
    source = (napari_hovernet.__spec__.origin or "").strip()
    with open(source, encoding="utf-8") as file:
        lines = file.read().splitlines()
    typed = {line.split()[-1] for line in lines if line.startswith("    from .") and " as " in line}
    assert typed == set(napari_hovernet._EXPORTS)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = napari_hovernet.no_such_name
    assert version("napari-hovernet") == napari_hovernet.__version__
