"""Options as text: one reading of `--set` for searches, self-evolutions and trainings."""

from datetime import date
from typing import Any

import pytest

from rstar_fast.cli.options import merged, parse_settings
from rstar_fast.errors import ConfigError
from rstar_fast.training import TrainConfig


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4),
        ("2.5", 2.5),
        ("1e-3", 1e-3),
        ("true", True),
        ("False", False),
        ("few_shot", "few_shot"),
        ('"4"', "4"),
        ("['a.jsonl', 'b.jsonl']", ["a.jsonl", "b.jsonl"]),
        ("{epochs = 3}", {"epochs": 3}),
        ("runs/first", "runs/first"),
        ("openai/gsm8k:main:test", "openai/gsm8k:main:test"),
        ("007", "007"),
        ("2026-01-01", "2026-01-01"),
        ("1\nother = 2", "1\nother = 2"),
        ("a=b", "a=b"),
        ("", ""),
        ("é", "é"),
    ],
)
def test_a_value_is_toml_or_else_text(text: str, value: Any) -> None:
    found = parse_settings([f"name={text}"])["name"]
    assert found == value and type(found) is type(value) and not isinstance(found, date)


def test_dots_lead_into_tables_and_the_last_setting_wins() -> None:
    assert parse_settings([" a.b = 1", "a.c=2", "d=3", "a.b=4"]) == {"a": {"b": 4, "c": 2}, "d": 3}


@pytest.mark.parametrize("setting", ["epochs", "=3", " = 3", "a.=3", ".a=3"])
def test_a_setting_without_a_name_or_a_value_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match="expected option=value"):
        parse_settings([setting])


def test_a_name_that_leads_into_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="policy is a value here, not a table"):
        parse_settings(["policy=3", "policy.epochs=3"])


def test_changes_are_merged_into_tables() -> None:
    options = {"seed": 0, "policy": {"epochs": 1, "preset": "p"}, "rounds": [1]}
    changes = parse_settings(["policy.epochs=3", "parts=2", "keep_solutions=true"])
    assert merged(options, changes) == {
        "seed": 0,
        "policy": {"epochs": 3, "preset": "p"},
        "rounds": [1],
        "parts": 2,
        "keep_solutions": True,
    }
    assert options["policy"] == {"epochs": 1, "preset": "p"}


def test_a_training_takes_the_same_settings() -> None:
    changes = parse_settings(["epochs=2", "schedule=cosine", "learning_rate=1e-3"])
    config = TrainConfig.preset("cpu-ppm", **changes)
    assert (config.epochs, config.schedule, config.learning_rate) == (2, "cosine", 1e-3)
