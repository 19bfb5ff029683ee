"""Rules that say which steps and trajectories make a preference pair."""

from dataclasses import dataclass
from typing import Literal, get_args

from rstar_fast.checks import check_choice, check_integer, check_number
from rstar_fast.errors import ConfigError

FinalStep = Literal["trajectories", "siblings"]


@dataclass(frozen=True, slots=True)
class PairRules:
    """Rules of preference pairs.

    Attributes:
        per_side: Most candidates kept on each side, the best and the worst, >= 1.
        against_one: Most candidates kept on a side whose other side has only one, >= `per_side`.
        min_margin: Least difference of Q between the preferred step and the other, >= 0. The
            difference is above 0 in any case.
        min_edit_distance: Least edit distance of the two steps, in characters, >= 0.
        final_step: Rule for final answers. "trajectories" is the paper's: final answers are not
            compared as siblings, but whole right trajectories of a problem are preferred to whole
            wrong ones. With "siblings" a final answer is a step like any other.

    Raises:
        ConfigError: An option is out of range.
    """

    per_side: int = 2
    against_one: int = 2
    min_margin: float = 0.0
    min_edit_distance: int = 0
    final_step: FinalStep = "trajectories"

    def __post_init__(self) -> None:
        check_integer("pairs: per_side", self.per_side, low=1)
        check_integer("pairs: against_one", self.against_one, low=1)
        check_number("pairs: min_margin", self.min_margin, low=0)
        check_integer("pairs: min_edit_distance", self.min_edit_distance, low=0)
        check_choice("pairs: final_step", self.final_step, get_args(FinalStep))
        if self.per_side > self.against_one:
            raise ConfigError(
                "pairs: expected per_side <= against_one, "
                f"got {self.per_side} and {self.against_one}"
            )


PAPER = PairRules()
"""Rules of the paper (rStar-Math, section 3.3)."""
RELEASED = PairRules(against_one=4, min_margin=0.5, min_edit_distance=20, final_step="siblings")
"""Rules of the released code."""
