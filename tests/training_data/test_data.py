"""Training data of hand-made trees: what is picked and paired stands here, by every rule."""

from pathlib import Path
from typing import Any

import pytest
from evolve_trees import GOLDEN, PROBLEM, make_tree
from hypothesis import given
from hypothesis import strategies as st

from rstar_fast.data import (
    PAPER,
    RELEASED,
    PairGroup,
    PairRules,
    SearchAgain,
    all_pair_groups,
    best_solutions,
    difficulty,
    flat_pair_rows,
    group_of_row,
    merge,
    merged,
    pair_group_row,
    pair_groups,
    read_rows,
    searches_again,
    sft_rows,
    share_correct,
    trajectories,
    trajectory_rows,
    without_doubtful,
    write_rows,
)
from rstar_fast.data.edit_distance import at_least
from rstar_fast.errors import ConfigError, DataError
from rstar_fast.problems import Problem
from rstar_fast.tree import Tree


def shown(groups: list[PairGroup]) -> list[tuple[str, str, list[tuple[str, str]], float]]:
    """Of each group its kind, prefix, pairs as texts, and weight."""
    return [
        (
            group.kind,
            "".join(group.prefix),
            [("".join(group.chosen[i]), "".join(group.rejected[j])) for i, j in group.pairs],
            group.weight,
        )
        for group in groups
    ]


def test_trajectories_carry_their_statistics() -> None:
    found = {one.text: one for one in trajectories(GOLDEN)}
    assert list(found) == [
        "A A1 right by A1",
        "A A2 wrong by A2",
        "A A3 wrong by A3",
        "B B1 wrong by B1",
        "C C1 right by C1",
        "C C2 right by C2",
    ]
    one = found["A A2 wrong by A2"]
    assert (one.steps, one.qs) == (("A ", "A2 ", "wrong by A2"), (0.5, 0.2, -1.0))
    assert one.mean_q == pytest.approx(-0.1)
    assert (one.min_q, one.answer, one.correct, one.failed_code) == (-1.0, "6", False, False)
    assert found["C C1 right by C1"].failed_code


def test_the_policy_learns_from_the_two_best_right_trajectories_without_a_failed_program() -> None:
    assert [one.text for one in best_solutions(GOLDEN)] == ["C C2 right by C2", "A A1 right by A1"]
    assert [one.text for one in best_solutions(GOLDEN, 1)] == ["C C2 right by C2"]
    rows = sft_rows([GOLDEN])
    assert rows[0] == {
        "id": "p",
        "prompt": "<|user|>:\nHow many?\n<|assistant|>: Let's think step by step and solve the problem with code.",
        "completion": "C C2 right by C2",
        "mean_q": pytest.approx(2.6 / 3),
        "min_q": 0.7,
    }
    assert [row["completion"] for row in rows] == ["C C2 right by C2", "A A1 right by A1"]


def test_ties_of_the_mean_go_to_the_higher_minimum_then_to_the_earlier() -> None:
    tree = make_tree(
        ("a ", 0.75, ("first", 0.25, True)),
        ("b ", 0.5, ("second", 0.5, True)),
        ("c ", 0.5, ("third", 0.5, True)),
    )
    assert [one.text for one in best_solutions(tree, 3)] == ["b second", "c third", "a first"]


def test_a_repeated_solution_counts_once() -> None:
    tree = make_tree(
        ("a ", 0.9, ("x", 1.0, True)), ("a ", 0.8, ("x", 1.0, True)), ("b ", 0.1, ("x", 1.0, True))
    )
    assert [one.text for one in best_solutions(tree)] == ["a x", "b x"]
    assert best_solutions(tree)[0].qs == (0.9, 1.0)


def test_pairs_by_the_papers_rules() -> None:
    assert shown(pair_groups(GOLDEN)) == [
        # A leads to both: better than B, worse than C.
        ("step", "", [("C ", "B "), ("C ", "A "), ("A ", "B ")], 0.25),
        ("step", "A ", [("A1 ", "A3 "), ("A1 ", "A2 ")], 0.5),
        (
            "trajectory",
            "",
            [
                ("C C1 right by C1", "B B1 wrong by B1"),
                ("C C1 right by C1", "A A3 wrong by A3"),
                ("C C2 right by C2", "B B1 wrong by B1"),
                ("C C2 right by C2", "A A3 wrong by A3"),
            ],
            0.25,
        ),
    ]
    step = pair_groups(GOLDEN)[1]
    assert (step.chosen_q, step.rejected_q) == ((0.8,), (-0.4, 0.2))


