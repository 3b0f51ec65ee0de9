#!/usr/bin/env bash
# Set up napari-hovernet in .venv beside this file's folder, then run it or its tests.
#
#   bash tools/get-started.sh demo [ARGS]   install everything, run `napari-hovernet demo ARGS`
#   bash tools/get-started.sh test [ARGS]   install everything, run `pytest ARGS` on a virtual screen
#   bash tools/get-started.sh setup         install everything and stop
#
# Wanted: Linux or macOS with Python 3.11, 3.12 or 3.13. On Debian and Ubuntu missing system
# packages (Python itself, too) are installed when this runs as root or sudo can; elsewhere they are named.
# Settings, all optional:
#   PYTHON=/path/to/python3.12   the Python to build .venv with
#   VENV=/path                   another place for the environment
#   TORCH='torch==2.13.0'        the PyTorch to install instead of looking for a CPU build
#   SKIP_SYSTEM_PACKAGES=1       do not look for system packages
# pip's own settings (PIP_INDEX_URL, PIP_FIND_LINKS, PIP_CONSTRAINT, pip.conf) are honoured.
set -euo pipefail

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${VENV:-$ROOT/.venv}
TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
IN_RANGE='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'

say() { printf '%s\n' "napari-hovernet: $*" >&2; }
die() {
  say "$@"
  exit 1
}
usage() { sed -n '2,17s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

# ---- system packages -------------------------------------------------------------------

# What a viewer needs, as "shared library:Debian package".
LIBRARIES='libGL.so.1:libgl1 libEGL.so.1:libegl1 libxkbcommon-x11.so.0:libxkbcommon-x11-0
  libxcb-cursor.so.0:libxcb-cursor0 libxcb-icccm.so.4:libxcb-icccm4
  libxcb-keysyms.so.1:libxcb-keysyms1 libxcb-shape.so.0:libxcb-shape0 libdbus-1.so.3:libdbus-1-3
  libfontconfig.so.1:libfontconfig1 libglib-2.0.so.0:libglib2.0-0'

missing_packages() { # $1 = yes when a virtual screen is wanted
  local known pair
  known=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null || true)
  for pair in $LIBRARIES; do
    [[ $known == *"${pair%%:*} "* ]] || printf '%s ' "${pair#*:}"
  done
  if [[ $1 == yes ]]; then
    command -v xvfb-run >/dev/null && command -v Xvfb >/dev/null || printf 'xvfb '
    command -v xauth >/dev/null || printf 'xauth '
  fi
}

as_root() {
  if [[ $(id -u) == 0 ]]; then
    "$@"
  elif ! command -v sudo >/dev/null; then
    return 1
  elif [[ -t 0 ]]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

apt_install() {
  command -v apt-get >/dev/null || return 1
  local get=(env DEBIAN_FRONTEND=noninteractive apt-get -y -q)
  say "installing system packages: $*"
  as_root "${get[@]}" install --no-install-recommends "$@" >&2 && return 0
  as_root "${get[@]}" update >&2 || return 1 # no package list yet, or an old one
  as_root "${get[@]}" install --no-install-recommends "$@" >&2
}

ensure_packages() { # $1 = yes when a virtual screen is wanted
  [[ $(uname -s) == Linux && -z ${SKIP_SYSTEM_PACKAGES:-} ]] || return 0
  local missing
  missing=$(missing_packages "$1")
  [[ -n $missing ]] || return 0
  # shellcheck disable=SC2086  # one word per package
  apt_install $missing || die "these system packages are missing and could not be installed
  here (names as on Debian and Ubuntu): $missing
  Install them, for example with: sudo apt-get install --no-install-recommends $missing
  or set SKIP_SYSTEM_PACKAGES=1 to go on without."
}

# ---- Python environment ----------------------------------------------------------------

find_python() {
  local candidate seen=''
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python; do
    if "$candidate" -c "$IN_RANGE" >/dev/null 2>&1; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return 0
    fi
    if [[ -n ${PYTHON:-} ]]; then
      die "PYTHON=$PYTHON does not run, or is not Python 3.11, 3.12 or 3.13."
    fi
    seen+=$("$candidate" -c 'import sys; print("%s is %d.%d;" % (sys.executable,
*sys.version_info[:2]), end=" ")' 2>/dev/null || true)
  done
  die "Python 3.11, 3.12 or 3.13 is needed (${seen:-no Python found;} no python3.11,
  python3.12 or python3.13 on PATH). Install one, for example with
  sudo apt-get install python3.12 python3.12-venv
  or name it: PYTHON=/path/to/python3.12 bash tools/get-started.sh ..."
}

