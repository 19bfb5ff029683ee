"""What the extension modules show to other libraries in the process."""

import shutil
import subprocess
import sys

import pytest

from rstar_fast import _core


@pytest.mark.skipif(sys.platform != "linux", reason="the linker script is for Linux")
@pytest.mark.skipif(shutil.which("nm") is None, reason="binutils is not installed")
def test_only_the_module_is_exported() -> None:
    command = ["nm", "-D", "--defined-only", "--format=posix", _core.__file__]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = [line.split()[0] for line in listed.splitlines()]
    # A C++ library that is linked in and exported would mix with torch's.
    assert names == ["PyInit__core"]
