"""Tables of the recipes, of made-up figures."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from data_trees import make_tree
from evolve_options import RECIPE

from recipes.ablation import VARIANTS, table
from recipes.guides import LikelihoodScorer
from recipes.guides import table as guides_table
from recipes.measuring import halves, markdown
from recipes.pooled import keep, measured_rounds
from recipes.pooled import table as pooled_table
from recipes.scaling import crossing
from recipes.stopping import tables as stopping_tables
from recipes.worth import differences
from rstar_fast.errors import ConfigError
from rstar_fast.evaluate import Measured
from rstar_fast.evolve.config import EvolveConfig
from rstar_fast.ppm import ScoreRequest
from rstar_fast.problems import Problem


def measured(budgets: tuple[int, ...], **solved: list[str]) -> Measured:
    """Figures of four problems. The flags of a method are a text like "1101" for each budget."""
    return Measured(
        ("a", "b", "c", "d"),
        ("x", "x", "y", "y"),
        budgets,
        {
            name.replace("__", ": ").replace("_", " "): tuple(
                tuple(flag == "1" for flag in flags) for flags in by_budget
            )
            for name, by_budget in solved.items()
        },
    )


def test_tables_are_markdown() -> None:
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_every_second_problem_of_each_source_is_to_choose_on() -> None:
    problems = [Problem(f"{source}{i}", "?") for source in "xyz" for i in range(3)]
    choose, report = halves(problems, {one.id: one.id[0] for one in problems})
    assert [one.id for one in choose] == ["x0", "x2", "y0", "y2", "z0", "z2"]
    assert [one.id for one in report] == ["x1", "y1", "z1"]


def test_the_variant_that_is_chosen_on_one_side_is_reported_on_the_other() -> None:
    ways: dict[str, list[list[str]]] = {
        "majority": [["1000"], ["1100"]],
        "reference__vote": [["1000"], ["1100"]],
        "reference__best": [["1100"], ["1000"]],
        "no_PPM__vote": [["1110"], ["1111"]],
    }
    sides = [measured((64,), **{name: one[side] for name, one in ways.items()}) for side in (0, 1)]
    shown = table(*sides, None)
    assert "| majority | 25.0 | 50.0% [15.0, 85.0] | +25.0 [+0.0, +75.0] (+1 -0, p 1) |" in shown
    assert "| no PPM: vote | 75.0 | 100.0% [51.0, 100.0] | +50.0 [+0.0, +100.0] (+2 -0" in shown
    assert "| **chosen: no PPM: vote** | 75.0 | 100.0%" in shown.splitlines()[-1]
    assert "to choose on (n = 2)" in table(*sides, "x")


def test_guides_are_compared_with_the_ppm_by_the_same_way_to_answer() -> None:
    shown = guides_table(
        measured(
            (64,),
            majority=["1000"],
            ppm__best=["0000"],
            ppm__weighted_vote=["1100"],
            likelihood__weighted_vote=["0100"],
        ),
        None,
    )
    assert "| majority | 25.0% [4.6, 69.9] |  |" in shown
    assert "| ppm: weighted vote | 50.0% [15.0, 85.0] |  |" in shown
    assert "| likelihood: weighted vote | 25.0% [4.6, 69.9] | -25.0 [-75.0, +0.0] (+0 -1" in shown


def test_a_guide_by_likelihood_prefers_the_likelier_path() -> None:
    def logprobs(*values: float) -> bytes:
        return np.array(values, np.float32).tobytes()

    request = ScoreRequest(
        3, "p", 0, "?", (), ("a", "b"), (logprobs(-1.0),), (logprobs(-0.5), logprobs(-2.0, -1.0))
    )
    (scores,) = LikelihoodScorer(0.1).score([request])
    assert scores.request_id == 3
    assert scores.values == pytest.approx(np.tanh([-0.15, -0.4]))


def test_curves_cross_where_the_sign_changes() -> None:
    found = measured(
        (10, 1000, 2000),
        search__best=["1000", "1110", "1111"],
        majority=["1100", "1100", "1100"],
        ppm__best=["0000", "0000", "0000"],
    )
    found = Measured(found.problems, ("x",) * 4, found.budgets, found.solved)
    assert crossing(found, "majority", "x") == (
        "search passes majority between 10 and 1,000 tokens"
    )
    assert crossing(found, "ppm: best", "x") == "search is above ppm: best at every budget"


def test_a_search_is_compared_with_samples_by_the_same_kind_of_answer() -> None:
    found = measured(
        (10,),
        greedy=["1000"],
        majority=["1000"],
        pass_with_greedy=["1100"],
        search__vote=["1100"],
        search__pass=["1110"],
    )
    names = [row[0] for row in differences(found)]
    assert names == [
        "search: vote - greedy",
        "search: vote - majority",
        "search: pass - pass with greedy",
    ]
    assert differences(found)[2][1].startswith("+25.0 [")


def test_runs_are_pooled_if_they_measured_the_same() -> None:
    one = measured((10,), search__best=["1110"], majority=["1000"])
    other = measured((10,), search__best=["1100"], majority=["1000"])
    shown = pooled_table([one, other], None)
    assert "| search: best | 62.5 |" in shown
    assert "| search: best - majority | +37.5 [" in shown and "(runs +50.0, +25.0; p" in shown
    with pytest.raises(ConfigError, match="same problems and budgets"):
        pooled_table([one, measured((20,), majority=["1000"])], None)


def test_what_a_run_measured_is_kept_in_a_file(tmp_path: Path) -> None:
    rounds = [measured((10,), majority=[flags]) for flags in ("1000", "1110")]
    file = tmp_path / "seed-1.json.gz"
    keep(rounds, file)
    assert measured_rounds(file) == rounds
    before = file.read_bytes()
    keep(rounds, file)
    assert file.read_bytes() == before
    for name, contents in (("cut.json.gz", before[:-20]), ("text", b"no"), ("none", None)):
        if contents is not None:
            (tmp_path / name).write_bytes(contents)
        with pytest.raises(ConfigError, match=f"{name}: expected a run's folder or a file"):
            measured_rounds(tmp_path / name)
    assert measured_rounds(tmp_path) == []


def test_every_variant_changes_the_search_of_the_package() -> None:
    reference = EvolveConfig.from_dict(tomllib.loads(RECIPE.read_text())).evaluate.search
    variants = [reference.with_changes(**changes) for changes in VARIANTS.values()]
    assert len(set(map(str, variants))) == len(VARIANTS)


def test_finished_searches_tell_what_stopping_saves() -> None:
    tree = make_tree(*((f"{i} ", 0.0, ("5", 0.0, True)) for i in range(8)))
    for node in tree.nodes:
        node.spent = 10 * node.id
    tree.counts["generated_tokens"] = 160
    shown = stopping_tables({"p": [tree]})
    assert "| never | 160 | 0 | 100.0 |  | 100.0 |  |" in shown
    # The posterior of three equal votes is 0.875.
    assert "| 0.8 | 110 | 31 | 100.0 | +0.0" in shown
