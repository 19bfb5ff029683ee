"""Options are checked, and every mistake is named."""

import pytest

from rstar_fast.config import PRESETS, SearchConfig
from rstar_fast.errors import ConfigError


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_survive_plain_values(name: str) -> None:
    config = SearchConfig.preset(name)
    assert SearchConfig.from_dict(config.to_dict()) == config
    assert config.nodes_per_tree > config.candidates


def test_preset_values_are_the_published_ones() -> None:
    released = SearchConfig.preset("rstar-math")
    assert (released.candidates, released.rollouts, released.max_depth, released.c) == (
        32,
        12,
        16,
        2.0,
    )
    data = SearchConfig.preset("rstar-math-data")
    assert (data.candidates, data.rollouts, data.annotate_terminals_with_ground_truth) == (
        12,
        48,
        True,
    )
    assert [SearchConfig.preset(f"paper-round-{i}").rollouts for i in (1, 2, 3, 4)] == [
        8,
        16,
        16,
        16,
    ]
    assert [SearchConfig.preset(f"paper-round-{i}").candidates for i in (1, 2, 3, 4)] == [
        5,
        8,
        8,
        16,
    ]
    assert [SearchConfig.preset(f"paper-round-{i}").use_scores for i in (1, 2, 3, 4)] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("candidates", 0, "candidates: expected an integer in 1..1024, got 0"),
        ("candidates", 8.0, "got 8.0"),
        ("candidates", True, "got True"),
        ("top_p", 0.0, r"top_p: expected a number in \(0, 1\], got 0.0"),
        ("top_p", float("nan"), "got nan"),
        ("c", -1, r"c: expected a number in \[0, 1e\+06\], got -1"),
        (
            "strategy",
            "mtcs",
            "expected one of mcts, greedy, beam, best_of_n, particles, got 'mtcs'",
        ),
        ("max_tokens", -1, r"max_tokens: expected an integer in 0\.\.1099511627776, got -1"),
        ("max_tokens", 100.0, "max_tokens: expected an integer"),
        ("stop_when_sure", 1.5, r"stop_when_sure: expected a number in \[0, 1\], got 1.5"),
        ("stop_when_sure", True, "stop_when_sure: expected a number"),
        ("stop_when_settled", 1, "stop_when_settled: expected true or false, got 1"),
        ("stop_when_settled", True, "strategy 'mcts' can find any number of answers"),
        ("token_price", -0.1, "token_price: expected a number"),
        ("token_price", float("inf"), "token_price: expected a number"),
        ("use_scores", "yes", "use_scores: expected true or false, got 'yes'"),
        ("wall_limit_s", 0, "wall_limit_s"),
        ("seed", -1, "seed"),
        ("rolouts", 3, r"unknown option 'rolouts' \(did you mean 'rollouts'\?\)"),
    ],
)
def test_bad_options_are_named(option: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SearchConfig.from_dict({option: value})


def test_unknown_preset_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'fast'"):
        SearchConfig.preset("fsat")
