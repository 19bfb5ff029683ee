"""Random calls, some of them wrong, to a forest and to its oracle."""

import pickle
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from forest_oracle import Oracle, Refused

from rstar_fast._core import NO_NODE, Forest, simd_levels, use_simd_level
from rstar_fast.errors import ForestError

VALUES = [-1.0, 1.0, 0.25, -0.0, 1e-40, 1e-200, 1e300]
"""Few values, so that ties happen. Some are out of the range or precision of float32."""
WRONG = 0.05
"""Probability that a wrong value replaces one value of a call."""


def assert_same(forest: Forest, oracle: Oracle) -> None:
    trees = oracle.trees()
    assert forest.num_trees == len(trees)
    for tree in range(oracle.max_trees):
        if tree not in trees:
            with pytest.raises(ForestError):
                forest.num_nodes(tree)
            continue
        nodes = [oracle.nodes[node] for node in oracle.ids(tree)]
        assert forest.num_nodes(tree) == len(nodes)
        assert forest.root(tree) == oracle.ids(tree)[0]
        assert forest.parents(tree).tolist() == [node.parent for node in nodes]
        assert forest.num_children(tree).tolist() == [len(node.children) for node in nodes]
        assert forest.first_children(tree).tolist() == [
            node.children[0] if node.children else NO_NODE for node in nodes
        ]
        assert forest.visits(tree).tolist() == [node.visits for node in nodes]
        assert forest.value_sums(tree).tolist() == [node.value_sum for node in nodes]
        assert forest.q(tree).tolist() == [node.q for node in nodes]
        assert forest.draws(tree).tolist() == [node.draws for node in nodes]
        assert forest.terminal(tree).tolist() == [node.terminal for node in nodes]
        assert forest.in_flight(tree).tolist() == [node.in_flight for node in nodes]
    forest.verify()


