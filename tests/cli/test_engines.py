"""The command line with the embedded models and real worker processes."""

import json
from pathlib import Path

import pytest
from chat_shapes import chat_tokenizer
from scripted_cli import search, write_problems
from tiny_models import tiny_model

from rstar_fast.cli import main
from rstar_fast.embedded import held_out_problems
from rstar_fast.store import RunFolder


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_embedded_model_searches(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"id": p.id, "question": p.question, "answer": list(p.answers)}
        for p in held_out_problems(2)
    ]
    Path("p.json").write_text(json.dumps(rows), encoding="utf-8")
    limits = ["max_depth=8", "max_step_tokens=40", "rollouts=2", "candidates=4"]
    embedded = ["--policy", "embedded", "--ppm", "embedded", "--dtype", "float32", "--workers", "1"]
    assert (
        main(
            [
                "search",
                "--problems",
                "p.json",
                *embedded,
                "--preset",
                "fast",
                "--set",
                *limits,
                "--unconfined",
                "--out",
                "run",
            ]
        )
        == 0
    )
    trees = list(RunFolder.read("run").trees())
    assert sorted(tree.problem.id for tree in trees) == sorted(row["id"] for row in rows)
    assert all(
        node.observation
        for tree in trees
        for node in tree.nodes
        if "<end_of_code>" in node.step and node.status == "ok"
    )
    assert any(node.score is not None for tree in trees for node in tree.nodes)


def test_a_chat_model_searches(capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = chat_tokenizer("qwen3")
    tiny_model("qwen3", tokenizer, max_position_embeddings=4096).save_pretrained("model")
    tokenizer.save_pretrained("model")
    write_problems(1)
    options = ["--problems", "p.jsonl", "--preset", "fast", "--unconfined", "--workers", "1"]
    options += ["--set", "prompt=chat", "use_scores=false", "max_step_tokens=4", "rollouts=1"]
    options += ["annotate_terminals_with_ground_truth=true", "max_depth=2", "candidates=2"]
    assert main(["search", *options, "--policy", "model", "--device", "cpu", "--out", "run"]) == 0
    assert len(list(RunFolder.read("run").trees())) == 1
    assert main(["search", *options, "--policy", "embedded", "--out", "other"]) == 2
    assert "expected a tokenizer with a chat template, and " in capsys.readouterr().err
    assert not Path("other").exists()


def test_wrong_dtypes_and_devices_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(1)
    assert main(search("--dtype", "int4")) == 2
    assert "dtype int4: expected float32, bfloat16 or float16" in capsys.readouterr().err
    assert main(search("--device", "gpu")) == 2
    assert "device gpu: expected cpu, cuda, cuda:N" in capsys.readouterr().err
    assert main(search("--device", "cuda:99")) == 2
    err = capsys.readouterr().err
    assert err.startswith("rstar-fast: device cuda:99: ") and err.count("\n") == 1


def test_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--problems", "4", "--json", "demo.json"]) == 0
    record = json.loads(Path("demo.json").read_text(encoding="utf-8"))
    ways = ("base", "greedy", "equal_tokens", "search")
    assert all(0.0 <= record.pop(f"{way}_accuracy") <= 1.0 for way in ways)
    assert 0 < record.pop("equal_tokens") <= record.pop("search_tokens")
    assert record.pop("greedy_tokens") > 0
    assert record.pop("equal_tokens_way") in ("majority", "best of the PPM")
    assert record == {"problems": 4}
    out = capsys.readouterr().out
    assert "puzzles of three numbers" in out and "base, greedy" in out and "95% interval" in out
    assert "\nsearch solves " in out
    assert (
        "<code>" in out and "Q mean value" in out
    ) or "search got no problem right that greedy got wrong" in out
