"""``python -m napari_hovernet``: the command line."""

import sys

from .cli import main

sys.exit(main())
