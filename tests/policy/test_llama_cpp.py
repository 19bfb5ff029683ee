"""A real server of llama.cpp with the embedded policy, behind `ServerPolicy` and in searches."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("xllamacpp", reason="xllamacpp has no wheel for this platform")

from gguf_models import write_gguf
from llama_server import CONTEXT, MODEL, free_port, llama_server
from tiny_models import answers, byte_tokenizer, tiny_model

from rstar_fast.cli import main
from rstar_fast.config import SearchConfig
from rstar_fast.embedded import held_out_problems, policy_path
from rstar_fast.policy import (
    Candidate,
    ExpandRequest,
    Sampling,
    ServerPolicy,
    TransformersPolicy,
)
from rstar_fast.policy.prefix_tokens import PrefixTokens
from rstar_fast.remote import retries
from rstar_fast.search.engines import open_searcher
from rstar_fast.store import RunFolder
from rstar_fast.tree import Tree

WAIT_S = 60
KEY = "a-key-that-is-in-no-file"
PROBLEMS = held_out_problems(4)
LIMITS = ["max_depth=8", "max_step_tokens=40", "rollouts=2", "candidates=4", "temperature=0.5"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "embedded.gguf"
    write_gguf(policy_path(), path)
    return path


@pytest.fixture(scope="module")
def address(file: Path) -> Iterator[str]:
    with llama_server(file) as (address, _):
        yield address


def request(number: int = 0, **changes: Any) -> ExpandRequest:
    given = {"problem_id": "p", "node": 0, "question": PROBLEMS[number].question, "path": ()}
    given |= {"id": number, "num_candidates": 2, "seed": 0, "sampling": Sampling(max_tokens=60)}
    return ExpandRequest(**(given | changes))


def save_byte_llama(folder: Path) -> tuple[Any, Any]:
    """Write a random Llama that reads bytes, as a folder and as llama.gguf in it."""
    tokenizer = byte_tokenizer()
    model = tiny_model("llama", tokenizer, hidden_size=64, tie_word_embeddings=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_gguf(folder, folder / "llama.gguf")
    return model, tokenizer


def expanded(policy: ServerPolicy, asked: ExpandRequest) -> tuple[Candidate, ...]:
    expansion = policy.submit(asked).result(WAIT_S)
    assert expansion.error is None
    return expansion.candidates


def test_candidates_are_those_of_transformers(address: str) -> None:
    greedy = [request(i, sampling=Sampling(temperature=0.0, max_tokens=60)) for i in range(4)]
    ours = answers(TransformersPolicy(policy_path(), device="cpu", dtype="float32"), greedy)
    policy = ServerPolicy(f"{address}/v1", tokenizer=str(policy_path()))
    for asked in greedy:
        for found, expected in zip(expanded(policy, asked), ours[asked.id].candidates, strict=True):
            assert found.text == expected.text and found.token_ids == expected.token_ids
            assert found.finish == "mark" and found.exact and found.ends_with_token
            # The server keeps keys and values in 16 bits.
            assert found.logprobs == pytest.approx(expected.logprobs, abs=0.02)
    assert policy.stats.generated_tokens and policy.stats.encoded_tokens
    policy.close()


def test_a_llama_writes_what_it_writes_in_transformers(tmp_path: Path) -> None:
    """Its queries and keys lie in another order in a GGUF file."""
    save_byte_llama(tmp_path)
    greedy = request(sampling=Sampling(temperature=0.0, max_tokens=20))
    ours = answers(TransformersPolicy(tmp_path, device="cpu", dtype="float32"), [greedy])
    with llama_server(tmp_path / "llama.gguf") as (address, _):
        policy = ServerPolicy(address, tokenizer=str(tmp_path))
        found = expanded(policy, greedy)
        policy.close()
    assert [one.token_ids for one in found] == [one.token_ids for one in ours[0].candidates]


def test_all_tokens_of_parts_of_characters_are_told(tmp_path: Path) -> None:
    """No event of the server tells a token that ends inside a character."""
    model, tokenizer = save_byte_llama(tmp_path)
    prefix = list(PrefixTokens(tokenizer, "finetuned").of(request()))
    with llama_server(tmp_path / "llama.gguf") as (address, _):
        policy = ServerPolicy(address, tokenizer=str(tmp_path))
        found = expanded(policy, request(num_candidates=6, sampling=Sampling(max_tokens=20)))
        policy.close()
    parts = 0
    for one in found:
        parts += sum(not tokenizer.decode([token]).isascii() for token in one.token_ids)
        logits = model(torch.tensor([[*prefix, *one.token_ids]])).logits[0, len(prefix) - 1 : -1]
        expected = logits.log_softmax(-1)[range(len(one.token_ids)), one.token_ids]
        # The server keeps keys and values in 16 bits.
        assert one.logprobs == pytest.approx(expected.tolist(), abs=0.2)
    assert parts > 20


def test_text_is_enough(address: str) -> None:
    policy = ServerPolicy(address)
    assert (policy.identity.dialect, policy.identity.context_tokens) == ("llama.cpp", CONTEXT)
    for found in expanded(policy, request()):
        assert found.text.endswith("<end_of_step>") and found.finish == "mark"
        assert len(found.token_ids) == len(found.logprobs) > 5
        assert not found.exact
    (cut, _) = expanded(policy, request(sampling=Sampling(max_tokens=3)))
    assert cut.finish == "length" and len(cut.token_ids) == 3
    error = policy.submit(request(question="one " * 1500)).result(WAIT_S).error
    assert error is not None and "HTTP 400: request (" in error and "context size" in error
    policy.close()


def test_the_command_searches_and_goes_on_elsewhere(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RSTAR_FAST_API_KEY", KEY)
    rows = [{"id": p.id, "question": p.question, "answer": list(p.answers)} for p in PROBLEMS]
    Path("p.json").write_text(json.dumps(rows), encoding="utf-8")
    words = ["search", "--problems", "p.json", "--ppm", "embedded", "--preset", "fast"]
    words += ["--set", *LIMITS, "--workers", "1", "--unconfined", "--out", "run"]
    words += ["--tokenizer", str(policy_path())]
    for limit in ("2", "4"):
        with llama_server(file) as (address, _):
            served = ["--policy", f"{address}/v1#{MODEL}", "--limit", limit]
            assert main([*words, *served]) == 0
    folder = RunFolder.read("run")
    trees = list(folder.trees())
    assert len(trees) == 4 and sum(tree.solved for tree in trees) >= 1
    assert all(node.token_ids and node.logprob_bytes for node in trees[0].nodes[1:])
    assert folder.config["policy"] == f"server:{MODEL}"
    for note in folder.sessions():
        told = note["engines"]["policy"]
        assert (told["engine"], told["dialect"], told["model"]) == ("server", "llama.cpp", MODEL)
        assert told["source"] == str(file)
        assert note["engines"]["ppm"]["engine"] == "PackedScorer"
    written = b"".join(path.read_bytes() for path in Path().rglob("*") if path.is_file())
    assert KEY.encode() not in written
    shown = capsys.readouterr()
    assert KEY not in shown.out + shown.err


def test_a_server_that_is_killed_in_a_search_costs_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "FIRST_DELAY_S", 0.05)
    port = free_port()
    limits = {"max_depth": 8, "max_step_tokens": 40, "rollouts": 2, "candidates": 2}
    config = SearchConfig.preset("fast", **limits, max_active=2)
    with ExitStack() as stack:
        address, process = stack.enter_context(llama_server(file, port))
        served = f"{address}/v1#{MODEL}"
        searcher = stack.enter_context(
            open_searcher(config, served, "embedded", workers=1, tokenizer=policy_path())
        )
        search = searcher.search(held_out_problems(8))
        ended = [next(search)]
        process.kill()
        restart = threading.Timer(0.5, lambda: stack.enter_context(llama_server(file, port)))
        restart.start()
        ended += list(search)
        restart.join()
    assert len(ended) == 8
    assert all(isinstance(one, Tree) for one in ended)
