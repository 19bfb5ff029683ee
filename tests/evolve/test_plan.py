"""The plan of a self-evolution: its stages, what they need, and their options in files."""

import json
from pathlib import Path
from typing import Any

from evolve_options import options

from rstar_fast.config import SearchConfig
from rstar_fast.data import searches_again
from rstar_fast.evolve import EvolveConfig
from rstar_fast.evolve.plan import plan, training_first
from rstar_fast.evolve.stage import DataStage, PPMStage, RowsStage, SearchStage, Stage

RECORDED = Path(__file__).with_name("recorded_plan.json")


def planned(opened: dict[str, Any]) -> dict[str, Stage]:
    return {stage.name: stage for stage in plan(EvolveConfig.from_dict(opened))}


def without_defaults(options: dict[str, Any]) -> dict[str, Any]:
    """Leave out the search's options at their defaults, so that it may have further ones."""
    if "search" not in options:
        return options
    defaults = SearchConfig().to_dict()
    search = {name: one for name, one in options["search"].items() if one != defaults.get(name)}
    return {**options, "search": search}


def test_the_plan_is_what_was_recorded() -> None:
    recorded = json.loads(RECORDED.read_text())
    stages = plan(EvolveConfig.from_dict(recorded["options"]))
    written = [
        {
            "stage": stage.name,
            "kind": stage.kind,
            "options": without_defaults(json.loads(json.dumps(stage.to_dict()))),
            "needs": list(stage.needs),
        }
        for stage in stages
    ]
    for each in recorded["stages"]:
        each["options"] = without_defaults(each["options"])
    assert written == recorded["stages"]
    assert [stage.name for stage in training_first(stages)] == recorded["training_first"]


def test_every_stage_needs_earlier_ones_only(tmp_path: Path) -> None:
    opened = options(tmp_path, rounds=[{"more": [{"temperature": 1.3}]}, {}, {}, {}])
    seen: set[str] = set()
    searches = []
    for stage in plan(EvolveConfig.from_dict(opened)):
        assert seen.issuperset(stage.needs) and stage.name not in seen
        seen.add(stage.name)
        if isinstance(stage, SearchStage) and stage.name.endswith("part-0"):
            searches.append(stage)
    seeds = [stage.search.seed for stage in searches]
    assert len(set(seeds)) == len(seeds) == 5


def test_trajectories_are_read_only_where_an_orm_learns_from_them(tmp_path: Path) -> None:
    stages = planned(options(tmp_path, rounds=[{}, {}]))
    rows = [stages[f"round-{n}/rows"] for n in (1, 2)]
    assert [isinstance(one, RowsStage) and one.trajectories for one in rows] == [False, True]


def test_a_ppm_guides_the_search_from_the_third_round_on(tmp_path: Path) -> None:
    stages = planned(options(tmp_path, rounds=[{}, {}, {}]))
    second, third = (stages[f"round-{n}/search-0/part-1"] for n in (2, 3))
    assert isinstance(second, SearchStage) and second.ppm is None
    assert second.needs == ("round-1/policy",)
    assert third.needs == ("round-2/policy", "round-2/ppm")
    orm = stages["round-3/orm"]
    assert isinstance(orm, PPMStage) and orm.needs == ("round-3/rows", "round-3/policy")
    rows = stages["round-3/rows"]
    assert rows.needs[-2:] == ("round-3/data", "round-3/policy")


def test_a_bootstrap_policy_is_no_stage_whatever_its_name(tmp_path: Path) -> None:
    stages = planned(options(tmp_path, bootstrap="round-robin/model"))
    for name in ("round-0/greedy", "round-1/search-0/part-0"):
        stage = stages[name]
        assert isinstance(stage, SearchStage) and stage.policy == "round-robin/model"
        assert stage.needs == ()


def test_a_round_may_search_again_by_the_papers_rule(tmp_path: Path) -> None:
    rounds = [{"again": "paper"}] * 4
    config = EvolveConfig.from_dict(options(tmp_path, rounds=rounds))
    for number, each in enumerate(config.rounds, 1):
        assert each.again == searches_again(number)
    last = [each for each in plan(config) if each.name.startswith("round-4/again")]
    assert [(each.name, each.search.rollouts, each.difficulties) for each in last] == [
        (f"round-4/again-{place}/part-{part}", rollouts, ("hard",))
        for place, rollouts in enumerate((64, 128))
        for part in range(2)
    ]
    assert last[-1].over == (
        *(f"round-4/search-0/part-{part}" for part in range(2)),
        *(f"round-4/again-0/part-{part}" for part in range(2)),
    )


