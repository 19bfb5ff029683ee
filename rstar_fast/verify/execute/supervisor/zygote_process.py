"""A zygote as the supervisor sees it: a process that programs are cloned from.

Runs in the supervisor process.
"""

import contextlib
import socket
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from rstar_fast.verify.execute.zygote_options import ZygoteOptions
from rstar_fast.verify.pool.wire import FrameReader, encode_frame

_FAKE_PACKAGES = ("rstar_fast", "rstar_fast.verify")
"""Packages that are empty in a zygote.

What their `__init__` modules load would be copied for every program.
"""

_BOOT = f"""
import sys
from types import ModuleType
for name, paths in zip({_FAKE_PACKAGES!r}, sys.argv[2:4]):
    sys.modules[name] = ModuleType(name)
    sys.modules[name].__path__ = paths.split(":")
sys.path[:] = sys.argv[4:]
from rstar_fast.verify.execute.child.zygote import main
main(int(sys.argv[1]))
"""


class ZygoteProcess:
    """A started zygote.

    Attributes:
        sock: Socket to the zygote.
        report: What the zygote said once it was ready. None before that.
        num_cloning: Number of clones that were requested from it and do not live yet.
        elapsed_s: Wall time that a program cloned from it has used up, seconds: always 0.
    """

    def __init__(self, options: ZygoteOptions) -> None:
        """Start a zygote.

        Raises:
            OSError: No process can be made.
        """
        self.sock, theirs = socket.socketpair()
        self.report: dict[str, Any] | None = None
        self.num_cloning = 0
        self.elapsed_s = 0.0
        self._reader = FrameReader()
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-c",
                    _BOOT,
                    str(theirs.fileno()),
                    *package_paths(),
                    *sys.path,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        # A later read finds that the zygote is gone.
        with contextlib.suppress(BrokenPipeError):
            self.sock.sendall(encode_frame(0, asdict(options)))
        self.sock.setblocking(False)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def receive(self) -> bool:
        """Read what the zygote sent and set `report`. Returns False when the zygote is gone.

        Raises:
            FrameError: The zygote sent something that is not a frame.
        """
        try:
            data = self.sock.recv(1 << 16)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        for _, payload in self._reader.feed(data):
            self.report = payload
        return bool(data)

    def end(self) -> None:
        """Kill the zygote and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self.sock.close()


def package_paths() -> list[str]:
    """Return the search path of each package that is empty in a zygote.

    A package's folders are joined by colons. The order is that of `_FAKE_PACKAGES`.
    """
    return [":".join(sys.modules[name].__path__) for name in _FAKE_PACKAGES]
