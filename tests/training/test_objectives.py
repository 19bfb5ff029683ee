"""Losses of the PPM and of the models it is compared with, and the accuracy on pairs."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from data_trees import GOLDEN, make_tree
from training_cases import pair_rows

from rstar_fast.data import PairGroup, pair_group_row, pair_groups, trajectory_rows
from rstar_fast.errors import DataError
from rstar_fast.ppm import PPM
from rstar_fast.ppm.packed_model import PackedModel
from rstar_fast.ppm.texts import Texts
from rstar_fast.training import TrainConfig
from rstar_fast.training.examples import pair_trees, target_trees
from rstar_fast.training.objectives import Objective, objective_loss, total_weight
from rstar_fast.training.pair_accuracy import likelihood_accuracy, pair_accuracy
from rstar_fast.training.token_trees import pack_trees
from rstar_fast.training.train_ppm import train_ppm
from rstar_fast.tree import Tree

pytest.importorskip("trl")


def plain_values(ppm: PPM, group: PairGroup, side: tuple[tuple[str, ...], ...]) -> torch.Tensor:
    """Values of a group's texts, each text by a forward of its own."""
    texts = Texts(ppm, None)
    found = []
    for steps in side:
        ids = [
            token
            for piece in texts.pieces(group.problem.question, (*group.prefix, *steps))
            for token in piece
        ]
        found.append(ppm.forward(torch.tensor([ids]), torch.tensor([len(ids) - 1])))
    return torch.cat(found)


def test_the_packed_loss_is_the_papers(policy: Path) -> None:
    ppm = PPM.from_policy(policy, device="cpu", dtype=torch.float64, seed=3)
    groups = pair_groups(GOLDEN)
    trees, left_out = pair_trees(groups, Texts(ppm, None))
    assert left_out == 0
    assert len(trees) == 1
    packed = pack_trees(trees)
    expected = torch.zeros((), dtype=torch.float64)
    for group in groups:
        chosen, rejected = (
            plain_values(ppm, group, group.chosen),
            plain_values(ppm, group, group.rejected),
        )
        for i, j in group.pairs:
            expected -= torch.nn.functional.logsigmoid(chosen[i] - rejected[j]) / (
                len(chosen) * len(rejected)
            )
    loss = objective_loss(PackedModel(ppm).values(packed.packed), packed, "ppm")
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    assert total_weight(packed) == pytest.approx(0.75 + 1 + 1)
    # The tree has the prompt and every prefix of a picked continuation, each once.
    texts = Texts(ppm, None)
    all_steps = {
        (*group.prefix, *one)
        for group in groups
        for side in (group.chosen, group.rejected)
        for one in side
    }
    prefixes = {steps[: i + 1] for steps in all_steps for i in range(len(steps))}
    distinct = sum(len(texts.pieces("How many?", steps)[-1]) for steps in prefixes)
    assert trees[0].num_tokens == distinct + len(texts.pieces("How many?", ())[0])


def test_the_losses_it_is_compared_with(policy: Path) -> None:
    ppm = PPM.from_policy(policy, device="cpu", dtype=torch.float64, seed=3)
    rows = trajectory_rows([GOLDEN])
    texts, model = Texts(ppm, None), PackedModel(ppm)

    def value(steps: list[str]) -> torch.Tensor:
        ids = [token for piece in texts.pieces("How many?", steps) for token in piece]
        return ppm.forward(torch.tensor([ids]), torch.tensor([len(ids) - 1]))[0]

    trees, _ = target_trees(rows, texts, "orm")
    packed = pack_trees(trees)
    outcomes = [
        torch.nn.functional.logsigmoid(value(one["steps"]) * (1 if one["correct"] else -1))
        for one in rows
    ]
    loss = objective_loss(model.values(packed.packed), packed, "orm")
    assert loss.item() == pytest.approx(-sum(outcomes).item(), abs=1e-6)
    assert total_weight(packed) == 6
    trees, _ = target_trees(rows, texts, "pqm")
    packed = pack_trees(trees)
    steps = {tuple(one["steps"][: i + 1]): q for one in rows for i, q in enumerate(one["qs"])}
    errors = [(torch.tanh(value(list(path))) - q) ** 2 for path, q in steps.items()]
    loss = objective_loss(model.values(packed.packed), packed, "pqm")
    assert loss.item() == pytest.approx(sum(errors).item(), abs=1e-6)
    assert total_weight(packed) == len(steps) == 15


