"""The command `rstar-fast search`: problems in, a run folder of trees out."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from rstar_fast.cli.console import Exit
from rstar_fast.cli.options import add_settings, presets_table
from rstar_fast.cli.search_file import SearchArguments, search_arguments
from rstar_fast.errors import RStarError, StoreError
from rstar_fast.problems import Problem, read_problems
from rstar_fast.terminal_text import counted

if TYPE_CHECKING:
    from rstar_fast.search.run import Totals
    from rstar_fast.store import RunFolder

DESCRIPTION = "Search problems and store their trees in a folder."
_EPILOG = """\
Every finished tree is written to --out at once, and trees under way within a second.
Stopped or killed, the same command continues where it was.

examples:
  rstar-fast search --problems gsm8k.jsonl --policy ./policy --ppm ./ppm --preset rstar-math \\
      --out runs/gsm8k
  rstar-fast search --problems openai/gsm8k:main:test --limit 20 --policy Qwen/Qwen2.5-Math-1.5B \\
      --preset paper-round-1 --set candidates=8 rollouts=4 --out runs/first
  rstar-fast search --problems gsm8k.jsonl --policy http://localhost:8000/v1#my-policy \\
      --tokenizer ./policy --preset paper-round-1 --out runs/served
  rstar-fast search --config search.toml --out runs/second

A file of --config has these options by name, and a table [search] for those of --set:
  problems = "gsm8k.jsonl"
  policy = "policy"
  ppm = "ppm"
  preset = "rstar-math"
  [search]
  candidates = 16