def test_final_answers_are_paired_as_trajectories_or_as_siblings() -> None:
    tree = make_tree(("a ", 0.2, ("right", 1.0, True), ("wrong", -1.0, False)))
    assert shown(pair_groups(tree)) == [("trajectory", "", [("a right", "a wrong")], 1.0)]
    siblings = PairRules(final_step="siblings")
    assert shown(pair_groups(tree, siblings)) == [("step", "a ", [("right", "wrong")], 1.0)]


def wide_tree() -> Tree:
    """One step that is right, five that are wrong."""
    wrong = [(f"bad step number {i} ", -0.1 * i, ("wrong", -1.0, False)) for i in range(5)]
    return make_tree(("good ", 0.5, ("right", 1.0, True)), *wrong)


def test_one_against_more() -> None:
    rules = PairRules(against_one=4)
    assert shown(pair_groups(wide_tree(), rules))[0] == (
        "step",
        "",
        [("good ", f"bad step number {i} ") for i in (4, 3, 2, 1)],
        0.25,
    )
    assert len(pair_groups(wide_tree())[0].pairs) == 2
    mirrored = make_tree(
        *[(f"good {i} ", 0.1 * i, ("right", 1.0, True)) for i in range(5)],
        ("bad ", -0.5, ("wrong", -1.0, False)),
    )
    assert shown(pair_groups(mirrored, rules))[0][2] == [
        (f"good {i} ", "bad ") for i in (4, 3, 2, 1)
    ]
    assert len(pair_groups(GOLDEN, rules)[0].pairs) == 3, (
        "two on both sides: four are for one against one side only"
    )


def test_margin_and_edit_distance() -> None:
    assert shown(pair_groups(GOLDEN, PairRules(min_margin=0.75)))[0] == (
        "step",
        "",
        [("C ", "B "), ("A ", "B ")],
        0.25,
    )
    assert shown(pair_groups(GOLDEN, PairRules(min_margin=1.25)))[:1] == [
        ("step", "", [("C ", "B ")], 0.25)
    ]
    rules = PairRules(min_edit_distance=17, against_one=4)
    assert len(pair_groups(wide_tree(), rules)[0].pairs) == 4
    rules = PairRules(min_edit_distance=18, against_one=4)
    assert [group.kind for group in pair_groups(wide_tree(), rules)] == ["trajectory"]


def test_the_released_rules() -> None:
    assert PairRules(2, 4, 0.5, 20, "siblings") == RELEASED
    assert PairRules(2, 2, 0.0, 0, "trajectories") == PAPER
    long = make_tree(
        ("a step with a good many characters ", 0.6, ("x", 1.0, True)),
        ("and something quite different ", 0.0, ("y", -1.0, False)),
        ("a step with a good many characterS ", -0.5, ("z", -1.0, False)),
    )
    assert shown(pair_groups(long, RELEASED)) == [
        (
            "step",
            "",
            [("a step with a good many characters ", "and something quite different ")],
            0.5,
        )
    ]
    with pytest.raises(ConfigError, match="per_side"):
        PairRules(per_side=3)
    with pytest.raises(ConfigError, match="min_margin"):
        PairRules(min_margin=-0.1)
    with pytest.raises(ConfigError, match="final_step"):
        PairRules(final_step="none")  # type: ignore[arg-type]


def test_equal_q_is_no_preference() -> None:
    tree = make_tree(("a ", 0.0, ("x", 1.0, True)), ("b ", 0.0, ("y", -1.0, False)))
    assert [group.kind for group in pair_groups(tree)] == ["trajectory"]


