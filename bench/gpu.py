"""What do all benches say on a GPU, in one run?

    python bench/gpu.py [--out DIR] [--sections NAME ...] [--dry]

A section is one of the other benches, or the tests for a GPU. Each one runs in a process of its own
with a limit of its own. As soon as it ends, its output is in DIR/NAME.log and its result in
DIR/NAME.json. A section that has a result there, a failure too, does not run again. So a run that
was cut goes on where it stopped; to try a section again, remove its result.

`--dry` runs every section on a CPU in its smallest form. The bench prints one line for each section
and, as the last line, one JSON document of all results.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from score import SHAPES
from transformers import Qwen2Config, Qwen2ForCausalLM

from rstar_fast.embedded import policy_path
from rstar_fast.models.loading import load_tokenizer

ROOT = Path(__file__).parent.parent
DRY_LIMIT_S = 900.0
"""Seconds of a section on a CPU that does other work too."""


@dataclass(frozen=True)
class Section:
    """A part of the run.

    Attributes:
        command: Arguments of Python on a GPU, separated by spaces.
        dry: Arguments of Python for the smallest form, on a CPU.
        limit_s: Seconds that the section may take on a GPU.
        policy: Shape of the random policy whose folder the command takes as `--policy`. None for
            a command that takes none.
    """

    command: str
    dry: str
    limit_s: float
    policy: str | None = None


TESTS = "-m pytest -q -p no:cacheprovider tests/kernels/gpu tests/models/test_graphs.py" + (
    # Most of their time is the compiling of kernels.
    " -n 6" if find_spec("xdist") else ""
)
SCORE = "bench/score.py --dtype bfloat16 --candidates 32 --depth 8 --repeats 3"
DECODE = "bench/decode.py --prompt finetuned --problems 4 --depth 2"
DRY_KERNELS = "bench/kernels.py --quick"
DRY_SCORE = "bench/score.py --quick --device cpu"
DRY_DECODE = "bench/decode.py --quick"

SECTIONS = {
    "tests": Section(TESTS, TESTS, 240),
    "tune": Section("bench/kernels.py --tune", "bench/kernels.py --help", 200),
    "kernels": Section("bench/kernels.py", DRY_KERNELS, 120),
    "kernels_64": Section("bench/kernels.py --tokens 32768 --dim 64 --heads 14 2", DRY_KERNELS, 60),
    "score": Section(f"{SCORE} --model 0.5B", DRY_SCORE, 120),
    "score_1.5b": Section(f"{SCORE} --model 1.5B", DRY_SCORE, 150),
    "score_7b": Section(
        f"{SCORE} --model 7B --layers 8 --skip-training", f"{DRY_SCORE} --skip-training", 120
    ),
    "decode": Section(f"{DECODE} --repeats 3", DRY_DECODE, 60),
    "decode_0.5b": Section(f"{DECODE} --repeats 3 --max-tokens 64", DRY_DECODE, 90, "0.5B"),
    "decode_1.5b": Section(f"{DECODE} --repeats 1 --max-tokens 64", DRY_DECODE, 90, "1.5B"),
}
"""All sections by name, in the order in which they run.

`decode_1.5b` has no result yet: its limit is an estimate.
"""


def main() -> None:
    """Run the sections and print the JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="folder of logs and results (default: build/gpu, or build/gpu-dry with --dry)",
    )
    parser.add_argument(
        "--sections",
        nargs="+",
        choices=SECTIONS,
        default=list(SECTIONS),
        metavar="NAME",
        help=f"sections to run (default: all): {', '.join(SECTIONS)}",
    )
    parser.add_argument("--dry", action="store_true", help="run the smallest forms on a CPU")
    args = parser.parse_args()
    # Results of a dry run must not stand for those of a GPU.
    out = args.out or ROOT / ("build/gpu-dry" if args.dry else "build/gpu")
    if not args.dry and not torch.cuda.is_available():
        parser.error("expected a GPU, or --dry; torch finds no GPU")
    out.mkdir(parents=True, exist_ok=True)
    card = "cpu" if args.dry else torch.cuda.get_device_name()
    print(f"{'section':16}{'seconds':>8}  on {card}", flush=True)
    document: dict[str, Any] = {"card": card, "torch": torch.__version__, "sections": {}}
    for name in args.sections:
        kept = out / f"{name}.json"
        if not kept.exists():
            kept.write_text(json.dumps(run(name, out, args.dry)))
        found = document["sections"][name] = json.loads(kept.read_bytes())
        print(f"{name:16}{found['seconds']:8.1f}  {found['failed'] or 'done'}", flush=True)
    print(json.dumps(document))


def run(name: str, out: Path, dry: bool) -> dict[str, Any]:
    """Run one section.

    Returns:
        `seconds`; `failed`, the reason or None; `said`, the last lines of a failure's output; and
        `document`, the last line of the output as JSON, or counts of tests.
    """
    section = SECTIONS[name]
    command = [sys.executable, *(section.dry if dry else section.command).split()]
    limit_s = DRY_LIMIT_S if dry else section.limit_s
    if section.policy and not dry:
        command += ["--policy", random_policy(section.policy, out)]
    log, begin, failed = out / f"{name}.log", time.monotonic(), None
    with log.open("w") as file:
        try:
            ended = subprocess.run(
                command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, timeout=limit_s
            )
            failed = None if ended.returncode == 0 else f"exit status {ended.returncode}"
        except subprocess.TimeoutExpired:
            failed = f"took more than {limit_s:g} s"
    seconds = time.monotonic() - begin
    lines = log.read_text().splitlines() or [""]
    told = {"failed": failed, "seconds": seconds, "said": lines[-15:] if failed else None}
    if lines[-1].startswith("{"):
        return {**told, "document": json.loads(lines[-1])}
    counts = {
        what: int(count)
        for count, what in re.findall(r"(\d+) (passed|failed|skipped|error)", lines[-1])
    }
    return {**told, "document": counts}


def random_policy(shape: str, out: Path) -> str:
    """Return the folder of a policy of this shape with random weights. Write it if it is missing.

    Its tokenizer is that of the embedded policy.
    """
    folder = out / f"policy-{shape}"
    if not (folder / "config.json").exists():
        tokenizer = load_tokenizer(policy_path())
        config = Qwen2Config(
            **SHAPES[shape],
            vocab_size=len(tokenizer),
            max_position_embeddings=8192,
            eos_token_id=tokenizer.eos_token_id,
        )
        torch.manual_seed(0)
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            model = Qwen2ForCausalLM(config).to(torch.bfloat16)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        del model
        torch.cuda.empty_cache()
    return str(folder.absolute())


if __name__ == "__main__":
    main()
