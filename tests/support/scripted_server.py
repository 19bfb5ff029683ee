"""A server that speaks the protocol of each kind of server, and misbehaves as it is told."""

import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import numpy as np

from rstar_fast.steps import END_OF_ANSWER, END_OF_CODE

OWNERS = {"vllm": "vllm", "sglang": "sglang", "llama.cpp": "llamacpp", "openai": "someone"}


class Text(NamedTuple):
    """What the server writes: a text, what ends it, and its tokens.

    Tokens at the places `hidden` end inside a character, and llama.cpp streams nothing of them.
    """

    text: str
    mark: str = ""
    reason: str = "stop"
    token_ids: tuple[int, ...] = (1, 2)
    logprobs: tuple[float, ...] = (-0.5, -0.25)
    hidden: tuple[int, ...] = ()


class Asked(NamedTuple):
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


def solve(body: dict[str, Any]) -> Text:
    """Write a program, and the answer once it has run."""
    if "<output>" not in str(body["prompt"]).rpartition("<|assistant|>")[2]:
        return Text(f"<code>\nprint(3 + {body['seed'] % 5} * 0)\n", END_OF_CODE)
    return Text("\n<answer>It is $\\boxed{3}$.", END_OF_ANSWER)


class ScriptedServer:
    """A server with one model.

    Args:
        dialect: Kind of its protocol.
        write: Function from a request's body to what is written.
        faults: Names of methods of `_Handler` that begin with `do_fault_`. Each answers one request
            for a completion or for scores, in order, before all is well.
        certificate: File of a certificate and its key. The server then speaks HTTPS.

    Attributes:
        asked: Requests for completions and for scores.
        most: Largest number of requests at the same time.
        broken: Number of answers that were not read to their end.
    """

    def __init__(
        self,
        dialect: str = "vllm",
        write: Callable[[dict[str, Any]], Text] = solve,
        faults: Iterable[str] = (),
        model: str = "m",
        delay_s: float = 0.0,
        score: Callable[[list[int]], list[float]] | None = None,
        routes: tuple[str, ...] = ("/pooling", "/classify"),
        key: str | None = None,
        context_tokens: int = 512,
        certificate: str | None = None,
    ) -> None:
        self.certificate = certificate
        self.context_tokens = context_tokens
        self.dialect, self.write, self.model, self.delay_s = dialect, write, model, delay_s
        self.faults = list(faults)
        self.score, self.routes, self.key = score, routes, key
        self.asked: list[Asked] = []
        self.most = self.now = self.broken = self.connections = 0
        self.lock = threading.Lock()
        self.freed = threading.Event()
        self.port = 0
        self._http: _Http | None = None
        self.start()

    @property
    def address(self) -> str:
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Serve, at the same port as before."""
        self._http = _Http(("127.0.0.1", self.port), _Handler)
        self._http.script = self
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def kill(self) -> None:
        """Break all connections and serve no more."""
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            for one in list(self._http.open):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            self._http = None


@contextmanager
def scripted_server(*args: Any, **options: Any) -> Iterator[ScriptedServer]:
    server = ScriptedServer(*args, **options)
    try:
        yield server
    finally:
        server.freed.set()
        server.kill()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    script: ScriptedServer

    def __init__(self, *args: Any) -> None:
        self.open: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        self.script.connections += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.script.broken += 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def log_message(self, *args: Any) -> None:
        pass

    @property
    def script(self) -> ScriptedServer:
        return self.server.script

    def send(self, value: Any, status: int = 200, **headers: str) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refused(self) -> bool:
        key = self.script.key
        if key is None or self.headers.get("Authorization") == f"Bearer {key}":
            return False
        given = self.headers.get("Authorization")
        self.send({"error": {"message": f"wrong key: {given}"}}, 401)
        return True

    def do_GET(self) -> None:
        script = self.script
        if self.refused():
            return
        entry = {"id": script.model, "owned_by": OWNERS[script.dialect], "unknown": [1]}
        if script.dialect == "vllm":
            entry |= {"root": "/models/m", "max_model_len": script.context_tokens}
        found = {
            "/v1/models": {"object": "list", "data": [entry]},
            "/version": {"version": "0.32.0"},
            "/get_server_info": {"version": "0.5.23", "model_path": "hub/m"},
            "/props": {
                "build_info": "b1",
                "default_generation_settings": {"n_ctx": script.context_tokens},
            },
        }.get(self.path)
        self.send(found or {"detail": "Not Found"}, 200 if found else 404)

    def do_POST(self) -> None:
        script = self.script
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.refused():
            return
        with script.lock:
            script.asked.append(Asked(self.path, dict(self.headers), body))
            script.now += 1
            script.most = max(script.most, script.now)
            fault = script.faults.pop(0) if script.faults else ""
        try:
            if script.delay_s:
                time.sleep(script.delay_s)
            if fault:
                getattr(self, f"do_fault_{fault}")(body)
            elif self.path in ("/pooling", "/classify"):
                self.answer_scores(body)
            else:
                self.answer(body, script.write(body))
        finally:
            with script.lock:
                script.now -= 1

    def answer(self, body: dict[str, Any], found: Text, **changes: Any) -> None:
        dialect = self.script.dialect
        if dialect == "llama.cpp":
            assert self.path == "/completion"
            if body["stream"]:
                self.send_events(list(_llama_events(found)), end=False)
            else:
                self.send(_llama_answer(found))
        elif dialect == "openai":
            assert self.path == "/v1/completions"
            self.send_events(list(_openai_events(found)))
        else:
            self.send(_completion(dialect, found) | changes)

    def send_events(self, events: list[Any], end: bool = True) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            self.chunk(b": a comment\n\ndata: " + json.dumps(event).encode() + b"\r\n\r\n")
        if end:
            self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def answer_scores(self, body: dict[str, Any]) -> None:
        script = self.script
        if self.path not in script.routes:
            self.send({"error": {"message": "not this task"}}, 501)
            return
        assert script.score is not None
        if script.dialect == "sglang":
            found = [{"embedding": script.score(text)[-1:]} for text in body["input_ids"]]
            self.send(found)
            return
        entries = []
        for i, text in enumerate(body["input"]):
            values = np.array(script.score(text), "<f4")
            if body["use_activation"]:
                values = 1 / (1 + np.exp(-values))
            data = base64.b64encode(values.tobytes()).decode()
            value = {"data": data} if self.path == "/pooling" else {"probs": values[-1:].tolist()}
            entries.append({"index": i, **value})
        # The order is in the indices.
        self.send({"data": entries[::-1]})

    def do_fault_no_entries(self, body: Any) -> None:
        self.send({"data": []})

    def do_fault_429(self, body: Any) -> None:
        self.send({"error": {"message": "too many"}}, 429, Retry_After="0.2")

    def do_fault_500(self, body: Any) -> None:
        self.send({"object": "error", "message": "EngineDeadError"}, 500)

    def do_fault_503(self, body: Any) -> None:
        self.send(b"<html>away</html>", 503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")

    def do_fault_400(self, body: Any) -> None:
        self.send({"error": {"message": "maximum context length is 512", "code": 400}}, 400)

    def do_fault_404(self, body: Any) -> None:
        self.send({"detail": "The model `m` does not exist.\n\x1b[31m"}, 404)

    def do_fault_redirect(self, body: Any) -> None:
        self.send(b"", 307, Location="http://127.0.0.1:9/steal")

    def do_fault_hang(self, body: Any) -> None:
        self.script.freed.wait(30)
        self.close_connection = True

    def do_fault_cut(self, body: Any) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5000")
        self.end_headers()
        self.wfile.write(b'{"choices": [')
        self.close_connection = True

    def do_fault_cut_events(self, body: Any) -> None:
        found = self.script.write(body)
        make = _llama_events if self.script.dialect == "llama.cpp" else _openai_events
        self.send_events(list(make(found))[:1], end=self.script.dialect == "openai")

    def do_fault_error_event(self, body: Any) -> None:
        self.send_events([{"error": {"code": 500, "message": "out of slots"}}])

    def do_fault_no_json(self, body: Any) -> None:
        self.send(b"<html>hello</html>")

    def do_fault_deep_json(self, body: Any) -> None:
        self.send(b"[" * 200_000)

    def do_fault_compressed(self, body: Any) -> None:
        self.send(b"\x1f\x8b" + bytes(100), Content_Encoding="gzip")

    def do_fault_huge(self, body: Any) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(1 << 10):
                self.wfile.write(b" " * (1 << 20))
        except OSError:
            self.script.broken += 1
        self.close_connection = True

    def do_fault_wrong_count(self, body: Any) -> None:
        choice = _completion(self.script.dialect, self.script.write(body))["choices"][0]
        self.send({"choices": [choice, choice]})

    def do_fault_wrong_type(self, body: Any) -> None:
        self.send({"choices": [{"text": 7, "finish_reason": "stop"}]})

    def do_fault_nan_logprobs(self, body: Any) -> None:
        self.answer(body, self.script.write(body)._replace(logprobs=(float("nan"), -1.0)))

    def do_fault_fewer_logprobs(self, body: Any) -> None:
        self.answer(body, self.script.write(body)._replace(logprobs=(-1.0,)))

    def do_fault_wrong_ids(self, body: Any) -> None:
        self.answer(body, self.script.write(body)._replace(token_ids=(1, 2**40)))

    def do_fault_abort(self, body: Any) -> None:
        self.answer(body, self.script.write(body)._replace(reason="abort"))


def _completion(dialect: str, found: Text) -> dict[str, Any]:
    field = "stop_reason" if dialect == "vllm" else "matched_stop"
    return {
        "id": "cmpl-1",
        "unknown": {"a": None},
        "choices": [
            {
                "index": 0,
                "text": found.text,
                "finish_reason": found.reason,
                field: found.mark or None,
                "token_ids": list(found.token_ids) or None,
                "prompt_token_ids": None,
                "logprobs": {"token_logprobs": list(found.logprobs), "tokens": []},
            }
        ],
        "usage": {
            "prompt_tokens": 20,
            "completion_tokens": len(found.token_ids),
            "prompt_tokens_details": {"cached_tokens": 16},
        },
    }


def _openai_events(found: Text) -> Iterator[Any]:
    """Yield a text in small pieces, then what follows a mark that nobody stops at."""
    rest = " and more" * 3 if found.mark else ""
    text = found.text + found.mark + rest
    for at in range(0, len(text), 5):
        yield {"choices": [{"index": 0, "text": text[at : at + 5], "finish_reason": None}]}
    yield {"choices": [{"index": 0, "text": "", "finish_reason": found.reason}]}
    yield {"choices": [], "usage": {"completion_tokens": 99}}


def _llama_answer(found: Text) -> dict[str, Any]:
    likeliest = [
        {"id": token, "logprob": logprob}
        for token, logprob in zip(found.token_ids, found.logprobs, strict=True)
    ]
    told = [{"id": 0, "logprob": -9.0, "top_logprobs": likeliest}]
    return {"tokens": found.token_ids, "completion_probabilities": told}


def _llama_events(found: Text) -> Iterator[Any]:
    for i, (token, logprob) in enumerate(zip(found.token_ids, found.logprobs, strict=True)):
        if i in found.hidden:
            continue
        yield {
            "content": found.text if i == 0 else "",
            "tokens": [token],
            "tokens_predicted": i + 1,
            "stop": False,
            "completion_probabilities": [{"id": token, "logprob": logprob}],
        }
    yield {
        "content": "",
        "tokens": [],
        "stop": True,
        "stop_type": "word" if found.mark else "limit" if found.reason == "length" else "eos",
        "stopping_word": found.mark,
        "tokens_predicted": len(found.token_ids),
        "tokens_evaluated": 20,
        "timings": {"cache_n": 16},
    }
