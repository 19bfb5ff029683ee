"""Where the time of a self-evolution goes, by what its stages do."""

from pathlib import Path

from rstar_fast.errors import StoreError
from rstar_fast.evolve.manifest import MANIFEST, read_manifest

_MOST_SECONDS = 1e12


def seconds_by_kind(run: Path) -> dict[str, dict[int, float]]:
    """Return the seconds of all finished stages, by what they do and by round, the longest first.

    A kind is the stage's name without its round and part, as "search-0" or "policy". Stages that
    ran side by side are counted in full.

    Raises:
        StoreError: A manifest is damaged.
    """
    found: dict[str, dict[int, float]] = {}
    for path in sorted(run.glob(f"round-*/**/{MANIFEST}")):
        round_name, kind = path.relative_to(run).parts[:2]
        manifest = read_manifest(path.parent)
        seconds = manifest.get("seconds") if manifest else None
        number = round_name.removeprefix("round-")
        if (
            not isinstance(seconds, int | float)
            or not 0 <= seconds < _MOST_SECONDS
            or not number.isdecimal()
        ):
            raise StoreError(f"{path}: damaged: expected the seconds of a stage of a round")
        of_kind = found.setdefault(kind, {})
        of_kind[int(number)] = of_kind.get(int(number), 0.0) + seconds
    return dict(sorted(found.items(), key=lambda pair: -sum(pair[1].values())))


def time_rows(run: Path) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of a table of minutes by kind of stage and round.

    Raises:
        StoreError: A manifest is damaged.
    """
    found = seconds_by_kind(run)
    rounds = sorted({number for of_kind in found.values() for number in of_kind})
    total = sum(map(sum, (of_kind.values() for of_kind in found.values())))
    rows = [
        [
            kind,
            *(f"{of_kind[n] / 60:.1f}" if n in of_kind else "" for n in rounds),
            f"{sum(of_kind.values()) / 60:.1f}",
            f"{100 * sum(of_kind.values()) / max(total, 1e-9):.0f}",
        ]
        for kind, of_kind in found.items()
    ]
    by_round = [sum(of_kind.get(n, 0.0) for of_kind in found.values()) for n in rounds]
    rows.append(["all", *(f"{one / 60:.1f}" for one in by_round), f"{total / 60:.1f}", "100"])
    return ["minutes", *(f"round {n}" for n in rounds), "all", "%"], rows
