"""The report of a self-evolution: curves as PNG, and one HTML page that holds everything."""

import base64
import html
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rstar_fast.errors import ConfigError, StoreError
from rstar_fast.evaluate import Share
from rstar_fast.evolve.summary import COLUMNS, RoundSummary, groups, summarize
from rstar_fast.store.config_file import read_config

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
        The files.

    Raises:
        ConfigError: `matplotlib` is not installed.
        StoreError: the folder is no run, or the disk refuses.
    """
    run = Path(run)
    config = read_config(run)
    summaries = summarize(run)
    try:
        files = []
        pictures = []
        for name, draw in _CURVES.items():
            picture = _picture(draw, summaries)
            files.append(run / f"{name}.png")
            files[-1].write_bytes(picture)
            pictures.append(
                f'<img alt="{name}" src="data:image/png;base64,{base64.b64encode(picture).decode()}">'
            )
        files.append(run / "report.html")
        files[-1].write_text(_page(run, config, summaries, pictures), encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"{run}: the report cannot be written: {error.strerror or error}"
        ) from error
    return files


def percent(share: Share) -> str:
    """A share with its 95% interval, as "62.5 [58.1, 66.7]"."""
    low, high = share.interval
    return f"{100 * share.value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _page(
    run: Path, config: dict[str, Any], summaries: Sequence[RoundSummary], pictures: Sequence[str]
) -> str:
    head = "".join(
        f"<th>{html.escape(name)}</th>"
        for name in ["round", "training problems solved", "solutions", "pairs", *COLUMNS]
    )
    rows = []
    for one in summaries:
        cells = [str(one.number), percent(one.solved) if one.solved else ""]
        cells += [
            f"{one.counts[name]:,}" if name in one.counts else "" for name in ("sft_rows", "pairs")
        ]
        cells += [percent(one.accuracy[name]) if name in one.accuracy else "" for name in COLUMNS]
        rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    notes = [
        f"<li>round {one.number}: search against majority at equal tokens: {html.escape(one.search_against_majority)}; "
        + "; ".join(
            f"order of {html.escape(whose)} held-out pairs {percent(of)}"
            for whose, of in one.pairs.items()
        )
        + "</li>"
        for one in summaries
        if one.search_against_majority
    ]
    shown = html.escape(json.dumps(config, indent=1, ensure_ascii=False))
    return (
        f"<!doctype html><meta charset=utf-8><title>{html.escape(run.name)}</title><style>{_STYLE}</style>"
        f"<h1>Self-evolution {html.escape(run.name)}</h1>"
        f"<table><tr>{head}</tr>{''.join(rows)}</table>"
        "<p><small>Percent of held-out problems with 95% intervals (Wilson). Majority and best-of-N had as many generated tokens "
        "for a problem as the search.</small></p>"
        f"<ul>{''.join(notes)}</ul>{_groups(summaries)}{''.join(pictures)}<details><summary>configuration</summary><pre>{shown}</pre></details>"
    )


def _groups(summaries: Sequence[RoundSummary]) -> str:
    """The policy alone, by group of held-out problems."""
    rows = []
    for group in groups(summaries):
        cells = [
            percent(share) if share else ""
            for share in (one.policy_by_group.get(group) for one in summaries)
        ]
        rows.append(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in [group, *cells]) + "</tr>"
        )
    head = "".join(f"<th>round {one.number}</th>" for one in summaries)
    return f"<table><tr><th>policy alone</th>{head}</tr>{''.join(rows)}</table>" if rows else ""


def _picture(
    draw: Callable[[Any, Sequence[RoundSummary]], None], summaries: Sequence[RoundSummary]
) -> bytes:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            'a report needs the package `matplotlib` (pip install "rstar-fast[train]")'
        ) from error
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    draw(axes, summaries)
    axes.set_xlabel("round")
    axes.set_xticks([one.number for one in summaries])
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return file.getvalue()


def _draw_accuracy(axes: Any, summaries: Sequence[RoundSummary]) -> None:
    for name in COLUMNS:
        _line(
            axes,
            name,
            [(one.number, one.accuracy[name]) for one in summaries if name in one.accuracy],
        )
    axes.set_ylabel("held-out problems solved, %")


def _draw_solved(axes: Any, summaries: Sequence[RoundSummary]) -> None:
    groups = sorted({group for one in summaries for group in one.solved_by_group})
    for group in groups:
        _line(
            axes,
            group,
            [
                (one.number, one.solved_by_group[group])
                for one in summaries
                if group in one.solved_by_group
            ],
        )
    axes.set_ylabel("training problems solved, %")


def _draw_pairs(axes: Any, summaries: Sequence[RoundSummary]) -> None:
    for whose in dict.fromkeys(whose for one in summaries for whose in one.pairs):
        _line(
            axes, whose, [(one.number, one.pairs[whose]) for one in summaries if whose in one.pairs]
        )
    axes.set_ylabel("held-out pairs in the right order, %")


def _line(axes: Any, name: str, points: Sequence[tuple[int, Share]]) -> None:
    if not points:
        return
    numbers = [number for number, _ in points]
    values = [100 * share.value for _, share in points]
    low = [100 * (share.value - share.interval[0]) for _, share in points]
    high = [100 * (share.interval[1] - share.value) for _, share in points]
    axes.errorbar(numbers, values, [low, high], marker="o", capsize=3, label=name)


_CURVES: dict[str, Callable[[Any, Sequence[RoundSummary]], None]] = {
    "accuracy": _draw_accuracy,
    "solved": _draw_solved,
    "pairs": _draw_pairs,
}
