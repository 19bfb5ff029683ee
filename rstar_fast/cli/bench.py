"""The command `rstar-fast bench`: how fast a search over an engine is, and what it waits for."""

import argparse
import itertools
import sys
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from rstar_fast.bench.machine import SIMULATE, Machine, Windows
from rstar_fast.bench.reports import (
    SCHEMA,
    compared,
    latency_table,
    rates_table,
    read_report,
    resources_table,
    versions,
    write_report,
)
from rstar_fast.cli.console import Exit
from rstar_fast.cli.options import add_settings, parse_settings
from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError
from rstar_fast.problems import Problem, read_problems

if TYPE_CHECKING:
    from rstar_fast.bench.measure import Measured

DESCRIPTION = (
    "Search problems without end over an engine. After a warm-up, measure rates, waiting times, "
    "idle resources and memory in some windows."
)
_EMBEDDED = "embedded"
_SIMULATED = {"rollouts": 8, "max_depth": 8, "candidates": 8}
_UNSCORED = {"use_scores": False, "annotate_terminals_with_ground_truth": True}
_QUICK = Windows(warm_up_s=6.0, seconds=6.0, count=3)
_FULL = Windows(warm_up_s=15.0, seconds=30.0, count=5)


def epilog() -> str:
    """Return the text after the options."""
    return """\
examples:
  rstar-fast bench --quick
  rstar-fast bench --engine mymodule:make_engine --problems p.jsonl --output mine.json
  rstar-fast bench --engine http://localhost:8000/v1#MODEL --profile trace.pftrace
  rstar-fast bench --engine simulate --active 16
  rstar-fast bench compare before.json after.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add("compare", nargs="*", metavar="compare A.json B.json", help="show two reports")
    add(
        "--engine",
        default=_EMBEDDED,
        metavar="E",
        help="module:factory (the factory returns a policy, or the function of a FunctionPolicy), "
        "a server's model http://HOST:8000/v1#MODEL, vllm:DIR, a folder or hub name, `embedded`, "
        "or `simulate`",
    )
    add("--ppm", metavar="M", help="PPM (the embedded one with `embedded`, else none)")
    add("--tokenizer", metavar="DIR", help="tokenizer of a server's policy")
    add("--problems", metavar="F", help="problems, as for `search` (generated word problems)")
    add("--preset", default="fast", metavar="P", help="preset of the search (fast)")
    add_settings(parser, "changes to the preset")
    add("--active", type=int, metavar="N", help="number of problems at once (the preset's)")
    add("--workers", type=int, metavar="N", help="processes that run steps (one per core)")
    add("--max-rows", type=int, metavar="N", help="candidates or requests at once")
    add("--warm-up", type=float, metavar="S", help=f"seconds ({_FULL.warm_up_s:g})")
    add("--seconds", type=float, metavar="S", help=f"seconds of a window ({_FULL.seconds:g})")
    add("--windows", type=int, metavar="N", help=f"number of windows ({_FULL.count})")
    add("--quick", action="store_true", help="less than a minute")
    add("--output", metavar="F.json", help="write the report")
    add("--profile", metavar="F", help="write a trace that ui.perfetto.dev opens")
    machine = " ".join(field.name for field in fields(Machine))
    add(
        "--machine",
        nargs="+",
        default=[],
        metavar="FIELD=VALUE",
        help=f"changes to the simulated machine: {machine}",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Measure, and print what was found."""
    from rstar_fast.bench.bounds import bounds
    from rstar_fast.bench.engines import open_bench
    from rstar_fast.bench.measure import measure
    from rstar_fast.bench.trace import trace_bytes

    if args.compare:
        if len(args.compare) != 3 or args.compare[0] != "compare":
            raise ConfigError(f"expected compare A.json B.json, got {' '.join(args.compare)!r}")
        console.print(compared(read_report(args.compare[1]), read_report(args.compare[2])))
        return Exit.OK
    windows, config, machine = _windows(args), _config(args), _machine(args.machine)
    options = {"ppm": _ppm(args), "tokenizer": args.tokenizer}
    options |= {"workers": args.workers, "max_rows": args.max_rows}
    with open_bench(args.engine, config, machine, **options) as searcher:
        found = measure(searcher, _problems(args), windows, _say)
    _say("")
    report = {
        "schema": SCHEMA,
        "engine": args.engine,
        "versions": versions(),
        "config": config.to_dict(),
        "windows": asdict(windows),
        **found.report,
    }
    if args.engine == SIMULATE:
        report["machine"] = asdict(machine)
        report["bounds"] = bounds(machine, config.max_active, found.expansions)
    if args.output:
        write_report(args.output, report)
    if args.profile:
        Path(args.profile).write_bytes(trace_bytes(found.expansions))
    _print(console, report, found)
    return Exit.ALL_FAILED if report["failures"] and not found.expansions else Exit.OK


