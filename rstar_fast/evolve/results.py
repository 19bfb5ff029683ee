"""The stage that counts what a round's models solve of the held-out problems."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rstar_fast.data import PairGroup, group_of_row, read_rows
from rstar_fast.errors import DataError
from rstar_fast.evaluate import (
    Accuracy,
    Sample,
    at_equal_tokens,
    choose,
    paired,
    path_samples,
    rescored,
    rescored_samples,
    search_samples,
    selections,
    vote,
)
from rstar_fast.evaluate.measured import Measured, measure, scored_sample_methods, search_methods
from rstar_fast.evaluate.run import by_problem
from rstar_fast.evaluate.timelines import sample_timeline, search_timeline
from rstar_fast.evolve.budget_tables import BUDGETS
from rstar_fast.evolve.context import Context
from rstar_fast.evolve.folders import fresh_folder, read_trees
from rstar_fast.evolve.groups import solved_by_group, sources_of
from rstar_fast.evolve.metrics import Method, PairOrder, method_id
from rstar_fast.evolve.plan import PLAIN
from rstar_fast.evolve.scorer_rows import FIRST_HELD_OUT_PAIRS, HELD_OUT_PAIRS
from rstar_fast.evolve.stage import ResultsStage
from rstar_fast.ppm import PPM, PackedScorer
from rstar_fast.store.config_file import write_json
from rstar_fast.training.pair_accuracy import PairAccuracy, likelihood_accuracy, pair_accuracy
from rstar_fast.tree import Tree
from rstar_fast.verify import Verifier
from rstar_fast.verify.grade.by_source import SourceVerifier

Samples = dict[str, list[Sample]]
Trees = Mapping[str, list[Tree]]
"""Trees by problem id."""


def results(stage: ResultsStage, context: Context) -> dict[str, Any]:
    """Write solved flags per method to `results.json`; return accuracies and comparisons.

    The file holds the flags of each method in the order of the problems' ids. Samples are cut to
    the tokens that the searches of their problem took. With `EvaluateConfig.budgets` the file
    `budgets.json` holds the flags of all methods at each budget (`Measured.to_dict`).

    Raises:
        RStarError: A model or a folder cannot be read.
    """
    run = context.run
    with SourceVerifier() as verifier:
        solved_alone = by_problem(read_trees(run, [stage.greedy]))
        greedy = {
            problem_id: path_samples(trees[0], verifier)
            for problem_id, trees in solved_alone.items()
        }
        methods: dict[str, Accuracy] = {Method.POLICY: choose(Method.POLICY, greedy, vote)}
        pool = by_problem(read_trees(run, [stage.samples]))
        alone = {key: of_one for key, of_one in solved_alone.items() if key in pool}
        trees = {
            name: by_problem(read_trees(run, [searches]))
            for name, searches in (("search", stage.searches), ("first policy", stage.first_policy))
            if searches
        }
        searches = {key: of_one for key, of_one in trees["search"].items() if key in pool}
        searched = _answers(searches, verifier)
        methods |= _by_id("search", selections(searched)) | _first_searches(searched)
        pairs: dict[str, list[float] | None] = {}
        # The greedy solutions and the samples, with the scores of each model.
        scored: dict[str, tuple[Samples, Samples]] = {}
        for scorer in stage.scorers:
            model = PPM.from_pretrained(run / scorer, device=context.device)
            judge = PackedScorer(model)
            samples = rescored_samples(pool, judge, verifier)
            scored[Path(scorer).name] = rescored_samples(alone, judge, verifier), samples
            cut = at_equal_tokens(samples, searched)
            methods |= _by_id(Path(scorer).name, selections(cut))
            if Path(scorer).name == "orm":
                # The ORM's final judgement on the trees that the PPM guided.
                found = [tree for of_one in searches.values() for tree in of_one]
                trees["judged"] = by_problem(rescored(found, judge))
                methods |= _by_id("judged", selections(_answers(trees["judged"], verifier)))
            if Path(scorer).name == PLAIN:
                pairs |= _plain_order(run, stage, model)
            if scorer == stage.scorers[0]:
                pairs = _pair_orders(run, stage, model)
        if stage.first_policy:
            by_first_policy = _answers(trees["first policy"], verifier)
            methods |= _by_id("first policy", selections(by_first_policy))
    measured = (
        _at_budgets(context, greedy, scored, trees) if context.config.evaluate.budgets else None
    )
    with fresh_folder(run / stage.name) as folder:
        write_json(folder / "results.json", {name: _plain(one) for name, one in methods.items()})
        if measured:
            write_json(folder / BUDGETS, measured.to_dict())
    compared = paired(methods[Method.SEARCH].solved, methods[Method.MAJORITY].solved)
    return {
        "accuracy": {
            name: [one.share.successes, one.share.trials, one.tokens]
            for name, one in methods.items()
        },
        "policy_by_group": solved_by_group(zip(greedy, methods[Method.POLICY].solved, strict=True)),
        "search_against_majority": str(compared),
        "search_against_majority_figures": asdict(compared),
        "pairs": pairs,
    }


def _at_budgets(
    context: Context,
    greedy: Samples,
    scored: dict[str, tuple[Samples, Samples]],
    searches: Mapping[str, Trees],
) -> Measured:
    """Return what every method solves at the budgets, on the problems that were sampled.

    Args:
        context: Surroundings of the stage.
        greedy: Solution of the policy alone by problem id, for these problems and more.
        scored: Greedy solutions and samples with the scores of each model, by the model's name.
        searches: Trees of each search by problem id, by the search's name.
    """
    methods = scored_sample_methods(scored)
    _, samples = next(iter(scored.values()))
    groups = sources_of(context.config.held_out)
    alone = {key: sample_timeline(one) for key, one in greedy.items()}
    methods["policy"] = (alone, methods["majority"][1])
    for name, trees in searches.items():
        found = {key: search_timeline(of_one) for key, of_one in trees.items()}
        methods |= search_methods(name, found)
    return measure(methods, {key: groups[key] for key in samples}, context.config.evaluate.budgets)


def _answers(searches: Trees, verifier: Verifier) -> Samples:
    """Return the answer of each search of each problem."""
    return {problem_id: search_samples(trees, verifier) for problem_id, trees in searches.items()}


def _first_searches(searched: Samples) -> dict[str, Accuracy]:
    """Return what the votes of the first 1, 2, 4, ... searches of each problem solve."""
    found, count = {}, 1
    while count < max(map(len, searched.values())):
        name = f"{Method.SEARCH} of the first {count}"
        first = {problem_id: samples[:count] for problem_id, samples in searched.items()}
        found[name] = choose(name, first, partial(vote, weighted=True))
        count *= 2
    return found


def _pair_orders(run: Path, stage: ResultsStage, ppm: PPM) -> dict[str, list[float] | None]:
    """Return [pairs in the right order, pairs] of each `PairOrder`. None where no pair is measured.

    A round without held-out pairs has no entry.
    """
    found: dict[str, list[float] | None] = {}
    files = {PairOrder.THIS_ROUND: HELD_OUT_PAIRS, PairOrder.FIRST_ROUND: FIRST_HELD_OUT_PAIRS}
    for order, name in files.items():
        if groups := _pair_groups(run / stage.pairs / name):
            found[order] = _counts(partial(pair_accuracy, ppm), groups)
            if PairOrder.LIKELIHOOD not in found:
                found[PairOrder.LIKELIHOOD] = _counts(likelihood_accuracy, groups)
    return found


def _plain_order(run: Path, stage: ResultsStage, plain: PPM) -> dict[str, list[float] | None]:
    """Return the order of the round's pairs by a PPM without likelihood. Empty without pairs."""
    groups = _pair_groups(run / stage.pairs / HELD_OUT_PAIRS)
    return {PairOrder.PLAIN: _counts(partial(pair_accuracy, plain), groups)} if groups else {}


def _pair_groups(path: Path) -> list[PairGroup]:
    """Return the groups of a file of pairs. A file that is missing has none, and none is empty."""
    return [group_of_row(row) for row in read_rows(path)] if path.exists() else []


def _counts(
    measure: Callable[[list[PairGroup]], PairAccuracy], groups: list[PairGroup]
) -> list[float] | None:
    try:
        accuracy = measure(groups)
    except DataError:
        return None
    return [accuracy.right, accuracy.pairs]


def _by_id(source: str, found: Sequence[Accuracy]) -> dict[str, Accuracy]:
    return {method_id(source, one.name): one for one in found}


def _plain(one: Accuracy) -> dict[str, Any]:
    return {"solved": list(map(int, one.solved)), "tokens": one.tokens, "samples": one.samples}
