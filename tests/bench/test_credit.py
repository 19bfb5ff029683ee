"""Which rules of credit give the gradient of the expected reward, on a problem that is listed."""

from typing import Any

import credit
import numpy as np
import pytest
from credit import Figures, Row, measured
from lib.toy_policy import ToyPolicy

from rstar_fast.training_samples.credit import step_credit
from rstar_fast.training_samples.values import TreeValues

FORMS = [(2, False, (2, 2)), (2, True, (2, 2)), (2, True, (3, 1)), (2, True, (1, 1))]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_probabilities_of_all_trees_add_up_to_1(form: Any) -> None:
    policy = ToyPolicy(*form)
    assert sum(probability for probability, _ in policy.trees()) == pytest.approx(1, abs=1e-12)


def test_the_gradient_is_that_of_the_expected_reward() -> None:
    policy = ToyPolicy(2, True, (2, 2))

    def expected() -> float:
        return sum(policy.probability(text) * r for text, r in policy._rewards.items())

    found, numeric = policy.gradient(), []
    logits = np.log(policy._probabilities)
    for i in range(logits.size):
        sides = []
        for change in (1e-6, -1e-6):
            moved = logits.copy()
            moved.ravel()[i] += change
            policy._probabilities = np.exp(moved) / np.exp(moved).sum(1, keepdims=True)
            sides.append(expected())
        numeric.append((sides[0] - sides[1]) / 2e-6)
    assert found == pytest.approx(np.array(numeric), abs=1e-8)


@pytest.fixture(scope="module", params=FORMS, ids=str)
def form(request: pytest.FixtureRequest) -> tuple[Any, dict[Row, Figures]]:
    return request.param, measured(ToyPolicy(*request.param))


def test_two_rules_are_exact_by_shares(form: tuple[Any, dict[Row, Figures]]) -> None:
    _, found = form
    assert found[Row("outcome", "all", "share")].bias < 1e-9
    assert found[Row("siblings", "all", "share")].bias < 1e-9


def test_equal_weights_are_wrong_where_the_policy_ends_steps(
    form: tuple[Any, dict[Row, Figures]],
) -> None:
    (_, marks, children), found = form
    # A path that branches later has more leaves than one that ended early.
    uneven = marks and children[1] > 1
    assert (found[Row("outcome", "all", "equal")].bias > 0.01) == uneven
    assert (found[Row("siblings", "all", "equal")].bias > 0.01) == uneven


def test_a_baseline_with_the_step_itself_in_it_scales_the_gradient(
    form: tuple[Any, dict[Row, Figures]],
) -> None:
    (_, marks, children), found = form
    gain = found[Row("q_gain", "all", "share")]
    if children == (2, 2) and not marks:
        # (draws - 1) / draws of it, in the right direction.
        assert (gain.scale, gain.angle) == pytest.approx((0.5, 0.0), abs=1e-5)
    elif children == (1, 1):
        assert gain.scale == pytest.approx(0, abs=1e-12)
    else:
        assert gain.angle > 1
    # A single chain without a baseline of its own has the plain rule.
    if children == (1, 1):
        assert found[Row("siblings", "all", "share")] == pytest.approx(
            found[Row("outcome", "all", "share")], abs=1e-9
        )


def test_a_choice_by_outcome_is_biased() -> None:
    found = measured(ToyPolicy(2, True, (3, 2)))
    assert found[Row("siblings", "all", "share")].bias < 1e-9
    assert found[Row("siblings", "balanced", "share")].bias > 0.01


def test_siblings_are_less_noisy_than_the_outcome() -> None:
    found = measured(ToyPolicy(2, False, (3, 3)))
    assert (
        found[Row("siblings", "all", "share")].noise < found[Row("outcome", "all", "share")].noise
    )


def test_steps_that_were_drawn_again_count_as_often() -> None:
    """Equal siblings as one node with their draws give what they give as nodes of their own."""
    policy = ToyPolicy(2, False, (3, 1))
    seen = 0
    for _, tree in policy.trees():
        first = [node for node in tree.nodes if node.depth == 1]
        if len({node.step for node in first}) == 3:
            continue
        below = [tree.children(node.id)[0] for node in first]
        same = [i for i, node in enumerate(first) if node.step == first[1].step]
        if len({below[i].step for i in same}) > 1:
            continue
        seen += 1
        merged = [i for i in range(3) if i not in same[1:]]
        values = TreeValues.of(tree, policy.reward)
        apart = step_credit(tree, [node.id for node in below], "siblings", values)
        keep = {0} | {first[i].id for i in merged} | {below[i].id for i in merged}
        numbers = {old: new for new, old in enumerate(sorted(keep))}
        nodes = [node for node in tree.nodes if node.id in keep]
        first[same[0]].draws = len(same)
        leaves = [below[i] for i in merged]
        for node in nodes:
            node.id, node.parent = numbers[node.id], numbers.get(node.parent, -1)
        tree.nodes[:] = nodes
        joined = TreeValues.of(tree, policy.reward)
        assert sum(joined.shares[leaf.id] for leaf in leaves) == pytest.approx(1)
        for i, leaf in zip(merged, leaves, strict=True):
            assert joined.shares[leaf.id] == pytest.approx((len(same) if i in same else 1) / 3)
            (found,) = step_credit(tree, [leaf.id], "siblings", joined)
            assert found[0] == pytest.approx(apart[i][0])
    assert seen > 20


def test_the_bench_prints_its_figures(document_of: Any) -> None:
    (table,) = document_of(credit, "--quick").values()
    exact = [row for row in table if row["bias"] < 1e-9]
    # Here no step has siblings with more leaves than it has. So Q is the step's value.
    assert {(row["credit"], row["weights"]) for row in exact} == {
        ("outcome", "share"),
        ("siblings", "share"),
        ("q", "share"),
    }
