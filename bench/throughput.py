"""How fast is a search from end to end, and how busy does it keep each resource?

    python bench/throughput.py [--quick] [--policy DIR [--ppm DIR]] [--problems FILE]
                               [--set option=value ...]
    python bench/throughput.py --simulate [--quick] [--machine field=value ...]

The first form runs real models and real programs. The second form judges the scheduler. It uses the
engines of a large machine (`simulated.Machine`), which take their time and answer from a script,
and compares three ways to drive them: `Searcher`, a lock-step loop over the same work, and the
policy alone with a queue that never ends, which is the most that it can do.

`--active N ...` and `--candidates N ...` measure every combination of numbers of problems at once
and of candidates per expansion. `--profile FILE` writes a trace that ui.perfetto.dev opens. The
bench prints a card, a table and, as the last line, one JSON document.
"""

import argparse
import json
from dataclasses import asdict, fields, replace
from typing import Any

import torch
from lib.card import print_card
from lib.pipeline import measure_models
from lib.schedule import Window, measure_engine, measure_lockstep, measure_ours
from lib.simulated import Machine

from rstar_fast.cli.options import parse_settings
from rstar_fast.config import SearchConfig
from rstar_fast.embedded import held_out_problems
from rstar_fast.problems import load_problems
from rstar_fast.search.naming import EMBEDDED


def main() -> None:
    """Read the options and run one of the two forms."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--policy",
        default=EMBEDDED,
        help="a model folder or hub name (default: the embedded model)",
    )
    parser.add_argument(
        "--ppm", help="a PPM folder (default: the embedded PPM with the embedded policy, else none)"
    )
    parser.add_argument("--problems", help="a problem file (default: generated problems)")
    parser.add_argument(
        "--limit", type=int, default=64, help="problems per repeat; repeats share none"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--preset", default="fast")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="OPTION=VALUE", help="changes to the preset"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes that run steps")
    parser.add_argument(
        "--simulate", action="store_true", help="measure the scheduler on simulated engines"
    )
    parser.add_argument(
        "--active",
        type=int,
        nargs="+",
        help="problems at once (default: the preset's; with --simulate 16 256 4096)",
    )
    parser.add_argument(
        "--candidates",
        type=int,
        nargs="+",
        help="candidates per expansion (default: the preset's; with --simulate 8)",
    )
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="with --simulate: seconds measured in every row"
    )
    parser.add_argument(
        "--machine",
        nargs="*",
        default=[],
        metavar="FIELD=VALUE",
        help="with --simulate: changes to the machine",
    )
    parser.add_argument(
        "--profile",
        metavar="FILE",
        help="write a trace of the last repeat, or of the last row of `Searcher`",
    )
    parser.add_argument("--quick", action="store_true", help="end within a minute on two cores")
    args = parser.parse_args()
    if args.simulate:
        simulate(args)
    else:
        run_models(args)


def run_models(args: argparse.Namespace) -> None:
    """Measure real models, with a table for each number of problems and of candidates."""
    if args.quick:
        args.limit, args.repeats = 16, 2
    ppm = args.ppm or (EMBEDDED if args.policy == EMBEDDED else None)
    settings = parse_settings(args.set)
    if ppm is None:
        settings = {"use_scores": False, "annotate_terminals_with_ground_truth": True, **settings}
    preset = SearchConfig.preset(args.preset, **settings)
    count = 2 + args.limit * args.repeats
    problems = (
        load_problems(args.problems, limit=count)
        if args.problems
        else held_out_problems(count, seed=1)
    )
    print_card(
        policy=args.policy,
        ppm=ppm,
        torch_threads=torch.get_num_threads(),
        problems=len(problems),
        config=preset.to_dict(),
    )
    rows = []
    for active in args.active or [preset.max_active]:
        for candidates in args.candidates or [preset.candidates]:
            config = replace(preset, max_active=active, candidates=candidates)
            print(f"\n{active} problems at once, {candidates} candidates")
            row = measure_models(
                config, args.policy, ppm, args.workers, problems, args.repeats, args.profile
            )
            rows.append({"active": active, "candidates": candidates, **row})
    print(json.dumps({"rows": rows}))


def simulate(args: argparse.Namespace) -> None:
    """Measure the scheduler on simulated engines.

    The table has a row for each number of problems, number of candidates and way to drive them.
    """
    if args.quick:
        args.active, args.seconds = args.active or [16, 256], 5.0
    machine = _machine(args.machine)
    window = Window(1.2 * machine.slow_s if not args.quick else 2.0, args.seconds)
    options = {"rollouts": 8, "max_depth": 8, **parse_settings(args.set)}
    print_card(machine=asdict(machine), config=options, window=asdict(window))
    shares = f"{'places':>8}{'PPM':>7}{'runs':>7}{'tree':>7}"
    print(
        f"\n{'problems':>8}{'cand.':>7}  {'':10}{'tokens/s':>9}{'of best':>9}{shares}"
        f"{'KB/problem':>12}{'wall s':>8}"
    )
    rows = []
    for active in args.active or [16, 256, 4096]:
        for candidates in args.candidates or [8]:
            config = SearchConfig.from_dict(
                {**options, "candidates": candidates, "max_active": active}
            )
            row: dict[str, Any] = {"active": active, "candidates": candidates}
            row["engine"] = measure_engine(machine, config, window)
            row["ours"] = measure_ours(machine, config, window, args.profile)
            row["lockstep"] = measure_lockstep(machine, config, window)
            best = row["engine"]["tokens_per_s"]
            for name in ("engine", "ours", "lockstep"):
                row[name]["of_best"] = row[name]["tokens_per_s"] / best
                _print_row(active, candidates, name, row[name])
            rows.append(row)
    print(json.dumps({"machine": asdict(machine), "rows": rows}))


def _print_row(active: int, candidates: int, name: str, row: dict[str, Any]) -> None:
    text = f"{active:8,}{candidates:7}  {name:10}{row['tokens_per_s']:9,.0f}"
    text += f"{row['of_best']:9.1%}{row['occupied']:8.1%}"
    if name == "ours":
        busy = {name: one["busy"] for name, one in row["resources"].items()}
        text += f"{busy['scoring']:7.1%}{busy['execution']:7.1%}{busy['tree']:7.1%}"
        text += f"{row['peak_bytes_per_problem'] / 1024:12,.0f}"
    print(f"{text:86}{row['wall_s']:8.1f}", flush=True)


def _machine(settings: list[str]) -> Machine:
    kinds = {field.name: type(field.default) for field in fields(Machine)}
    pairs = [setting.partition("=")[::2] for setting in settings]
    unknown = [name for name, _ in pairs if name not in kinds]
    if unknown:
        raise SystemExit(
            f"--machine: expected fields of {', '.join(kinds)}; got {', '.join(unknown)}"
        )
    return Machine(**{name: kinds[name](value) for name, value in pairs})


if __name__ == "__main__":
    main()
