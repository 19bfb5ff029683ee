"""The file of a self-evolution, and the sources of problems that it may name."""

from pathlib import Path
from typing import Any

import pytest
from evolve_options import RECIPE, options

from rstar_fast.errors import ConfigError, ProblemError
from rstar_fast.evolve import EvolveConfig, read_options
from rstar_fast.problems import read_problems, read_sources


def test_names_beside_the_file_become_absolute(tmp_path: Path) -> None:
    opened = options(tmp_path)
    text = (
        f'base = "{opened["base"]}"\nproblems = "train.jsonl"\nheld_out = "hub/name"\n[[rounds]]\n'
    )
    (tmp_path / "c.toml").write_text(text)
    found = read_options(tmp_path / "c.toml")
    assert (found["problems"], found["held_out"]) == (str(tmp_path / "train.jsonl"), "hub/name")
    config = EvolveConfig.from_dict(found)
    assert config.rounds[0].searches[0].annotate_terminals_with_ground_truth
    assert (config.problems, config.held_out, config.synthetic) == (
        (found["problems"],),
        ("hub/name",),
        (),
    )
    (tmp_path / "c.toml").write_text(text.replace('"hub/name"', '["hub/name", "held_out.jsonl"]'))
    found = read_options(tmp_path / "c.toml")
    assert EvolveConfig.from_dict(found).held_out == ("hub/name", str(tmp_path / "held_out.jsonl"))


def test_each_source_has_its_share_of_the_first_problems() -> None:
    mixed = read_sources(["graded:held_out:4", "graded:reworded:2"])
    assert len(mixed) == 34 and len({problem.id for problem in mixed}) == 34
    assert sum(problem.id.startswith("reworded") for problem in mixed[:17]) == 5
    for source in ("graded:held_out:4", "graded:reworded:2"):
        alone = read_problems(source)
        assert [problem for problem in mixed if problem in alone] == alone == read_sources([source])


def test_the_recipe_of_the_embedded_models_is_a_whole_configuration() -> None:
    config = EvolveConfig.from_dict(read_options(RECIPE))
    problems = {split: read_sources(getattr(config, split)) for split in ("problems", "held_out")}
    assert len(config.rounds) == 4
    assert len(problems["problems"]) == 1040
    assert len(problems["held_out"]) == 2008
    assert {problem.question for problem in problems["problems"]}.isdisjoint(
        problem.question for problem in problems["held_out"]
    )


@pytest.mark.parametrize(
    "source",
    [
        "graded:",
        "graded:train",
        "graded:test:3",
        "graded:train:0",
        "graded:train:x",
        "graded:train:3:",
        "graded:train:3:1-",
        "graded:train:3:0,1",
    ],
)
def test_problems_of_our_own_are_named_rightly(source: str) -> None:
    with pytest.raises(ProblemError, match=r"expected graded:SPLIT:PER_LEVEL"):
        read_problems(source)


def test_levels_of_a_source_are_chosen() -> None:
    assert [one.id for one in read_problems("graded:train:1:1-2")] == [
        "train-L1-0-0",
        "train-L2-0-0",
    ]
    assert [one.id for one in read_problems("countdown:train:1:6")] == ["countdown:train:6:0:0"]
    for source in ("graded:reworded:3:0", "countdown:train:3:2-4", "equations:train:3:4-3"):
        with pytest.raises(ProblemError, match="expected levels in"):
            read_problems(source)
    with pytest.raises(ProblemError, match="SPLIT one of train, held_out"):
        read_problems("countdown:reworded:3")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rounds": []}, r"expected one \[\[rounds\]\] table or more, got \[\]"),
        ({"rounds": [3]}, "rounds: round 1: expected a table, got 3"),
        ({"rounds": [{"agian": []}]}, "rounds: round 1: unknown option 'agian'"),
        ({"rouns": 1}, "unknown option 'rouns'"),
        ({"base": ""}, "base: expected a name, got ''"),
        ({"base": None}, "base: expected a name, got None"),
        ({"earlier_rounds": 1}, "earlier_rounds: expected true or false, got 1"),
        ({"keep_solutions": "yes"}, "keep_solutions: expected true or false, got 'yes'"),
        ({"parts": 0}, "parts: expected an integer of at least 1, got 0"),
        ({"max_rows": 0}, "max_rows: expected an integer of at least 1, got 0"),
        ({"problems": []}, r"problems: expected a name or a list of names, got \[\]"),
        ({"held_out": ["a", ""]}, r"held_out: expected a name or a list of names, got \['a', ''\]"),
        ({"synthetic": 3}, "synthetic: expected a name or a list of names, got 3"),
        (
            {"report_to": "paper"},
            "report_to: expected one of none, tensorboard, wandb, got 'paper'",
        ),
        ({"search": {"candidate": 3}}, "unknown option 'candidate'"),
        ({"policy": {"preset": "none"}}, "unknown preset 'none'"),
        ({"rounds": [{"search": {"use_scores": True}}]}, "round 1: expected use_scores = false"),
        ({"rounds": [{"more": 3}]}, "round 1: more: expected a list of tables, got 3"),
        (
            {"rounds": [{}, {"again": [{"rollouts": 3}]}]},
            'round 2: again: expected "paper" or a list of tables with difficulties and rollouts',
        ),
        ({"rounds": [{"again": "papers"}]}, "list of tables .*, got 'papers'"),
        (
            {"rounds": [{"again": [{"difficulties": "hard", "rollouts": 3}]}]},
            "again: difficulties: expected a list of easy, medium, hard, got 'hard'",
        ),
        (
            {"rounds": [{"again": [{"difficulties": ["difficult"], "rollouts": 3}]}]},
            "again: difficulties: expected one of easy, medium, hard, got 'difficult'",
        ),
        (
            {"rounds": [{"again": [{"difficulties": ["hard"], "rollouts": 0}]}]},
            "round 1: again: rollouts: expected an integer in 1..1000000, got 0",
        ),
        ({"pairs": {"per_sid": 2}}, "pairs: unknown option 'per_sid'"),
        (
            {"evaluate": {"held_out_pairs": 1.5}},
            r"held_out_pairs: expected a number in \(0, 1\), got 1.5",
        ),
        (
            {"evaluate": {"baselines": True}},
            "evaluate: baselines: expected one of last, all, none, got True",
        ),
        ({"evaluate": {"budgets": 3}}, "evaluate: budgets: expected a list of numbers, got 3"),
        (
            {"evaluate": {"budgets": [64, 0]}},
            "evaluate: budgets: expected an integer of at least 1, got 0",
        ),
        ({"ppm_guides": "no"}, "ppm_guides: expected true or false, got 'no'"),
        ({"dtype": "int8"}, "dtype: expected one of"),
        ({"search": 3}, "search: expected a table, got 3"),
    ],
)
def test_what_a_file_may_not_say(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EvolveConfig.from_dict(options(tmp_path, **changes))


def test_losses_go_only_where_a_package_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rstar_fast.evolve.config.find_spec", lambda package: None)
    assert EvolveConfig.from_dict(options(tmp_path)).report_to == "none"
    for name in ("tensorboard", "wandb"):
        with pytest.raises(
            ConfigError, match=f"report_to: {name} needs the package `{name}`: pip install {name}"
        ):
            EvolveConfig.from_dict(options(tmp_path, report_to=name))