def test_searches_of_one_problem_become_one_tree() -> None:
    first = make_tree(
        ("a ", 0.5, ("a1 ", 1.0, ("right", 1.0, True))), ("b ", -1.0, "error"), seed=1
    )
    second = make_tree(
        ("c ", 0.25, ("right", 1.0, True)),
        ("a ", -0.5, ("a2 ", -1.0, ("wrong", -1.0, False))),
        seed=2,
    )
    first.nodes[1].visits = 3
    first.counts, second.counts = {"expansions": 2}, {"expansions": 3}
    tree = merge([first, second])
    assert [(node.text, node.parent, node.depth) for node in tree.nodes] == [
        ("", -1, 0),
        ("a ", 0, 1),
        ("b ", 0, 1),
        ("c ", 0, 1),
        ("a1 ", 1, 2),
        ("a2 ", 1, 2),
        ("right", 3, 2),
        ("right", 4, 3),
        ("wrong", 5, 3),
    ]
    assert [node.id for node in tree.nodes] == list(range(9))
    assert (tree.nodes[1].visits, tree.nodes[1].q) == (4, 0.25)
    assert (tree.seed, tree.counts) == (1, {"expansions": 5})
    assert first.nodes[1].visits == 3
    # Neither search has this pair.
    assert shown(pair_groups(tree))[0] == ("step", "a ", [("a1 ", "a2 ")], 1.0)
    assert [
        len(group.pairs)
        for one in (first, second)
        for group in pair_groups(one)
        if group.kind == "step"
    ] == [1]


def test_merging_keeps_a_lone_tree_and_refuses_mixed_ones() -> None:
    assert merge([GOLDEN]) == GOLDEN
    other = Tree(Problem("p", "How much?", ("5",)), GOLDEN.nodes)
    with pytest.raises(DataError, match="one problem"):
        merged([GOLDEN, other])
    with pytest.raises(DataError, match="got none"):
        merge([])
    trees = merged([GOLDEN, Tree(Problem("q", "x", ("5",)), GOLDEN.nodes), GOLDEN])
    assert [tree.problem.id for tree in trees] == ["p", "q"]


def test_difficulty_and_what_it_asks_for() -> None:
    easy, hard = make_tree(("a", 1.0, True)), make_tree(("a", -1.0, False))
    nothing = make_tree(("a", -1.0, "error"))
    assert [difficulty(tree) for tree in (easy, GOLDEN, hard, nothing)] == [
        "easy",
        "medium",
        "hard",
        "hard",
    ]
    assert [share_correct(tree) for tree in (easy, GOLDEN, hard, nothing)] == [1.0, 0.5, 0.0, 0.0]
    assert searches_again(2) == (SearchAgain(("hard", "medium"), 16),)
    assert [again.rollouts for again in searches_again(4)] == [64, 128]
    doubtful = make_tree(
        ("a", 1.0, True), ("b", -1.0, False), ("c", -1.0, False), problem=Problem("s", "?", ("5",))
    )
    assert without_doubtful([GOLDEN, doubtful], {"p", "s"}) == [GOLDEN]
    assert without_doubtful([GOLDEN, doubtful], {"p"}) == [GOLDEN, doubtful]


def test_rows_of_pairs() -> None:
    tree = merge([GOLDEN])
    for node in tree.nodes:
        node.logprobs = {"A3 ": (-1.0, -2.0), "A2 ": (-0.25,)}.get(node.text, ())
    groups = pair_groups(tree)
    assert pair_group_row(groups[1]) == {
        "id": "p",
        "question": "How many?",
        "kind": "step",
        "prefix": ["A "],
        "chosen": [["A1 "]],
        "rejected": [["A3 "], ["A2 "]],
        "chosen_q": [0.8],
        "rejected_q": [-0.4, 0.2],
        "chosen_logprob": [None],
        "rejected_logprob": [-3.0, -0.25],
        "pairs": [[0, 0], [0, 1]],
    }
    flat = flat_pair_rows(groups)
    assert len(flat) == 9
    prompt = "<|user|>:\nHow many?\n<|assistant|>: Let's think step by step and solve the problem with code."
    assert flat[3] == {
        "id": "p",
        "prompt": prompt + "A ",
        "chosen": "A1 ",
        "rejected": "A3 ",
        "weight": 0.5,
        "margin": pytest.approx(1.2),
    }
    with pytest.raises(DataError, match=r"KeyError: 'chosen'"):
        group_of_row({"id": "p", "question": "q", "kind": "step", "prefix": []})


