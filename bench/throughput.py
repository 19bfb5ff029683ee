"""How fast is a search over an engine, and what does it wait for? The same as `rstar-fast bench`.

python bench/throughput.py [--quick] [--engine E] [--output F.json] [--profile F] ...
python bench/throughput.py compare A.json B.json
"""

import sys

from rstar_fast.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))
