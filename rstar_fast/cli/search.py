"""`rstar-fast search`: problems in, a run folder of trees out."""

import argparse
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from rstar_fast.cli.console import Exit
from rstar_fast.cli.options import parse_settings, presets_table
from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError, RStarError
from rstar_fast.problems import read_problems
from rstar_fast.viewer.text import counted

if TYPE_CHECKING:
    from rstar_fast.search.run import Totals
    from rstar_fast.store import RunFolder

_EPILOG = """\
Every finished tree is written to --out at once. Stopped or killed, the same command goes on where it was.

examples:
  rstar-fast search --problems gsm8k.jsonl --policy ./policy --ppm ./ppm --preset rstar-math --out runs/gsm8k
  rstar-fast search --problems openai/gsm8k:main:test --limit 20 --policy Qwen/Qwen2.5-Math-1.5B \\
      --preset paper-round-1 --set candidates=8 rollouts=4 --out runs/first

"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "search",
        help="search problems, store their trees",
        description="Search problems and store their trees in a folder.",
        epilog=_EPILOG + presets_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--problems",
        required=True,
        metavar="F",
        help="JSON or JSONL file with question and answer, data set NAME[[:CONFIG]:SPLIT], or reasoning_gym:DATASET:SIZE[:SEED]",
    )
    add(
        "--policy",
        required=True,
        metavar="DIR",
        help="folder or hub name of a causal language model, or `embedded`",
    )
    add(
        "--ppm",
        metavar="DIR",
        help="folder or hub name of a PPM, or `embedded`; needed where use_scores is true",
    )
    add("--preset", required=True, metavar="P", help="how to search, see below")
    add("--out", required=True, metavar="RUN", help="run folder, made if missing")
    add(
        "--limit",
        type=int,
        metavar="N",
        help="take only the first N problems (the folder may get more later)",
    )
    add(
        "--seed",
        type=int,
        metavar="S",
        help="of every random draw: the same seed gives the same trees (0)",
    )
    add(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="OPTION=VALUE",
        help="changes to the preset, see below",
    )
    add("--workers", type=int, metavar="N", help="processes that run steps (one per core)")
    add("--device", metavar="D", help="cpu, cuda, cuda:1, ... (a GPU where there is one)")
    add(
        "--dtype",
        metavar="D",
        help="float32, bfloat16, float16 (default: chosen by the model and the device)",
    )
    add("--max-rows", type=int, metavar="N", help="candidates that the policy writes at once")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console) -> int:
    """Search what is not done yet, and say how the whole run went."""
    from rstar_fast.cli.progress import Progress
    from rstar_fast.search.engines import open_searcher
    from rstar_fast.search.run import Totals, run_config, search_to_folder
    from rstar_fast.store import RunFolder
    from rstar_fast.viewer.run import totals_view

    config = _config(args)
    problems = read_problems(args.problems, args.limit)
    as_run = run_config(
        config, policy=args.policy, ppm=args.ppm, problems=args.problems, dtype=args.dtype
    )
    totals = Totals()
    try:
        with ExitStack() as stack:
            folder: RunFolder | None = None
            if (Path(args.out) / "config.json").exists():
                folder = stack.enter_context(RunFolder.open(args.out, as_run))
                folder.check(problems)
                _count_done(folder, {problem.key for problem in problems}, totals)
                console.print(
                    f"{args.out}: {totals.trees:,} of {counted(len(problems), 'problem')} done already"
                )
            if totals.trees < len(problems):
                console.print(
                    f"loading {args.policy}" + (f" and {args.ppm}" if args.ppm else ""),
                    soft_wrap=True,
                )
                searcher = stack.enter_context(
                    open_searcher(
                        config,
                        args.policy,
                        args.ppm,
                        workers=args.workers,
                        device=args.device,
                        dtype=args.dtype,
                        max_rows=args.max_rows,
                    )
                )
                # A new folder is made last: a policy that can't be loaded leaves none behind.
                folder = folder or stack.enter_context(RunFolder.open(args.out, as_run))
                run = stack.enter_context(closing(search_to_folder(searcher, problems, folder)))
                with Progress(console, searcher, totals, len(problems)) as progress:
                    for ended in run:
                        totals.add(ended)
                        progress.note(ended)
                console.print(progress.line(), soft_wrap=True)
    except KeyboardInterrupt:
        console.print(f"\nstopped; {_resume(args, totals)}", soft_wrap=True)
        return Exit.INTERRUPTED
    except RStarError:
        if totals.trees:
            print(f"rstar-fast: {_resume(args, totals)}", file=sys.stderr)
        raise
    console.print(totals_view(totals))
    console.print(f"\nlook at it: rstar-fast show {args.out}", soft_wrap=True)
    return Exit.ALL_FAILED if totals.failures and not totals.trees else Exit.OK


def _config(args: argparse.Namespace) -> SearchConfig:
    options = parse_settings(args.set)
    if args.seed is not None:
        options["seed"] = args.seed
    config = SearchConfig.preset(args.preset, **options)
    if config.use_scores and not args.ppm:
        raise ConfigError(
            f"preset {args.preset!r} scores steps by a PPM (use_scores), and none was given: add --ppm DIR or --ppm embedded; "
            "or search without one, by the known answers: --set use_scores=false annotate_terminals_with_ground_truth=true"
        )
    if args.ppm and not config.use_scores:
        raise ConfigError(
            f"preset {args.preset!r} asks no PPM (use_scores=false): leave --ppm out, or add --set use_scores=true"
        )
    return config


def _count_done(folder: "RunFolder", wanted: set[str], totals: "Totals") -> None:
    for tree in folder.trees():
        if tree.problem.key in wanted:
            totals.add(tree)


def _resume(args: argparse.Namespace, totals: "Totals") -> str:
    return f"{counted(totals.trees, 'finished tree')} in {args.out}; to go on, run the same command again:\n  {args.command_line}"
