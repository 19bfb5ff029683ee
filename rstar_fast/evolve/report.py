"""The report of a self-evolution: curves as PNG files, and one HTML page that holds everything."""

import base64
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rstar_fast.errors import StoreError
from rstar_fast.evaluate import Share
from rstar_fast.evolve.budget_tables import compared_rows, share_rows
from rstar_fast.evolve.curves import Curves, draw
from rstar_fast.evolve.metrics import Method, PairOrder
from rstar_fast.evolve.summary import RoundSummary, groups, summarize
from rstar_fast.evolve.times import time_rows
from rstar_fast.store.config_file import read_config
from rstar_fast.store.files import write_whole

METHOD_NAMES: dict[Method, str] = {
    Method.POLICY: "policy",
    Method.SEARCH: "search",
    Method.MAJORITY: "majority",
    Method.BEST_BY_PPM: "best by PPM",
    Method.BEST_BY_ORM: "best by ORM",
    Method.BEST_BY_PQM: "best by PQM",
    Method.BEST_BY_PLAIN: "best by PPM without likelihood",
    Method.JUDGED: "search judged by ORM",
    Method.FIRST_POLICY: "first policy",
}
"""Names of the methods for people, in the order of the columns."""
PAIR_NAMES: dict[PairOrder, str] = {
    PairOrder.THIS_ROUND: "this round's, by the PPM",
    PairOrder.FIRST_ROUND: "the first round's, by the PPM",
    PairOrder.LIKELIHOOD: "this round's, by the policy's likelihood",
    PairOrder.PLAIN: "this round's, by a PPM without likelihood",
}
"""Names of the measurements of held-out pairs for people."""

_STYLE = """
body { font: 15px sans-serif; margin: 2em auto; max-width: 70em }
table { border-collapse: collapse }
td, th { padding: .3em .7em; border-bottom: 1px solid #ccc; text-align: right }
small { color: #666 }
img { max-width: 100% }
"""


def write_report(run: str | Path) -> list[Path]:
    """Write `report.html` and the curves of a run, finished or not.

    Returns:
        The files, the page last.

    Raises:
        ConfigError: `matplotlib` is not installed.
        StoreError: The folder is no run, or the disk refuses.
    """
    run = Path(run)
    config = read_config(run)
    summaries = summarize(run)
    rounds = [one.number for one in summaries]
    times = time_rows(run)
    pictures = {name: draw(curves, rounds) for name, curves in _curves(summaries).items()}
    try:
        files = []
        for name, picture in pictures.items():
            files.append(run / f"{name}.png")
            write_whole(files[-1], picture)
        files.append(run / "report.html")
        page = _page(run.name, config, summaries, pictures, times)
        write_whole(files[-1], page.encode(errors="backslashreplace"))
    except OSError as error:
        raise StoreError(
            f"{run}: the report cannot be written: {error.strerror or error}"
        ) from error
    return files


def percent(share: Share) -> str:
    """Return a share in percent with its 95% interval, as "62.5 [58.1, 66.7]"."""
    low, high = share.interval
    return f"{100 * share.value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _curves(summaries: Sequence[RoundSummary]) -> dict[str, Curves]:
    """Return the curves of the report by the names of their files."""
    methods = {
        name: [(one.number, one.accuracy[method]) for one in summaries if method in one.accuracy]
        for method, name in METHOD_NAMES.items()
    }
    pairs = {
        name: [(one.number, one.pairs[order]) for one in summaries if order in one.pairs]
        for order, name in PAIR_NAMES.items()
    }
    solved = {
        group: [
            (one.number, one.solved_by_group[group])
            for one in summaries
            if group in one.solved_by_group
        ]
        for group in sorted({group for one in summaries for group in one.solved_by_group})
    }
    return {
        "accuracy": Curves("held-out problems solved, %", methods),
        "solved": Curves("training problems solved, %", solved),
        "pairs": Curves("held-out pairs in the right order, %", pairs),
    }


def _page(
    title: str,
    config: dict[str, Any],
    summaries: Sequence[RoundSummary],
    pictures: Mapping[str, bytes],
    times: tuple[list[str], list[list[str]]],
) -> str:
    notes = [
        f"<li>{html.escape(_note(one))}</li>" for one in summaries if one.search_against_majority
    ]
    images = [
        f'<img alt="{name}" src="data:image/png;base64,{base64.b64encode(picture).decode()}">'
        for name, picture in pictures.items()
    ]
    shown = html.escape(json.dumps(config, indent=1, ensure_ascii=False))
    return (
        f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title>"
        f"<style>{_STYLE}</style><h1>Self-evolution {html.escape(title)}</h1>{_rounds(summaries)}"
        "<p><small>Percent of problems with 95% intervals (Wilson). The columns from policy on are "
        "about held-out problems. Majority and best-of-N had as many generated tokens for each "
        "problem as the search.</small></p>"
        f"<ul>{''.join(notes)}</ul>{_groups(summaries)}{''.join(images)}"
        f"{''.join(map(_at_budgets, summaries))}<h2>Minutes by kind of stage</h2>{_table(*times)}"
        f"<details><summary>configuration</summary><pre>{shown}</pre></details>"
    )


def _rounds(summaries: Sequence[RoundSummary]) -> str:
    """Return the table of what each round solved and learnt from, and what its models solve."""
    head = ["round", "training problems solved", "solutions", "pairs", *METHOD_NAMES.values()]
    rows = []
    for one in summaries:
        cells = [str(one.number), percent(one.solved) if one.solved else ""]
        for name in ("sft_rows", "pairs"):
            cells.append(f"{one.counts[name]:,}" if name in one.counts else "")
        for method in METHOD_NAMES:
            cells.append(percent(one.accuracy[method]) if method in one.accuracy else "")
        rows.append(cells)
    return _table(head, rows)


def _groups(summaries: Sequence[RoundSummary]) -> str:
    """Return the table of what the policy alone solves of each group of held-out problems."""
    rows = []
    for group in groups(summaries):
        shares = [one.policy_by_group.get(group) for one in summaries]
        rows.append([group, *(percent(share) if share else "" for share in shares)])
    head = ["policy alone", *(f"round {one.number}" for one in summaries)]
    return _table(head, rows) if rows else ""


def _at_budgets(one: RoundSummary) -> str:
    """Return the tables of one round at equal numbers of generated tokens, one for each group."""
    if one.measured is None:
        return ""
    names: list[str | None] = [*one.measured.group_names]
    tables = []
    for group in names if len(names) == 1 else [*names, None]:
        head, rows = share_rows(one.measured, group)
        num_problems = one.measured.share("majority", one.measured.budgets[0], group).trials
        title = html.escape(f"Round {one.number}, {group or 'all'}: {num_problems:,} problems")
        tables.append(
            f"<h3>{title}, percent solved at equal tokens</h3>"
            f"{_table(head, [*rows, *compared_rows(one.measured, group)])}"
        )
    return "".join(tables)


def _note(one: RoundSummary) -> str:
    """Return a sentence that compares search and majority, and the order of held-out pairs."""
    if one.comparison:
        compared = one.comparison.sentence("search", "majority at equal tokens")
    else:
        compared = f"search against majority at equal tokens: {one.search_against_majority}"
    orders = [f"{PAIR_NAMES[order]} {percent(share)}" for order, share in one.pairs.items()]
    pairs = f"; held-out pairs in the right order: {', '.join(orders)}" if orders else ""
    return f"round {one.number}: {compared}{pairs}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def row(tag: str, cells: Iterable[str]) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

    return f"<table>{row('th', head)}{''.join(row('td', cells) for cells in rows)}</table>"
