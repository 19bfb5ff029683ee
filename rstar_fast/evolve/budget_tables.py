"""Tables of what every method solves at equal numbers of generated tokens."""

from pathlib import Path

from rstar_fast.errors import ConfigError, StoreError, described
from rstar_fast.evaluate import Measured
from rstar_fast.store.config_file import read_json

BUDGETS = "budgets.json"
"""Name of the file of a results stage that `Measured.to_dict` is written to."""
SEARCH = "search: best"
"""Way of a search to answer that the others are compared with."""
RIVALS = ("majority", "ppm: best", "ppm: best with greedy")
"""Ways to answer by samples that the search is compared with."""


def read_measured(folder: Path) -> Measured | None:
    """Return what the results stage in a folder measured at budgets. None if it has measured none.

    Raises:
        StoreError: The file is damaged.
    """
    path = folder / BUDGETS
    try:
        return Measured.from_dict(read_json(path))
    except FileNotFoundError:
        return None
    except (AttributeError, ConfigError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path}: damaged: {described(error)}") from error


def share_rows(measured: Measured, group: str | None) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of a table of solved problems in percent, by method and budget.

    Args:
        measured: Figures of one round.
        group: Group of the problems. None for all.
    """
    head = ["tokens a problem", *(f"{budget:,}" for budget in measured.budgets)]
    rows = []
    for method in measured.solved:
        shares = [measured.share(method, budget, group) for budget in measured.budgets]
        rows.append([method, *(f"{100 * share.value:.1f}" for share in shares)])
    return head, rows


def compared_rows(measured: Measured, group: str | None) -> list[list[str]]:
    """Return rows of the search less its rivals, in points with 95% intervals, budget by budget."""
    if SEARCH not in measured.solved:
        return []
    return [
        [
            f"{SEARCH} - {rival}",
            *(str(measured.compare(SEARCH, rival, budget, group)) for budget in measured.budgets),
        ]
        for rival in RIVALS
        if rival in measured.solved
    ]
