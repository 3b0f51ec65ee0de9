#!/usr/bin/env bash
# Install a built wheel in an environment of its own and use it as a user would:
# segment a generated image from the command line, check every result, run the demo.
#
#   bash tools/check-wheel.sh PYTHON WHEEL
set -euo pipefail

PYTHON=$1
WHEEL=$(realpath -- "$2")
HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
WORK=$(mktemp -d)
trap 'rm -rf -- "$WORK"' EXIT
cd "$WORK" # away from the sources, so that only the wheel can be imported

"$PYTHON" -m venv env
env/bin/python -m pip install --quiet "${WHEEL}[all]"

env/bin/python "$HERE/check_wheel.py" make image.png truth.npy
env/bin/napari-hovernet segment image.png -o results --device cpu
env/bin/python "$HERE/check_wheel.py" check image.png truth.npy results

env/bin/napari-hovernet demo --screenshot demo.png
env/bin/python "$HERE/check_wheel.py" picture demo.png