def _print(console: Console, report: dict[str, Any], found: "Measured") -> None:
    console.print(rates_table(report), latency_table(report), resources_table(report))
    for name, share in found.report["cached"].items():
        if share is not None:
            console.print(f"Prefix tokens of the {name} that were not encoded again: {share:.1%}")
    kib = found.report["peak_bytes_per_problem"] / 1024
    console.print(f"Memory per active problem, at most: {kib:,.0f} KiB")
    if found.report["failures"]:
        told = found.report["last_failure"]
        console.print(f"Failed problems: {found.report['failures']}, the last one: {told}")
    if "bounds" in report:
        name, most = min(report["bounds"].items(), key=lambda one: one[1])
        share = found.report["rates"]["tokens_per_s"]["median"] / most
        console.print(f"Bound by {name}: {most:,.0f} tokens/s, of which it reached {share:.1%}")


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:78}", end="" if text else "\r", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def _windows(args: argparse.Namespace) -> Windows:
    windows = _QUICK if args.quick else _FULL
    given = {"warm_up_s": args.warm_up, "seconds": args.seconds, "count": args.windows}
    for name, value in given.items():
        if value is not None and (value < 0 or (not value and name != "warm_up_s")):
            raise ConfigError(f"{name}: expected a positive number, got {value}")
    return replace(windows, **{name: value for name, value in given.items() if value is not None})


def _ppm(args: argparse.Namespace) -> str | None:
    return args.ppm or (_EMBEDDED if args.engine == _EMBEDDED else None)


def _config(args: argparse.Namespace) -> SearchConfig:
    if args.engine == SIMULATE:
        settings = {**_SIMULATED, **parse_settings(args.set)}
    else:
        settings = {**({} if _ppm(args) else _UNSCORED), **parse_settings(args.set)}
    if args.active is not None:
        settings["max_active"] = args.active
    if args.engine == SIMULATE:
        return SearchConfig.from_dict(settings)
    return SearchConfig.preset(args.preset, **settings)


def _problems(args: argparse.Namespace) -> Iterator[Problem]:
    """Return problems without end. Those of a file come again, as copies."""
    from rstar_fast.bench.simulated import endless_problems
    from rstar_fast.embedded import held_out_problems

    if args.engine == SIMULATE:
        return endless_problems()
    problems = read_problems(args.problems) if args.problems else held_out_problems(5000, seed=1)
    return (replace(problem, copy=copy) for copy in itertools.count() for problem in problems)


def _machine(settings: list[str]) -> Machine:
    known = {field.name: type(getattr(Machine(), field.name)) for field in fields(Machine)}
    changes = parse_settings(settings)
    for name, value in changes.items():
        if name not in known or isinstance(value, bool) or not isinstance(value, int | float):
            names = ", ".join(known)
            raise ConfigError(f"--machine: expected numbers for {names}; got {name}={value!r}")
    return Machine(**{name: known[name](value) for name, value in changes.items()})
