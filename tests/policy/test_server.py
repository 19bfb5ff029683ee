"""The policy behind HTTP: what each kind of server says, and what is made of it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from chat_shapes import chat_tokenizer
from scripted_server import OWNERS, ScriptedServer, Text, scripted_server
from transformers import AutoTokenizer

from rstar_fast.embedded import policy_path
from rstar_fast.errors import ConfigError, PolicyError, TransientError
from rstar_fast.policy import Candidate, ExpandRequest, Sampling, ServerPolicy
from rstar_fast.policy.prefix_tokens import PrefixTokens
from rstar_fast.remote import http, retries
from rstar_fast.steps import END_OF_STEP, Segment

TOKENIZER: Any = AutoTokenizer.from_pretrained(policy_path())
WAIT_S = 60


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_DELAY_S", 0.01)
    monkeypatch.delenv("RSTAR_FAST_API_KEY", raising=False)


@contextmanager
def policy_of(server: ScriptedServer, **options: Any) -> Iterator[ServerPolicy]:
    policy = ServerPolicy(server.address, **options)
    try:
        yield policy
    finally:
        policy.close()


def request(n: int = 1, **changes: Any) -> ExpandRequest:
    given = {"problem_id": "p", "node": 3, "question": "How many?", "path": (), "seed": 0}
    given |= {"id": 7, "num_candidates": n, "sampling": Sampling(max_tokens=50)}
    return ExpandRequest(**(given | changes))


def one(server: ScriptedServer, asked: ExpandRequest | None = None, **options: Any) -> Candidate:
    with policy_of(server, **options) as policy:
        expansion = policy.submit(asked or request()).result(WAIT_S)
    assert expansion.error is None
    (candidate,) = expansion.candidates
    return candidate


def step(body: dict[str, Any]) -> Text:
    return Text("<code>\nx = 1\n", END_OF_STEP)


@pytest.mark.parametrize("dialect", OWNERS)
@pytest.mark.parametrize("mark", ["<end_of_step>", "<end_of_code>", "<end_of_answer>"])
def test_every_server_says_which_mark_ended_a_text(dialect: str, mark: str) -> None:
    with scripted_server(dialect, lambda body: Text("x = 1\n", mark)) as server:
        found = one(server)
    assert (found.text, found.finish) == (f"x = 1\n{mark}", "mark")
    assert not found.exact and not found.ends_with_token
    told = dialect != "openai"
    assert found.token_ids == ((1, 2) if told else ())
    assert found.logprobs == ((-0.5, -0.25) if told else ())


@pytest.mark.parametrize("dialect", OWNERS)
@pytest.mark.parametrize(("reason", "finish"), [("stop", "eos"), ("length", "length")])
def test_texts_without_a_mark(dialect: str, reason: str, finish: str) -> None:
    with scripted_server(dialect, lambda body: Text("x = 1", "", reason)) as server:
        found = one(server)
    assert (found.text, found.finish) == ("x = 1", finish)


def test_a_text_that_goes_on_behind_a_mark_is_cut() -> None:
    with scripted_server("vllm", lambda body: Text("a<end_of_step>b", "", "length")) as server:
        found = one(server)
    assert (found.text, found.finish) == ("a<end_of_step>", "mark")


def test_a_plain_server_is_read_until_the_mark() -> None:
    literal = "s = '<end_of_step>'\nprint(s)\n"
    with scripted_server("openai", lambda body: Text(literal, "<end_of_code>")) as server:
        found = one(server)
    assert (found.text, found.finish) == (f"{literal}<end_of_code>", "mark")


@pytest.mark.parametrize("dialect", ["vllm", "sglang"])
def test_token_ids_go_out_and_come_back(dialect: str) -> None:
    text = "<code>\nn = 3\n"
    ids = (*TOKENIZER(text, add_special_tokens=False).input_ids, 3)
    before = (*TOKENIZER("<code>\nn = 4\n", add_special_tokens=False).input_ids, 3)
    path = (Segment("<code>\nn = 4\n<end_of_step>", before),)
    with scripted_server(dialect, lambda body: Text(text, "", "stop", ids, ())) as server:
        found = one(server, request(path=path), tokenizer=TOKENIZER)
    body = server.asked[0].body
    assert TOKENIZER.decode(body["prompt"]).endswith("code.<code>\nn = 4\n<end_of_step>")
    assert body["prompt"][-len(before) :] == [*before]
    assert body["stop"] == [] and sorted(body["stop_token_ids"]) == [3, 4, 8]
    assert found == Candidate(text + END_OF_STEP, ids, (), "mark", True, True)


def test_ids_that_do_not_spell_the_text_are_not_exact() -> None:
    with scripted_server("vllm", lambda body: Text("x", END_OF_STEP, "stop", (9, 3))) as server:
        found = one(server, tokenizer=TOKENIZER)
    assert found.ends_with_token and not found.exact


def test_the_lead_of_a_prompt_is_part_of_the_text() -> None:
    path = (Segment("<code>\nn = 4\n<end_of_step>"),)
    with scripted_server("vllm", step) as server:
        found = one(server, request(path=path, prompt="few_shot"))
    assert server.asked[0].body["prompt"].endswith("<end_of_step>\n")
    assert found.text == "\n<code>\nx = 1\n<end_of_step>"


@pytest.mark.parametrize(
    ("dialect", "bits"), [("vllm", 2**63), ("sglang", 2**31), ("llama.cpp", 2**32 - 1)]
)
def test_each_candidate_has_the_seed_of_its_draw(dialect: str, bits: int) -> None:
    asked = request(3, first_candidate=2)
    with scripted_server(dialect, step) as server, policy_of(server) as policy:
        assert len(policy.submit(asked).result(WAIT_S).candidates) == 3
        assert policy.stats.generated_tokens == 6
        assert (policy.stats.encoded_tokens, policy.stats.reused_tokens) == (12, 48)
    seeds = {one.body["seed"] for one in server.asked}
    assert seeds == {asked.draw_key(sample) % bits for sample in range(3)}
    assert all(one.body.get("n", 1) == 1 for one in server.asked)


def test_at_temperature_0_one_request_is_enough() -> None:
    asked = request(3, sampling=Sampling(temperature=0.0))
    with scripted_server("vllm", step) as server, policy_of(server) as policy:
        assert len(set(policy.submit(asked).result(WAIT_S).candidates)) == 1
    assert len(server.asked) == 1


def test_every_default_is_set() -> None:
    asked = request(sampling=Sampling(temperature=0.5, stop=tuple("abcdef")))
    for dialect in ("vllm", "sglang"):
        with scripted_server(dialect, step) as server:
            found = one(server, asked)
        body = server.asked[0].body
        assert body["top_k"] == (0 if dialect == "vllm" else -1)
        assert (body["min_p"], body["top_p"], body["repetition_penalty"]) == (0.0, 1.0, 1.0)
        assert body["stop"] == ["a", "b", "c", "d"]
        assert body["skip_special_tokens"] is False
        # SGLang's are of the distribution at that temperature.
        assert bool(found.logprobs) == (dialect == "vllm")


def test_a_tree_is_one_session() -> None:
    with scripted_server("vllm", step) as server, policy_of(server) as policy:
        for asked in (request(), request(node=9), request(problem_id="q\ud800\r\n")):
            policy.submit(asked).result(WAIT_S)
    sessions = [one.headers["X-Session-ID"] for one in server.asked]
    assert sessions[0] == sessions[1] != sessions[2]
    for asked, session in zip(server.asked, sessions, strict=True):
        assert asked.headers["X-SMG-Routing-Key"] == asked.body["session_id"] == session


@pytest.mark.parametrize("dialect", ["vllm", "sglang", "llama.cpp"])
def test_a_prefix_that_is_too_long_is_the_fault_of_its_request(dialect: str) -> None:
    with scripted_server(dialect, step, faults=["400"]) as server:
        with policy_of(server) as policy:
            error = policy.submit(request()).result(WAIT_S).error
            assert error is not None and "HTTP 400: maximum context length is 512" in error
            assert policy.submit(request()).result(WAIT_S).error is None
        if dialect == "sglang":
            return
        with policy_of(server, tokenizer=TOKENIZER) as policy:
            error = policy.submit(request(question="one two " * 300)).result(WAIT_S).error
            assert error is not None and "m takes 512 including at least one new token" in error
            policy.submit(request(question=" the" * 470)).result(WAIT_S)
    cut = server.asked[-1].body
    assert len(cut["prompt"]) + cut.get("max_tokens", cut.get("n_predict")) == 512


@pytest.mark.parametrize("fault", ["429", "500", "503", "cut", "no_json", "deep_json", "abort"])
def test_what_passes_is_asked_again(fault: str) -> None:
    with scripted_server("vllm", step, faults=[fault, fault]) as server:
        assert one(server).finish == "mark"
    assert len(server.asked) == 3


@pytest.mark.parametrize("dialect", ["openai", "llama.cpp"])
@pytest.mark.parametrize("fault", ["cut_events", "error_event", "cut"])
def test_a_stream_that_breaks_is_asked_again(dialect: str, fault: str) -> None:
    with scripted_server(dialect, step, faults=[fault]) as server:
        assert one(server).finish == "mark"
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("again", "likeliest", "token_ids", "logprobs"),
    [
        ((4, 5, 6, 7), (9, 5, 6), (4, 5, 6, 7), (-1.0, -0.25, -0.25, -4.0)),
        # A token that is beyond the likeliest, and other tokens than before.
        ((4, 5, 6, 7), (9, 6, 8), (4, 5, 6, 7), ()),
        ((4, 5, 6, 8), (9, 5, 6), (), ()),
        ((4, 5, 6), (9, 5, 6), (), ()),
    ],
)
def test_tokens_that_a_stream_leaves_out_are_asked_for(
    again: tuple[int, ...],
    likeliest: tuple[int, ...],
    token_ids: tuple[int, ...],
    logprobs: tuple[float, ...],
) -> None:
    def writes(body: dict[str, Any]) -> Text:
        if body["stream"]:
            found = (4, 5, 6, 7), (-1.0, -2.0, -3.0, -4.0), (1, 2)
        elif "logit_bias" in body:
            found = likeliest, (-0.5, -0.25, -0.25), ()
        else:
            found = again, (-1.0,) * len(again), ()
        return Text("x = '\u4e2d'\n", END_OF_STEP, "stop", *found)

    with scripted_server("llama.cpp", writes) as server:
        found = one(server)
    assert (found.token_ids, found.logprobs) == (token_ids, logprobs)
    prefix = server.asked[0].body["prompt"]
    asked = [one.body["prompt"] for one in server.asked[2:]]
    assert asked == ([[prefix, 4], [prefix, 4, 5]] if token_ids else [])


def test_a_server_that_hangs_is_asked_again() -> None:
    with scripted_server("vllm", step, faults=["hang"]) as server:
        assert one(server, limit_s=0.5).finish == "mark"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("404", "HTTP 404: The model `m` does not exist. \\[31m"),
        ("redirect", "HTTP 307"),
        ("compressed", "not compressed"),
        ("wrong_count", "choices: expected 1, got 2"),
        ("wrong_type", "text: expected str, got int"),
        ("nan_logprobs", "finite numbers, got nan"),
        ("wrong_ids", "integers of 32 bits"),
    ],
)
def test_what_makes_no_sense_is_an_error(fault: str, message: str) -> None:
    with scripted_server("vllm", step, faults=[fault]) as server, policy_of(server) as policy:
        with pytest.raises(PolicyError, match=message):
            policy.submit(request(1)).result(WAIT_S)
        assert policy.submit(request(1)).result(WAIT_S).error is None


def test_an_endless_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BYTES", 1 << 20)
    with scripted_server("vllm", step, faults=["huge"]) as server, policy_of(server) as policy:
        future = policy.submit(request())
        with pytest.raises(PolicyError, match="at most 1,048,576 bytes"):
            future.result(WAIT_S)


def test_fewer_logprobs_than_tokens_are_none() -> None:
    with scripted_server("vllm", step, faults=["fewer_logprobs"]) as server:
        found = one(server)
    assert found.token_ids == (1, 2) and found.logprobs == ()


def test_connections_are_kept_and_bounded() -> None:
    slow = scripted_server("vllm", step, delay_s=0.02)
    with slow as server, policy_of(server, concurrency=3) as policy:
        futures = [policy.submit(request(2, node=node)) for node in range(10)]
        assert all(future.result(WAIT_S).error is None for future in futures)
    assert server.most == 3 and len(server.asked) == 20
    # On a busy machine a connection may come back after the next one is opened.
    assert server.connections <= 10


def test_a_cancelled_request_breaks_its_connection() -> None:
    waiting, gone = threading.Event(), threading.Event()

    def write(body: dict[str, Any]) -> Text:
        waiting.set()
        gone.wait(WAIT_S)
        return Text("x" * 100_000)

    with scripted_server("openai", write) as server, policy_of(server) as policy:
        future = policy.submit(request())
        assert waiting.wait(WAIT_S)
        assert future.cancel()
        gone.set()
        for _ in range(WAIT_S * 50):
            if server.broken:
                break
            time.sleep(0.02)
        assert server.broken


@pytest.mark.parametrize("dialect", OWNERS)
def test_a_connection_serves_many_requests(dialect: str) -> None:
    with scripted_server(dialect, lambda body: Text("x = 1")) as server:
        with policy_of(server, concurrency=1) as policy:
            policy.submit(request(5)).result(WAIT_S)
        assert len(server.asked) == 5 and server.connections == 1


def test_a_question_may_have_any_characters() -> None:
    with scripted_server("vllm", step) as server:
        one(server, request(question="\ud800 \0 é"))
    assert "\ufffd \0 é" in server.asked[0].body["prompt"]


def test_who_answers_is_known() -> None:
    expected = {
        "vllm": ("0.32.0", "/models/m", 512),
        "sglang": ("0.5.23", "hub/m", None),
        "llama.cpp": ("b1", "", 512),
        "openai": ("", "", None),
    }
    for dialect in OWNERS:
        with scripted_server(dialect) as server, policy_of(server) as policy:
            identity = policy.identity
        assert (identity.dialect, identity.model, policy.name) == (dialect, "m", "m")
        details = identity.version, identity.source, identity.context_tokens
        assert details == expected[dialect]
        assert identity.record()["engine"] == "server"


def test_a_server_without_the_model_is_refused() -> None:
    with scripted_server("vllm") as server:
        with pytest.raises(PolicyError, match="expected the model 'x'; the server has 'm'"):
            ServerPolicy(server.address, "x")
        with pytest.raises(ConfigError, match="dialect: expected one of vllm"):
            ServerPolicy(server.address, dialect="tgi")  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="concurrency"):
            ServerPolicy(server.address, concurrency=0)
    with pytest.raises(TransientError, match=f"http://127.0.0.1:{server.port}/v1/models"):
        ServerPolicy(server.address)


@pytest.mark.parametrize(
    "address",
    ["http://me:secret@host/v1", "http://host/v1?key=secret", "ftp://secret", "host:8000", ""],
)
def test_addresses_hold_no_secrets(address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ServerPolicy(address, "m")
    assert "secret" not in str(caught.value) or address == "ftp://secret"


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted_server("vllm", step, key="right-key") as server:
        monkeypatch.setenv("RSTAR_FAST_API_KEY", "right-key")
        assert one(server).finish == "mark"
        monkeypatch.setenv("RSTAR_FAST_API_KEY", "other-key")
        with pytest.raises(PolicyError, match="wrong key: Bearer \\(the key\\)"):
            ServerPolicy(server.address)
        monkeypatch.setenv("RSTAR_FAST_API_KEY", "a\nb")
        with pytest.raises(ConfigError, match="printable"):
            ServerPolicy(server.address)


@pytest.mark.parametrize("dialect", ["vllm", "llama.cpp"])
def test_a_chat_prompt_is_sent_as_tokens_of_the_template(dialect: str) -> None:
    tokenizer = chat_tokenizer("qwen3")
    asked = request(prompt="chat", question="<|im_end|> 6 * 7?")
    with scripted_server(dialect, step, context_tokens=4096) as server:
        found = one(server, asked, tokenizer=tokenizer)
    assert found.text == f"<code>\nx = 1\n{END_OF_STEP}"
    (prompt,) = {tuple(one.body["prompt"]) for one in server.asked}
    assert list(prompt) == PrefixTokens(tokenizer, "chat").of(asked)


def test_a_chat_prompt_without_a_tokenizer_says_what_is_missing() -> None:
    with scripted_server() as server, policy_of(server) as policy:
        expansion = policy.submit(request(prompt="chat")).result(WAIT_S)
    assert expansion.error is not None and "--tokenizer DIR" in expansion.error
    assert not server.asked


def test_a_request_that_was_asked_often_enough_is_not_asked_again_by_the_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def busy(*_: Any) -> Any:
        raise TransientError("busy since noon")

    with scripted_server() as server, policy_of(server) as policy:
        monkeypatch.setattr(policy._servers, "call", busy)
        # An exception of the future would be a reason to try once more.
        expansion = policy.submit(request()).result(WAIT_S)
    assert expansion.error == "busy since noon" and not expansion.candidates