def random_call(random: Random, oracle: Oracle, widening: bool) -> tuple[str, list[object]]:
    """Return the name of a method and its arguments.

    Args:
        random: Source of the choice.
        oracle: Forest that the call is made to.
        widening: Whether children may also be drawn one by one.
    """

    def maybe(value: Any, *wrong: Any) -> Any:
        return random.choice(wrong) if random.random() < WRONG else value

    capacity = oracle.max_trees * oracle.nodes_per_tree
    known = list(oracle.nodes) or [0]
    nodes = [
        maybe(random.choice(known), -1, capacity, -(2**31), 2**31 - 1, random.randrange(capacity))
        for _ in range(random.randrange(5))
    ]
    # Ids that a call which expands or plants a tree would make.
    new = [oracle.ids(tree)[-1] + 1 + random.randrange(3) for tree in oracle.trees()]
    rare = ["new_trees", "free_trees", "set_terminal", "reroot", "prune"]
    name = random.choice(
        [*rare, *["release"] * 4, *["expand", "select", "backup", "add"] * 8, *["simulate"] * 4]
    )
    if widening and name in ("release", "expand"):
        name = random.choice([name, "append", "redraw"])
    match name:
        case "new_trees":
            return name, [maybe(random.randrange(1, 3), 0, -1)]
        case "free_trees":
            tree = random.choice(oracle.trees() or [0])
            return name, [[maybe(tree, -1, oracle.max_trees), *maybe([], [tree])]]
        case "set_terminal":
            return name, [nodes[:1]]
        case "release":
            waiting = [id for id, node in oracle.nodes.items() if node.in_flight]
            chosen = random.sample(waiting, min(len(waiting), random.randrange(3)))
            return name, [[maybe(node, -1, *nodes) for node in chosen]]
        case "reroot":
            # Mostly the root itself or a node near it, because trees would stay small otherwise.
            return name, [maybe(min(random.choices(known, k=3)), -1, capacity, 2**40)]
        case "prune":
            return name, [nodes[: maybe(1, 0, 2)]]
        case "expand" | "simulate":
            leaves = [
                id for id, node in oracle.nodes.items() if not node.children and not node.terminal
            ]
            chosen = random.sample(leaves, min(len(leaves), random.randrange(3)))
            nodes = [maybe(node, -1, *nodes, *chosen, *new) for node in chosen]
            nodes += maybe([], new[:1], new[-1:], chosen[:1])
            counts = [maybe(random.choice([1, 2, 3, 5, 32, 40]), 0, -1, 70000, 300) for _ in nodes]
            values: Any = [random.choice(VALUES) for _ in range(max(0, min(sum(counts), 200)))]
            values = random.choice([None, maybe(values, [*values, 1.0], [*values[1:], np.nan])])
            if name == "expand":
                return name, [nodes, counts, values]
            results = [maybe(random.choice(VALUES), np.nan) for _ in nodes]
            roots = [tree * oracle.nodes_per_tree for tree in oracle.trees()]
            # Mostly the roots of the same trees, in order.
            starts = sorted(
                {node // oracle.nodes_per_tree * oracle.nodes_per_tree for node in nodes}
            )
            starts = maybe(starts, roots, nodes, new[:1])
            moves = [maybe(random.randrange(6), -1) for _ in starts]
            c = maybe(random.choice([0.0, 0.1, 2.0]), -1.0, np.nan)
            claim = random.random() < 0.5
            return name, [
                nodes,
                counts,
                values,
                maybe(results, [*results, 1.0]),
                starts,
                moves,
                c,
                claim,
            ]
        case "select":
            moves = [maybe(random.randrange(6), -1) for _ in nodes]
            c = maybe(random.choice([0.0, 0.1, 0.5, 2.0, 1e200]), -1.0, np.nan, np.inf)
            claim = random.random() < 0.5
            if not widening or random.random() < 0.3:
                return name, [nodes, maybe(moves, [*moves, 1]), c, claim]
            schedule = [
                maybe(random.choice([0.5, 1.0, 2.0]), -1.0, np.inf),
                maybe(random.choice([0.0, 0.5, 0.7, 1.0]), -0.5, np.nan),
                maybe(random.choice([1, 2, 5, 8191]), 0, 8192),
            ]
            return name, [nodes, moves, c, claim, *schedule]
        case "append":
            waiting = [id for id, node in oracle.nodes.items() if node.in_flight]
            return name, [[*nodes, *random.sample(waiting, min(len(waiting), 2))]]
        case "redraw":
            return name, [[node for node in nodes if maybe(node % oracle.nodes_per_tree, 1)]]
        case _:
            values = [
                maybe(random.choice([*VALUES, random.uniform(-1, 1)]), np.nan, -np.inf)
                for _ in nodes
            ]
            return name, [nodes, maybe(values, [*values, 1.0])]


def call_forest(forest: Forest, name: str, arguments: list[Any]) -> Any:
    """Make a call with arrays in place of lists."""
    if name == "select":
        nodes, moves, c, claim, *schedule = arguments
        names = ("widening", "widening_exponent", "max_draws")
        return forest.select(
            np.array(nodes, np.int32),
            np.array(moves, np.int32),
            c,
            claim=claim,
            **dict(zip(names, schedule, strict=False)),
        )
    if name == "simulate":
        *arrays, c, claim = arguments
        types = [np.int32, np.int32, np.float64, np.float64, np.int32, np.int32]
        given: list[Any] = [
            None if one is None else np.array(one, dtype)
            for one, dtype in zip(arrays, types, strict=True)
        ]
        simulate: Any = forest.simulate
        return simulate(*given, c, claim=claim)
    dtypes = [np.int32, np.float64 if name in ("backup", "add") else np.int32, np.float64]
    return getattr(forest, name)(
        *(
            np.array(a, d) if isinstance(a, list) else a
            for a, d in zip(arguments, dtypes, strict=False)
        )
    )


def compare(seed: int, folder: Path, num_calls: int = 250) -> int:
    """Make random calls. Forest and oracle give the same answers, and refuse the same calls.

    Returns:
        Number of calls that were refused.
    """
    random = Random(seed)
    use_simd_level(simd_levels()[seed % len(simd_levels())])
    sizes = (
        random.randrange(1, 5),
        random.choice([random.randrange(2, 60), random.randrange(60, 200)]),
    )
    forest, oracle = Forest(*sizes, keep_values=True), Oracle(*sizes)
    refusals = 0
    for step in range(num_calls):
        name, arguments = random_call(random, oracle, widening=seed % 2 == 1)
        try:
            expected = oracle.call(name, *arguments)
        except Refused:
            refusals += 1
            with pytest.raises(ForestError, match=f"^{name}"):
                call_forest(forest, name, arguments)
        else:
            answer = call_forest(forest, name, arguments)
            if isinstance(answer, tuple):
                assert tuple(array.tolist() for array in answer) == expected, (name, arguments)
            elif answer is not None:
                assert answer.tolist() == expected, (name, arguments)
        assert_same(forest, oracle)
        if step % 50 == 0:
            forest.save(folder / "forest")
            forest = Forest.load(folder / "forest")
        elif step % 50 == 25:
            forest = pickle.loads(pickle.dumps(forest))
    use_simd_level(simd_levels()[0])
    return refusals
