"""Memory that is freed stays for the next array of a run, and goes back after it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from napari_hovernet.core import limits

CODE = """
import json, resource
import numpy, psutil
from napari_hovernet.core.limits import freed_memory_kept

def arrays(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        numpy.ones(2**26, numpy.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

plain = arrays(8)
with freed_memory_kept():
    arrays(1)
    with freed_memory_kept():
        inner = arrays(4)
    kept = inner + arrays(4)
print(json.dumps([plain, kept, psutil.Process().memory_info().rss]))
"""


@pytest.mark.skipif(limits._glibc() is None, reason="there is no glibc here")
def test_pages_of_large_arrays_are_used_again_and_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    plain, kept, resident = json.loads(done.stdout)
    assert kept < plain / 10
    assert resident < 300e6


def test_where_there_is_no_glibc_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_glibc", lambda: None)
    with limits.freed_memory_kept():
        assert limits.free_memory() > 1
    assert limits._users == [0]
