"""Pairs of steps and of solutions for TRL's RewardTrainer, exact in the tokens that a PPM reads."""

from collections.abc import Iterable

from rstar_fast.data import PairGroup
from rstar_fast.data.rows import DataRow
from rstar_fast.ppm.texts import Reader, Texts
from rstar_fast.training.examples import pieces_of


def reward_rows(
    groups: Iterable[PairGroup], ppm: Reader, max_tokens: int | None = None
) -> list[DataRow]:
    """Return one row for every pair, with `chosen_ids`, `rejected_ids` and the pair's `weight`.

    RewardTrainer takes token ids as they are: it appends no end of a text. So the model that it
    trains gives its value at the last token of a step, where a `PPM` of its folder reads it. Every
    pair counts as one there, whatever its weight.

    Args:
        groups: Groups of pairs.
        ppm: PPM that is trained, as `PPM.from_policy` gives.
        max_tokens: Largest number of tokens of a side. Pairs with a longer one are left out, and so
            are those with a token that has no embedding. None for any number.

    Raises:
        DataError: The PPM reads observations, and a group lacks them.
        ScoreError: The tokenizer lacks a mark that the PPM reads.
    """
    texts = Texts(ppm, max_tokens)
    rows = []
    for group in groups:
        chosen, rejected = pieces_of(group, texts)
        rows += [
            {
                "id": group.problem.id,
                "chosen_ids": [token for piece in chosen[i] for token in piece],
                "rejected_ids": [token for piece in rejected[j] for token in piece],
                "weight": group.weight,
            }
            for i, j in group.pairs
            if texts.fault(chosen[i], [()]) is None and texts.fault(rejected[j], [()]) is None
        ]
    return rows
