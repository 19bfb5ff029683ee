"""Configuration of one round of a self-evolution."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from rstar_fast.checks import check_known
from rstar_fast.config import SearchConfig
from rstar_fast.data import Difficulty, SearchAgain, searches_again
from rstar_fast.errors import ConfigError
from rstar_fast.evolve.tables import take_table

FIRST_ROUND_WITH_PPM = 3


@dataclass(frozen=True, slots=True)
class RoundConfig:
    """Searches of one round.

    Attributes:
        searches: Configurations of the searches of every problem, one or more. The trees of a
            problem are merged.
        again: Further searches of the problems that are still hard, in order. Each runs the first
            configuration of `searches` with its own number of rollouts.
    """

    searches: tuple[SearchConfig, ...]
    again: tuple[SearchAgain, ...] = ()

    @classmethod
    def from_dict(
        cls,
        number: int,
        options: Mapping[str, Any],
        common: Mapping[str, Any],
        ppm_guides: bool = True,
    ) -> "RoundConfig":
        """Return the config of a [[rounds]] table.

        Args:
            number: Number of the round, >= 1.
            options: Table with `search` (options of the first search), `more` (a list of tables,
                each with changes for another search of every problem) and `again` (a list of tables
                with `difficulties` and `rollouts`, or "paper" for `searches_again(number)`).
            common: Search options of all rounds.
            ppm_guides: Whether PPMs guide searches. Without it none has scores, whatever the tables
                say.

        Raises:
            ConfigError: An option is unknown or has a wrong value.
        """
        if not isinstance(options, Mapping):
            raise ConfigError(f"rounds: round {number}: expected a table, got {options!r}")
        plain = dict(options)
        defaults = {
            "annotate_terminals_with_ground_truth": True,
            "use_scores": number >= FIRST_ROUND_WITH_PPM,
        }
        check_known(options, ("search", "more", "again"), where=f"rounds: round {number}: ")
        first = {**defaults, **common, **take_table(plain, "search")}
        more = plain.get("more", [])
        again = plain.get("again", [])
        if number == 1 and first["use_scores"]:
            raise ConfigError(
                "rounds: round 1: expected use_scores = false, since there is no PPM before it"
            )
        try:
            unguided = {} if ppm_guides else {"use_scores": False}
            searches = [
                SearchConfig.from_dict({**first, **changes, **unguided}) for changes in ({}, *more)
            ]
        except TypeError as error:
            raise ConfigError(
                f"rounds: round {number}: more: expected a list of tables, got {more!r}"
            ) from error
        return cls(tuple(searches), _searches_again(number, again))


def _searches_again(number: int, given: Any) -> tuple[SearchAgain, ...]:
    """Return the further searches of a round: the paper's, or those of a list of tables."""
    if given == "paper":
        return searches_again(number)
    where = f"rounds: round {number}: again: "
    try:
        for each in given:
            if isinstance(each["difficulties"], str) or not each["difficulties"]:
                raise ConfigError(
                    f"difficulties: expected a list of {', '.join(get_args(Difficulty))}, "
                    f"got {each['difficulties']!r}"
                )
        return tuple(SearchAgain(tuple(each["difficulties"]), each["rollouts"]) for each in given)
    except ConfigError as error:
        raise ConfigError(f"{where}{error}") from error
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f'{where}expected "paper" or a list of tables with difficulties and rollouts, '
            f"got {given!r}"
        ) from error