"""


def epilog() -> str:
    """Return the text after the options."""
    return _EPILOG + presets_table()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add("--config", metavar="F", help="TOML file of these options; the command line wins")
    add(
        "--problems",
        metavar="F",
        help="JSON or JSONL file with question and answer, data set NAME[[:CONFIG]:SPLIT], or "
        "reasoning_gym:DATASET:SIZE[:SEED]",
    )
    add(
        "--policy",
        metavar="M",
        help="folder or hub name of a causal language model, `embedded`, vllm:DIR to have vLLM run "
        "it, or a server's model http://HOST:8000/v1#MODEL (several addresses with commas between "
        "them)",
    )
    add(
        "--ppm",
        metavar="M",
        help="folder or hub name of a PPM, `embedded`, vllm:DIR, or a server's model, for "
        "use_scores",
    )
    add(
        "--tokenizer",
        metavar="DIR",
        help="folder or hub name of the tokenizer of a server's policy (sends text without)",
    )
    add(
        "--ppm-folder",
        metavar="DIR",
        help="folder or hub name of a server's PPM, for its tokenizer and constants (its model)",
    )
    add("--preset", metavar="P", help="name of a preset, see below")
    add("--out", metavar="RUN", help="run folder, made if missing")
    add(
        "--limit",
        type=int,
        metavar="N",
        help="take only the first N problems (more may follow later)",
    )
    add("--seed", type=int, metavar="S", help="seed: the same one gives the same trees (0)")
    add_settings(parser, "changes to the preset, see below")
    add(
        "--workers", type=int, metavar="N", help="number of processes that run steps (one per core)"
    )
    add(
        "--unconfined",
        action="store_true",
        default=None,
        help="run steps even where they cannot be confined well (see rstar-fast doctor)",
    )
    add("--device", metavar="D", help="cpu, cuda, cuda:1, ... (a GPU where there is one)")
    add(
        "--dtype",
        metavar="D",
        help="float32, bfloat16, float16, or on a CPU int8 for the policy (chosen by model and "
        "device)",
    )
    add(
        "--max-rows",
        type=int,
        metavar="N",
        help="number of candidates that the policy writes at once, or requests that a server gets",
    )
    for model in ("policy", "ppm"):
        add(
            f"--{model}-memory",
            type=float,
            metavar="X",
            help=f"share of the GPU's memory for --{model} vllm:DIR (leaves room for the other)",
        )


def run(args: argparse.Namespace, console: Console) -> int:
    """Search the problems that are not done yet, and print how the whole run went."""
    from rstar_fast.cli.loading import loading
    from rstar_fast.cli.progress import Progress
    from rstar_fast.search.engines import open_searcher
    from rstar_fast.search.run import Totals, run_config, search_to_folder
    from rstar_fast.store import RunFolder
    from rstar_fast.viewer.run import totals_view

    given = search_arguments(args)
    config = given.config()
    problems = read_problems(given.problems, given.limit)
    as_run = run_config(
        config,
        policy=given.policy,
        ppm=given.ppm,
        problems=given.problems,
        dtype=given.dtype,
        tokenizer=given.tokenizer,
        ppm_folder=given.ppm_folder,
    )
    totals = Totals()
    try:
        with ExitStack() as stack:
            folder: RunFolder | None = None
            if (Path(given.out) / "config.json").exists():
                folder = stack.enter_context(RunFolder.open(given.out, as_run))
                folder.check(problems)
                _count_done(folder, {problem.key for problem in problems}, totals)
                count = counted(len(problems), "problem")
                under_way = _under_way(given)
                console.print(f"{given.out}: {totals.trees:,} of {count} done already{under_way}")
            if totals.trees < len(problems):
                models = f"{given.policy} and {given.ppm}" if given.ppm else given.policy
                console.print(f"loading {models}", soft_wrap=True)
                with loading():
                    searcher = stack.enter_context(
                        open_searcher(
                            config,
                            given.policy,
                            given.ppm,
                            workers=given.workers,
                            device=given.device,
                            dtype=given.dtype,
                            max_rows=given.max_rows,
                            policy_memory=given.policy_memory,
                            ppm_memory=given.ppm_memory,
                            require_isolation=not given.unconfined,
                            tokenizer=given.tokenizer,
                            ppm_folder=given.ppm_folder,
                        )
                    )
                # The folder is made last, so that a policy that cannot be loaded leaves none.
                folder = folder or stack.enter_context(RunFolder.open(given.out, as_run))
                run = stack.enter_context(closing(search_to_folder(searcher, problems, folder)))
                with Progress(console, searcher, totals, len(problems), args.verbose) as progress:
                    for ended in run:
                        totals.add(ended)
                        progress.note(ended)
                console.print(progress.line(), soft_wrap=True)
    except KeyboardInterrupt:
        console.print(f"\nstopped; {_resume(args, given, problems)}", soft_wrap=True)
        return Exit.INTERRUPTED
    except RStarError:
        if totals.trees or _under_way(given):
            print(f"rstar-fast: {_resume(args, given, problems)}", file=sys.stderr)
        raise
    console.print(totals_view(totals))
    console.print(f"\nlook at it: rstar-fast show {given.out}", soft_wrap=True)
    return Exit.ALL_FAILED if totals.failures and not totals.trees else Exit.OK


def _count_done(folder: "RunFolder", wanted: set[str], totals: "Totals") -> None:
    for tree in folder.summaries():
        if tree.id in wanted:
            totals.add(tree)


def _resume(args: argparse.Namespace, given: SearchArguments, problems: Sequence[Problem]) -> str:
    """Return what a stopped run has on disk, and how to go on."""
    from rstar_fast.store import RunFolder

    done = 0
    with suppress(StoreError):  # The run was stopped before it had a folder, or the disk fails.
        finished = RunFolder.read(given.out).done
        done = sum(problem.key in finished for problem in problems)
    trees = f"{counted(done, 'finished tree')} in {given.out}{_under_way(given)}"
    return f"{trees}; to go on, run the same command again:\n  {args.command_line}"


def _under_way(given: SearchArguments) -> str:
    """Return how many trees can go on where they were, as in ", 3 under way"."""
    from rstar_fast.store.checkpoints import num_under_way

    number = num_under_way(Path(given.out))
    return f", {number:,} under way" if number else ""