def rounded(value: Any) -> Any:
    """Values with numbers as exact as a reader of JSON keeps them."""
    if isinstance(value, float):
        return round(value, 12)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_files_are_read_back_by_us_and_by_datasets(tmp_path: Path, suffix: str) -> None:
    datasets = pytest.importorskip("datasets")
    groups = pair_groups(GOLDEN)
    for name, rows in {
        "groups": [pair_group_row(group) for group in groups],
        "pairs": flat_pair_rows(groups),
        "sft": sft_rows([GOLDEN]),
        "trajectories": trajectory_rows([GOLDEN]),
    }.items():
        path = tmp_path / f"{name}{suffix}"
        write_rows(path, rows)
        assert read_rows(path) == rows
        kind = "json" if suffix == ".jsonl" else "parquet"
        loaded = datasets.load_dataset(
            kind, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
        )
        assert rounded(loaded.to_list()) == rounded(rows)
    assert [group_of_row(row) for row in read_rows(tmp_path / f"groups{suffix}")] == [
        PairGroup(
            Problem("p", "How many?"), *(getattr(group, name) for name in PairGroup.__slots__[1:])
        )
        for group in groups
    ]
    assert [path.suffix for path in tmp_path.iterdir() if path.is_file()] == [suffix] * 4


def test_a_round_without_data_says_why(tmp_path: Path) -> None:
    right = make_tree(("a", 1.0, True))
    wrong = make_tree(("a", -1.0, False), problem=Problem("w", "?", ("5",)))
    failed = make_tree(("a ", 0.5, "error", ("x", 1.0, True)), problem=Problem("f", "?", ("5",)))
    none = make_tree(("a", -1.0, "error"), problem=Problem("n", "?", ("5",)))
    with pytest.raises(
        DataError,
        match="3 problems with 2 trajectories, of which 1 are right and 0 right without a failed",
    ):
        sft_rows([wrong, failed, none])
    with pytest.raises(
        DataError, match="of 4 problems 2 have only right trajectories, 1 only wrong ones, 1 none"
    ):
        all_pair_groups([right, wrong, failed, none])
    with pytest.raises(DataError, match="0 problems"):
        sft_rows([])
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(DataError, match=r"empty.jsonl: empty"):
        read_rows(tmp_path / "empty.jsonl")
    with pytest.raises(DataError, match="nothing to write"):
        write_rows(tmp_path / "x.jsonl", [])
    with pytest.raises(DataError, match="no such file"):
        read_rows(tmp_path / "x.jsonl")
    with pytest.raises(DataError, match=r"\.jsonl or \.parquet"):
        read_rows(tmp_path / "x.csv")
    (tmp_path / "broken.jsonl").write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(DataError, match=r"broken.jsonl:2: broken JSON"):
        read_rows(tmp_path / "broken.jsonl")
    (tmp_path / "broken.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="parquet"):
        read_rows(tmp_path / "broken.parquet")


def test_an_answer_nobody_graded_is_no_data() -> None:
    tree = make_tree(("a", 1.0, True), problem=PROBLEM)
    tree.nodes[1].correct = None
    for use in (sft_rows, all_pair_groups, trajectory_rows):
        with pytest.raises(DataError, match="node 1: expected a graded answer, got '5'"):
            use([tree])


def test_trajectories_of_a_problem_can_be_limited_half_right_half_wrong() -> None:
    every = trajectory_rows([GOLDEN])
    right = [row for row in every if row["correct"]]
    for most in range(1, len(every) + 2):
        few = trajectory_rows([GOLDEN], most)
        assert len(few) == min(most, len(every)) and all(row in every for row in few)
        assert len({repr(row) for row in few}) == len(few)
        num_right = sum(row["correct"] for row in few)
        assert (
            num_right == len(right)
            or len(few) - num_right == len(every) - len(right)
            or abs(2 * num_right - most) <= 1
        )


@given(st.text("ab", max_size=12), st.text("ab", max_size=12), st.integers(0, 14))
def test_edit_distance_against_the_plain_recursion(first: str, second: str, edits: int) -> None:
    row = list(range(len(second) + 1))
    for i, char in enumerate(first, 1):
        before, row = row, [i]
        for j, other in enumerate(second, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (char != other)))
    assert at_least(first, second, edits) == (row[-1] >= edits)
