"""What the server does for each method and path."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable

from rstar_fast.errors import ExecutorError
from rstar_fast.sandbox import run_code
from rstar_fast.sandbox.admission import Admission
from rstar_fast.sandbox.messages import (
    Refusal,
    Request,
    Response,
    fields_of,
    number_of,
    text_of,
)
from rstar_fast.sandbox.metrics import Metrics
from rstar_fast.sandbox.options import SandboxOptions
from rstar_fast.sandbox.run_code import RunCode, Unsupported
from rstar_fast.sandbox.sessions import FIRST_STATE, Session, Sessions, State
from rstar_fast.verify.base import Status
from rstar_fast.verify.execute.executor import Executor

_STEP_TIMEOUT_S = 10.0
_SLACK = 1.5
"""Factor by which the steps before may take longer when they are run again."""
_HEALTH_LIMIT_S = 30.0
_MAX_BODIES_BYTES = 256 << 20
"""Bytes of the bodies of all requests under way."""

_Route = Callable[..., Awaitable[Response]]


class Routes:
    """The routes of one server."""

    def __init__(self, executor: Executor, at_once: int, options: SandboxOptions) -> None:
        """Begin without sessions.

        Args:
            executor: Executor of all programs, in the style "step".
            at_once: Number of programs that it runs at once.
            options: Options of the server.
        """
        self.sessions = Sessions(options.max_sessions, options.idle_s)
        self.metrics = Metrics()
        self.num_connections = 0
        self._executor = executor
        # So that the executor never waits for the next one.
        self._admission = Admission(2 * at_once, options.max_waiting)
        self._body_bytes = 0
        self._routes: list[tuple[str, str, re.Pattern[str], _Route]] = [
            ("GET", "/healthz", re.compile("/healthz"), self._health),
            ("GET", "/metrics", re.compile("/metrics"), self._metrics),
            ("POST", "/run_code", re.compile("/run_code"), self._run_code),
            ("POST", "/sessions", re.compile("/sessions"), self._open),
            ("GET", "/sessions/{id}", re.compile("/sessions/([^/]+)"), self._show),
            ("DELETE", "/sessions/{id}", re.compile("/sessions/([^/]+)"), self._close),
            ("POST", "/sessions/{id}/run", re.compile("/sessions/([^/]+)/run"), self._step),
            ("POST", "/sessions/{id}/fork", re.compile("/sessions/([^/]+)/fork"), self._fork),
        ]

    async def handle(self, request: Request) -> Response:
        """Do one request."""
        begin_s = time.monotonic()
        name = "other"
        try:
            name, route, words = self._find(request)
            response = await route(request, *words)
        except Refusal as refusal:
            response = refusal.response
        except ExecutorError as error:
            response = Response(503, {"detail": str(error)})
        self.metrics.requests[name, response.status] += 1
        self.metrics.request_s.add(time.monotonic() - begin_s)
        return response

    def _find(self, request: Request) -> tuple[str, _Route, tuple[str, ...]]:
        found = [
            (method, name, route, match.groups())
            for method, name, pattern, route in self._routes
            if (match := pattern.fullmatch(request.path))
        ]
        for method, name, route, words in found:
            if method == request.method:
                return name, route, words
        if not found:
            paths = ", ".join(dict.fromkeys(name for _, name, _, _ in self._routes))
            raise Refusal(404, f"no {request.path[:80]!r} here; there are {paths}")
        methods = ", ".join(method for method, *_ in found)
        reason = f"expected {methods}, got {request.method[:80]}"
        raise Refusal(405, reason, {"allow": methods})

    # Programs.

    async def _run_code(self, request: Request) -> Response:
        try:
            asked = RunCode.of(fields_of(request.body))
            result = await self._admission.run(
                lambda: self._executor.submit_script(
                    asked.code, asked.stdin, asked.wall_s, asked.memory_bytes
                )
            )
        except (Unsupported, ExecutorError) as error:
            return Response(200, run_code.refusal(str(error)))
        self.metrics.programs["script", result.status] += 1
        self.metrics.program_s.add(result.wall_s)
        return Response(200, run_code.reply(result))

    async def _step(self, request: Request, name: str) -> Response:
        fields = fields_of(request.body)
        session = self.sessions.get(name)
        code, timeout_s = text_of(fields, "code"), number_of(fields, "timeout", _STEP_TIMEOUT_S)
        if timeout_s < 1e-3:
            raise Refusal(422, f"timeout: expected at least 0.001, got {timeout_s}")
        before = session.state(_state_name(fields))
        self.sessions.check_room(session, code)
        step = before.next_step(code)
        session.num_running += 1
        try:
            observation = await self._admission.run(
                lambda: self._executor.submit(
                    [*before.steps(), step], wall_s=timeout_s + _SLACK * before.spent_s
                )
            )
        finally:
            session.num_running -= 1
            session.used_s = time.monotonic()
        self.metrics.programs["step", observation.status] += 1
        self.metrics.program_s.add(observation.wall_s)
        after = before
        if observation.status is Status.OK:
            after = self.sessions.add(session, before, step, observation.wall_s)
        return Response(
            200,
            {
                "status": observation.status,
                "state": after.name,
                "text": observation.text,
                "execution_time": observation.wall_s,
            },
        )

    # Sessions.

    async def _open(self, request: Request) -> Response:
        return _opened(self.sessions.open())

    async def _fork(self, request: Request, name: str) -> Response:
        state = self.sessions.get(name).state(_state_name(fields_of(request.body)))
        return _opened(self.sessions.open(state))

    async def _show(self, request: Request, name: str) -> Response:
        session = self.sessions.get(name)
        states = [_told(state) for state in session.states.values()]
        return Response(200, {"session": session.name, "states": states})

    async def _close(self, request: Request, name: str) -> Response:
        self.sessions.close(name)
        return Response(200, {})

    # The server itself.

    async def _health(self, request: Request) -> Response:
        """Run an empty script, past the queue."""
        try:
            future = self._executor.submit_script("")
            result = await asyncio.wait_for(asyncio.wrap_future(future), _HEALTH_LIMIT_S)
        except TimeoutError:
            return Response(503, {"status": f"no program ran within {_HEALTH_LIMIT_S:g} s"})
        if result.status is not Status.OK:
            return Response(503, {"status": result.stderr})
        return Response(200, {"status": "ok"})

    async def _metrics(self, request: Request) -> Response:
        now = {
            "running": self._admission.num_running,
            "waiting": self._admission.num_waiting,
            "connections": self.num_connections,
            "sessions": len(self.sessions),
            "states": self.sessions.num_states,
        }
        return Response(200, self.metrics.text(now))

    def admit(self, num_bytes: int) -> None:
        """Take note of a body that is about to come. Raises `Refusal` (429) if it may not."""
        if num_bytes:
            self._admission.check()
            if self._body_bytes + num_bytes > _MAX_BODIES_BYTES:
                raise Refusal(429, "too many bodies are under way", {"retry-after": "1"})
        self._body_bytes += num_bytes

    def release(self, num_bytes: int) -> None:
        """Take note that a body which was admitted is held no more."""
        self._body_bytes -= num_bytes


def _state_name(fields: dict[str, object]) -> str | None:
    name = fields.get("from")
    if name is not None and not isinstance(name, str):
        raise Refusal(422, f"from: expected the name of a state, got {name!r:.80}")
    return name


def _opened(session: Session) -> Response:
    return Response(201, {"session": session.name, "state": session.state(None).name})


def _told(state: State) -> dict[str, str | None]:
    # The first state of a session may have parents in another one.
    parent = state.parent.name if state.parent and state.name != FIRST_STATE else None
    return {"state": state.name, "from": parent}
