"""Loading problems: the formats that are read, and errors that name the file and the line."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from golden import DATA

from rstar_fast.errors import ProblemError
from rstar_fast.problems import Problem, load_problems


def write(tmp_path: Path, text: str | bytes, name: str = "set.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def row(**fields: object) -> str:
    return json.dumps({"question": "q", "answer": "1", **fields}) + "\n"


def test_jsonl_with_every_kind_of_answer_and_id(tmp_path: Path) -> None:
    lines = [
        row(id="a", answer="x=1"),
        "\r\n",
        row(id=7, answer=3),
        row(index=9, answer=["1/2", 0.5, "1/2"]),
        row(answer=None),
        row(answer="She sells 9 eggs.\n9 * 2 = 18\n#### 18"),
        row(id="é\u2028∑", answer=""),
        row(id="long", answer=10**310),
    ]
    assert load_problems(write(tmp_path, "".join(lines))) == [
        Problem("a", "q", ("x=1",)),
        Problem("7", "q", ("3",)),
        Problem("set-9", "q", ("1/2", "0.5")),
        Problem("set-3", "q", ()),
        Problem("set-4", "q", ("18",)),
        Problem("é\u2028∑", "q", ()),
        Problem("long", "q", ("1" + "0" * 310,)),
    ]


def test_json_list_with_bom_and_limit(tmp_path: Path) -> None:
    rows = [{"index": i, "question": f"q\n{i}", "answer": str(i)} for i in range(5)]
    path = write(
        tmp_path, b"\xef\xbb\xbf\n" + json.dumps(rows, indent=2).encode() + b"\n", "bench.json"
    )
    assert load_problems(path, limit=2) == [
        Problem("bench-0", "q\n0", ("0",)),
        Problem("bench-1", "q\n1", ("1",)),
    ]
    assert len(load_problems(str(path), limit=9)) == 5


def test_problem_is_a_name_for_question(tmp_path: Path) -> None:
    assert load_problems(write(tmp_path, '{"problem": "p", "answer": 1}'))[0].question == "p"


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("", "", "no problems"),
        ("\n \n", "", "no problems"),
        ("[ ]", "", "no problems"),
        (row() + '{"answer": 1}\n', ":2", "no field 'question'; it has 'answer'"),
        (row() + '{"question": "q"}\n', ":2", "no field 'answer'"),
        (row(id="a") + "\n" + row(id="b") + row(id="a"), ":4", "set.jsonl:1"),
        (row(id="1") + row(id=1), ":2", "the id '1' is taken"),
        (row() + '{"question": \n', ":2", "broken JSON"),
        (row().strip() + row(), ":1", "more than one value"),
        (row(question=" \n"), ":1", "question: expected text"),
        (row(question=["q"]), ":1", "question: expected text, got ['q']"),
        (row(answer={"a": 1}), ":1", "answer: expected a string, a number or a list"),
        (row(answer=True), ":1", "got True"),
        (row(answer=[["1"]]), ":1", "got [['1']]"),
        ('{"question": "q", "answer": NaN}', ":1", "got nan"),
        (row(id=["a"]), ":1", "id: expected a string or an integer"),
        (row(id=""), ":1", "id: expected"),
        (row(index=1.5), ":1", "index: expected"),
        (row(question="\ud800"), ":1", "surrogate"),
        (row(answer=float("inf")), ":1", "answer: expected"),
        ('"text"\n', ":1", "expected an object"),
        ("[" * 100_000, ":1", "broken JSON"),
        ('{"question": "q", "answer": ' + "9" * 5000 + "}", ":1", "broken JSON"),
        (
            row().encode() + b'{"question": "\xff"}',
            ":2",
            "expected UTF-8, got byte 0xff at column 15",
        ),
        ('[\n{"question": "q", "answer": 1},\n{"question": "q"}]', ":3", "no field 'answer'"),
        (
            '[\n{"question": "q", "answer": 1}\n\n{"question": "q"}]',
            ":4",
            "expected ',' or ']', got '{'",
        ),
        ('[\n{"question": "q", "answer": 1},\n', ":3", "broken JSON"),
        ('[\n{"question": "q", "answer": 1}\n', ":3", "the end of the file"),
        ('[\n{"question": "q", "answer": 1}]\n\n{}', ":4", "text after the end of the list"),
    ],
)
def test_errors_name_file_and_line(
    tmp_path: Path, text: str | bytes, place: str, says: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ProblemError) as caught:
        load_problems(path)
    assert str(caught.value).startswith(f"{path}{place}: ")
    assert says in str(caught.value)


def test_rows_after_the_limit_are_not_checked(tmp_path: Path) -> None:
    assert len(load_problems(write(tmp_path, row() + "broken"), limit=1)) == 1
    with pytest.raises(ProblemError, match="limit: expected at least 1"):
        load_problems(write(tmp_path, row()), limit=0)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="no such file"):
        load_problems(tmp_path / "none.json")


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path, row())
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ProblemError, match=r"set\.jsonl: cannot be read: Permission denied"):
        load_problems(path)


@pytest.mark.parametrize("name", ["gsm8k_slice", "math_slice"])
def test_benchmarks_load_with_unique_ids(name: str) -> None:
    path = DATA / f"{name}.json"
    problems = load_problems(path)
    assert (
        len({problem.id for problem in problems})
        == len(json.loads(path.read_text()))
        == len(problems)
    )
    assert problems[0].id == f"{name}-{json.loads(path.read_text())[0]['index']}"


class TestDataSets:
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        datasets = pytest.importorskip("datasets")
        folder: Path = tmp_path_factory.mktemp("sets")
        one = datasets.Dataset.from_list(
            [{"problem": "p", "answer": "a #### 18"}, {"problem": "r", "answer": "2"}]
        )
        one.save_to_disk(folder / "one")
        datasets.DatasetDict(train=one, test=one.select([1])).save_to_disk(folder / "two")
        (folder / "plain").mkdir()
        (folder / "plain" / "train.jsonl").write_text(row(answer="5"))
        return folder

    def test_a_folder_with_one_set(self, folder: Path) -> None:
        expected = [Problem("one-0", "p", ("18",)), Problem("one-1", "r", ("2",))]
        assert load_problems(folder / "one") == expected
        assert load_problems(folder / "one", limit=1) == expected[:1]
        with pytest.raises(ProblemError, match="no splits"):
            load_problems(f"{folder / 'one'}:test")

    def test_splits(self, folder: Path) -> None:
        assert load_problems(f"{folder / 'two'}:test") == [Problem("two-test-0", "r", ("2",))]
        with pytest.raises(ProblemError, match="one of the splits train, test, got none"):
            load_problems(folder / "two")
        with pytest.raises(ProblemError, match="got dev"):
            load_problems(f"{folder / 'two'}:dev")

    def test_a_folder_of_files(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        import datasets

        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
        assert load_problems(folder / "plain") == [Problem("plain-train-0", "q", ("5",))]

    def test_no_such_set(self, tmp_path: Path) -> None:
        pytest.importorskip("datasets")
        (tmp_path / "empty").mkdir()
        with pytest.raises(ProblemError, match="no data set that can be loaded"):
            load_problems(tmp_path / "empty")
        with pytest.raises(ProblemError, match="name:config:split"):
            load_problems("a:b:c:d")

    def test_without_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "datasets", None)
        with pytest.raises(ProblemError, match=r'pip install "rstar-fast\[train\]"'):
            load_problems("owner/name")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"id": 7}, "id: expected text, got int"),
        ({"question": None}, "question: expected text, got NoneType"),
        ({"id": "\ud800"}, "half of a surrogate pair"),
        ({"answers": ("a", "\udfff")}, "half of a surrogate pair"),
    ],
)
def test_a_problem_is_made_of_text(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ProblemError, match=says):
        Problem(**{"id": "p", "question": "q", **fields})
