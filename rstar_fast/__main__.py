"""The program `rstar-fast`, also as `python -m rstar_fast`."""

import os
import signal
import sys
from types import FrameType


def main() -> int:
    """Load the command line and run it. Ctrl-C while it loads ends with one line too."""
    signal.signal(signal.SIGINT, _stop)
    from rstar_fast.cli import main as run

    return run()


def _stop(signum: int, frame: FrameType | None) -> None:
    os.write(2, b"rstar-fast: stopped\n")
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
