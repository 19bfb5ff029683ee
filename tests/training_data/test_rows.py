"""Rows of training data, and the files that keep them."""

import sys
from pathlib import Path
from typing import Any

import pytest
from data_trees import GOLDEN, make_tree

from rstar_fast.data import (
    PairGroup,
    all_pair_groups,
    flat_pair_rows,
    group_of_row,
    merge,
    pair_group_row,
    pair_groups,
    read_rows,
    sft_rows,
    trajectory_rows,
    write_rows,
)
from rstar_fast.errors import DataError, StoreError
from rstar_fast.problems import Problem
from rstar_fast.prompts import finetuned_prompt


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
        "prefix_observations": [""],
        "chosen_observations": [[""]],
        "rejected_observations": [[""], [""]],
    }
    flat = flat_pair_rows(groups, steps=True)
    assert len(flat) == 9
    assert flat[3] == {
        "id": "p",
        "prompt": finetuned_prompt("How many?") + "A ",
        "chosen": "A1 ",
        "rejected": "A3 ",
        "weight": 0.5,
        "q_gain": pytest.approx(1.2),
    }
    # Whole solutions, unless steps are asked for.
    whole = [row for row in flat if row["prompt"] == finetuned_prompt("How many?")][-4:]
    assert flat_pair_rows(groups) == whole and whole[0]["chosen"] == "C C1 right by C1"
    with pytest.raises(DataError, match=r"KeyError: 'chosen'"):
        group_of_row({"id": "p", "question": "q", "kind": "step", "prefix": []})


def test_text_that_only_spells_a_mark_is_in_no_plain_text() -> None:
    def rows(right: str) -> list[dict[str, Any]]:
        return flat_pair_rows(pair_groups(make_tree((right, 1.0, True), ("b", -1.0, False))))

    assert len(rows("a")) == 1
    assert rows("'<\\end_of_step>'") == []


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
    with pytest.raises(DataError, match="at least one row to write, got none"):
        write_rows(tmp_path / "x.jsonl", [])
    with pytest.raises(DataError, match="no such file"):
        read_rows(tmp_path / "x.jsonl")
    with pytest.raises(DataError, match=r"\.jsonl or \.parquet"):
        read_rows(tmp_path / "x.csv")
    (tmp_path / "broken.jsonl").write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(DataError, match=r"broken.jsonl:2: broken JSON"):
        read_rows(tmp_path / "broken.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"a": 1}\n{"a": "\xe9"}\n')
    with pytest.raises(DataError, match=r"latin.jsonl:2: broken JSON: 'utf-8' codec"):
        read_rows(tmp_path / "latin.jsonl")
    (tmp_path / "broken.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="parquet"):
        read_rows(tmp_path / "broken.parquet")


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


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("pyarrow")
    unfit: dict[str, Any] = {"a": object()}
    with pytest.raises(Exception, match=r"object"):
        write_rows(tmp_path / f"x{suffix}", [unfit])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"could not write 1 rows"):
        write_rows(tmp_path / "file" / f"x{suffix}", [{"a": 1}])


def test_a_missing_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    with pytest.raises(DataError, match=r'pyarrow: pip install "rstar-fast\[train\]"'):
        write_rows(tmp_path / "x.parquet", [{"a": 1}])
    assert list(tmp_path.iterdir()) == []