make_venv() {
  if [[ -x $VENV/bin/python ]] && "$VENV/bin/python" -c "$IN_RANGE" 2>/dev/null &&
    "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
    return 0
  fi
  if [[ -e $VENV && ! -e $VENV/pyvenv.cfg ]]; then
    die "$VENV exists and is no Python environment; move it away, or set VENV=/another/path."
  fi
  local python package
  if [[ -z ${PYTHON:-}${SKIP_SYSTEM_PACKAGES:-} ]] && ! compgen -c python >/dev/null; then
    apt_install python3 python3-venv || true # a bare Debian has none; find_python says the rest
  fi
  python=$(find_python)
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    apt_install "$package" || die "$python cannot make environments: the system package
  $package (or python3-venv) is missing. Install it: sudo apt-get install $package"
  fi
  say "making $VENV with $python"
  "$python" -m venv --clear "$VENV"
}

pip() { "$VENV/bin/python" -m pip --disable-pip-version-check "$@"; }

# Newest CPU build of torch that pip sees with the given arguments, or nothing.
cpu_torch() {
  PIP_QUIET=0 pip index versions torch "$@" 2>/dev/null </dev/null |
    sed -n 's/^Available versions: //p' | tr -s ', ' '\n' | grep -m 1 '+cpu$' || true
}

# Without an NVIDIA GPU the usual Linux build brings gigabytes of CUDA for nothing.
install_torch() {
  if [[ -n ${TORCH:-} ]]; then
    pip install "$TORCH"
    return 0
  fi
  [[ $(uname -s) == Linux && ! -e /proc/driver/nvidia/version ]] || return 0
  ! "$VENV/bin/python" -c 'import torch' >/dev/null 2>&1 || return 0
  local version
  version=$(cpu_torch)
  if [[ -n $version ]] && pip install "torch==$version"; then
    return 0
  fi
  version=$(cpu_torch --index-url "$TORCH_CPU_INDEX" --timeout 5 --retries 0)
  if [[ -n $version ]] && pip install "torch==$version" --extra-index-url "$TORCH_CPU_INDEX"; then
    return 0
  fi
  say "no CPU build of PyTorch found; pip picks the usual one, which is large."
}

stamp() { # changes when what is to be installed changes
  { echo "$1 $ROOT" && cat "$ROOT/pyproject.toml" "$VENV/pyvenv.cfg"; } | cksum
}

installed() { # $1 = extras; is what was installed last what is wanted now?
  local record=$VENV/.napari-hovernet-$1
  [[ -e $record && $(cat "$record") == "$(stamp "$1")" ]]
}

install_package() { # $1 = extras
  if installed "$1" || installed all,test; then
    return 0
  fi
  local record=$VENV/.napari-hovernet-$1
  install_torch
  say "installing napari-hovernet[$1] into $VENV; minutes the first time, then remembered"
  pip install -e "${ROOT}[$1]"
  stamp "$1" >"$record.partial"
  mv "$record.partial" "$record"
}

# ---- the three commands ----------------------------------------------------------------

has_screen() { [[ $(uname -s) == Darwin || -n ${DISPLAY:-}${WAYLAND_DISPLAY:-} ]]; }

run_demo() {
  if has_screen; then
    ensure_packages no
  else
    ensure_packages yes
  fi
  make_venv
  install_package all
  if ! has_screen && [[ " $* " != *" --screenshot"* ]]; then
    say "no display: drawing on a virtual one, picture in napari-hovernet-demo.png"
    set -- --screenshot napari-hovernet-demo.png "$@"
  fi
  exec "$VENV/bin/napari-hovernet" demo "$@"
}

run_setup() {
  ensure_packages yes
  make_venv
  install_package all,test
}

run_tests() {
  run_setup
  cd "$ROOT"
  if [[ $(uname -s) == Linux ]]; then
    export QT_QPA_PLATFORM=xcb # not the Wayland screen of whoever runs this
    exec xvfb-run --auto-servernum --server-args='-screen 0 1920x1200x24' \
      "$VENV/bin/python" -m pytest "$@"
  fi
  exec "$VENV/bin/python" -m pytest "$@"
}

command=${1:-}
[[ $# == 0 ]] || shift
case $command in # no && lists here: they would switch `set -e` off inside the functions
  demo) run_demo "$@" ;;
  test) run_tests "$@" ;;
  setup) run_setup ;;
  -h | --help) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