def with_logprobs() -> Tree:
    """The golden tree as a policy wrote it that tells log-probabilities."""
    tree = Tree(GOLDEN.problem, [replace(node) for node in GOLDEN.nodes], GOLDEN.seed)
    for node in tree.nodes[1:]:
        node.logprobs = (-0.5, -0.25 * node.id**0.5)
    return tree


@pytest.mark.parametrize("objective", ["ppm", "orm", "pqm"])
def test_the_likelihood_moves_the_values_that_are_compared(
    policy: Path, objective: Objective
) -> None:
    ppm = PPM.from_policy(policy, device="cpu", dtype=torch.float64, seed=3)
    texts, tree = Texts(ppm, None), with_logprobs()
    rows = trajectory_rows([tree])
    trees, _ = (
        pair_trees(pair_groups(tree), texts)
        if objective == "ppm"
        else target_trees(rows, texts, objective)
    )
    packed = pack_trees(trees)
    values = PackedModel(ppm).values(packed.packed).detach()
    moved = objective_loss(values, packed, objective, likelihood=0.5)
    # The same by hand: every node's value plus half of the log-probability of its path.
    by_pieces = {
        tuple(texts.pieces(tree.problem.question, [step.text for step in tree.path(node.id)])): sum(
            sum(step.logprobs) for step in tree.path(node.id)
        )
        for node in tree.nodes
    }
    paths = []
    for place in range(len(trees[0].parents)):
        chain, node = [], place
        while node >= 0:
            chain.append(trees[0].tokens[node])
            node = trees[0].parents[node]
        paths.append(by_pieces[tuple(chain[::-1])])
    by_hand = objective_loss(
        values + 0.5 * torch.tensor(paths, dtype=torch.float64), packed, objective
    )
    assert moved.item() == pytest.approx(by_hand.item(), abs=1e-6)
    assert abs(moved.item() - objective_loss(values, packed, objective).item()) > 1e-3


def test_a_likelihood_is_kept_with_the_ppm_and_must_be_known(policy: Path, tmp_path: Path) -> None:
    tree = with_logprobs()
    groups = pair_groups(tree)
    config = TrainConfig.preset("cpu-ppm", epochs=1, likelihood=1000.0)
    train_ppm(policy, [pair_group_row(group) for group in groups], tmp_path / "ppm", config)
    ppm = PPM.from_pretrained(tmp_path / "ppm", device="cpu")
    assert ppm.likelihood == 1000.0
    assert pair_accuracy(ppm, groups).right == likelihood_accuracy(groups).right, (
        "so much weight leaves nothing to the head"
    )
    with pytest.raises(DataError, match="log-probability of every step"):
        train_ppm(policy, pair_rows(), tmp_path / "none", config)


def test_likelihood_is_compared_where_it_is_known() -> None:
    tree = make_tree(
        ("a ", 0.5, ("x", 1.0, True)),
        ("b ", -0.5, ("y", -1.0, False)),
        ("c ", -0.4, ("z", -1.0, False)),
    )
    for node in tree.nodes:
        node.logprobs = {"a ": (-1.0,), "b ": (-2.0, -2.0), "x": (-1.0,)}.get(node.text, ())
    found = likelihood_accuracy(pair_groups(tree))
    assert (found.pairs, found.accuracy, found.left_out) == (1, 1.0, 3)
    with pytest.raises(DataError, match="got none; 9 were left out"):
        likelihood_accuracy(pair_groups(GOLDEN))
