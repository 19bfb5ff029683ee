"""The stage that counts how good a round's models are on held-out problems."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rstar_fast.data import group_of_row, read_rows
from rstar_fast.errors import DataError
from rstar_fast.evaluate import (
    Accuracy,
    Sample,
    at_equal_tokens,
    choose,
    paired,
    path_samples,
    rescored_samples,
    search_samples,
    selections,
    vote,
)
from rstar_fast.evaluate.run import by_problem
from rstar_fast.evolve.context import Context, read_trees
from rstar_fast.evolve.groups import solved_by_group
from rstar_fast.evolve.stage import fresh_folder
from rstar_fast.ppm import PPM, PackedScorer
from rstar_fast.store.config_file import write_json
from rstar_fast.training.pair_accuracy import likelihood_accuracy, pair_accuracy
from rstar_fast.verify import Verifier
from rstar_fast.verify.grade.by_source import SourceVerifier

Samples = dict[str, list[Sample]]
SEARCH_ANSWER = "weighted vote"
"""Of the answers of several searches."""


def results(context: Context) -> dict[str, Any]:
    """Write `results.json`: by way to solve problems the solved ones; the metrics are shares and comparisons.

    Raises:
        RStarError: a model or a folder cannot be read.
    """
    options = context.stage.options
    with SourceVerifier() as verifier:
        greedy = by_problem(read_trees(context.run, [options["greedy"]]))
        ways = {
            "policy": choose(
                "policy",
                {key: path_samples(trees[0], verifier) for key, trees in greedy.items()},
                vote,
            )
        }
        pool = by_problem(read_trees(context.run, [options["samples"]]))
        searched = _searched(context, options["searches"], verifier)
        searched = {key: samples for key, samples in searched.items() if key in pool}
        ways |= _named("search", selections(searched)) | _fewer(searched)
        for stage in options["scorers"]:
            model = PPM.from_pretrained(context.run / stage, device=context.device)
            samples = rescored_samples(pool, PackedScorer(model), verifier)
            ways |= _named(Path(stage).name, selections(at_equal_tokens(samples, searched)))
            if stage == options["scorers"][0]:
                pairs = _pair_accuracies(context, model)
        if options["first_policy"]:
            ways |= _named(
                "first policy", selections(_searched(context, options["first_policy"], verifier))
            )
    with fresh_folder(context.folder) as folder:
        write_json(folder / "results.json", {name: _plain(way) for name, way in ways.items()})
    majority = ways[f"{Path(options['scorers'][0]).name}: majority"]
    return {
        "accuracy": {
            name: [way.share.successes, way.share.trials, way.tokens] for name, way in ways.items()
        },
        "policy_by_group": solved_by_group(zip(greedy, ways["policy"].solved, strict=True)),
        "search_against_majority": str(
            paired(ways[f"search: {SEARCH_ANSWER}"].solved, majority.solved)
        ),
        "pairs": pairs,
    }


def _searched(context: Context, stage: str, verifier: Verifier) -> Samples:
    found = by_problem(read_trees(context.run, [stage]))
    return {key: search_samples(trees, verifier) for key, trees in found.items()}


def _fewer(searched: Samples) -> dict[str, Accuracy]:
    """The answer of the first 1, 2, 4, ... of all searches."""
    found, count = {}, 1
    while count < max(map(len, searched.values())):
        name = f"search: {SEARCH_ANSWER} of the first {count}"
        first = {key: samples[:count] for key, samples in searched.items()}
        found[name] = choose(name, first, partial(vote, weighted=True))
        count *= 2
    return found


def _pair_accuracies(context: Context, ppm: PPM) -> dict[str, Any]:
    """Of the round's PPM: on this round's held-out pairs, and on the first round's; and of the likelihood on this round's."""
    found: dict[str, Any] = {}
    for name, data in zip(
        ("this round's", "the first round's"), context.stage.options["pairs"], strict=True
    ):
        path = context.run / data / "held_out_pairs.jsonl"
        if path.exists():
            groups = [group_of_row(row) for row in read_rows(path)]
            found[name] = _order(pair_accuracy, ppm, groups)
            if "likelihood" not in found:
                found["likelihood"] = _order(likelihood_accuracy, groups)
    return found


def _order(measure: Any, *arguments: Any) -> list[float] | None:
    try:
        accuracy = measure(*arguments)
    except DataError:
        return None
    return [accuracy.right, accuracy.pairs]


def _named(name: str, ways: Sequence[Accuracy]) -> dict[str, Accuracy]:
    return {f"{name}: {way.name}": way for way in ways}


def _plain(way: Accuracy) -> dict[str, Any]:
    return {"solved": list(map(int, way.solved)), "tokens": way.tokens, "samples": way.samples}