def test_what_a_ppm_is_compared_with_is_measured_last_or_always_or_never(tmp_path: Path) -> None:
    opened = options(tmp_path, rounds=[{}, {}])
    every, last, none = (
        planned({**opened, "evaluate": {"baselines": which}}).keys()
        for which in ("all", "last", "none")
    )
    assert planned({**opened, "evaluate": {}}).keys() == last
    assert every - last == {f"round-1/{model}" for model in ("orm", "pqm", "plain")}
    assert last - none == {f"round-2/{model}" for model in ("orm", "pqm", "plain", "first-policy")}


def test_measurements_take_the_tokens_of_the_largest_budget(tmp_path: Path) -> None:
    opened = options(tmp_path)
    for budgets, tokens in (([], None), ([64, 512, 128], 512)):
        stages = planned({**opened, "evaluate": {"budgets": budgets}})
        for name in ("samples", "searches", "greedy"):
            stage = stages[f"round-1/{name}"]
            assert isinstance(stage, SearchStage)
            assert stage.tokens == (None if name == "greedy" else tokens)
            assert stage.to_dict().get("tokens") == stage.tokens


def test_a_control_has_the_same_rounds_without_a_guide(tmp_path: Path) -> None:
    opened = options(tmp_path, rounds=[{}, {}, {"more": [{"use_scores": True, "rollouts": 3}]}])
    guided, control = planned(opened), planned({**opened, "ppm_guides": False})
    assert guided.keys() == control.keys()
    for name, one in control.items():
        if isinstance(one, SearchStage) and one.problems[0] == "problems":
            assert one.ppm is None and one.search == guided[name].search.with_changes(
                use_scores=False
            )
        else:
            assert one == guided[name]


def test_a_ppm_may_learn_from_all_rounds_so_far(tmp_path: Path) -> None:
    stages = planned(options(tmp_path, rounds=[{}, {}], earlier_rounds=True))
    for number, data in ((1, ("round-1/data",)), (2, ("round-1/data", "round-2/data"))):
        rows = stages[f"round-{number}/rows"]
        assert isinstance(rows, RowsStage) and rows.data == data
        assert stages[f"round-{number}/ppm"].needs[0] == rows.name


def test_the_papers_ppm_is_trained_beside_one_that_uses_likelihood(tmp_path: Path) -> None:
    for likelihood in (0, 1.0, "fitted"):
        stages = planned(options(tmp_path, ppm={"preset": "cpu-ppm", "likelihood": likelihood}))
        plain = stages.get("round-1/plain")
        assert (plain is None) is (likelihood == 0)
        assert plain is None or plain.to_dict()["plain"] is True
        assert "plain" not in stages["round-1/ppm"].to_dict()


def test_the_data_of_a_round_may_keep_earlier_solutions(tmp_path: Path) -> None:
    for keep in (False, True):
        stages = planned(options(tmp_path, rounds=[{}, {}], keep_solutions=keep))
        first, second = (stages[f"round-{n}/data"] for n in (1, 2))
        assert isinstance(first, DataStage) and first.keep is None
        assert "keep" not in first.to_dict()
        assert ("round-1/data" in second.needs) is keep


def test_the_measuring_of_a_round_can_wait_for_the_next_policy(tmp_path: Path) -> None:
    stages = plan(EvolveConfig.from_dict(options(tmp_path, rounds=[{}, {}, {}])))
    names = [each.name for each in training_first(stages)]
    assert sorted(names) == sorted(each.name for each in stages)
    at = {name: place for place, name in enumerate(names)}
    assert all(at[need] < at[each.name] for each in stages for need in each.needs)
    assert (
        at["round-2/policy"]
        < at["round-1/ppm"]
        < at["round-1/results"]
        < at["round-3/search-0/part-0"]
    )
    assert (
        at["round-2/ppm"]
        < at["round-1/greedy"]
        < at["round-3/policy"]
        < at["round-2/results"]
        < at["round-3/ppm"]
    )
