"""`python -m rstar_fast` is the command `rstar-fast`."""

import sys

from rstar_fast.cli import main

sys.exit(main())
