"""Sessions: programs that grow step by step, and whose earlier states can be gone on from.

A state is a list of steps. The process that has executed them is kept by the executor as a
snapshot while there is room. Where it is gone, the steps are run again.
"""

import secrets
import time
from dataclasses import dataclass, field, replace

from rstar_fast.marks import CODE, escape
from rstar_fast.sandbox.messages import Refusal

FIRST_STATE = "0"
"""Name of the state with which each session begins."""
_MAX_STATES = 4096
_MAX_CHARS = 256 << 20
"""Characters of code that all sessions together hold."""


@dataclass(frozen=True, slots=True)
class State:
    """A program so far.

    Attributes:
        name: Name of the state in its session.
        parent: State before its last step. None for the empty program.
        step: Text of its last step, as the executor takes it.
        spent_s: Wall time that its steps took, seconds.
    """

    name: str
    parent: "State | None" = None
    step: str = ""
    spent_s: float = 0.0

    def steps(self) -> list[str]:
        """Return the texts of all steps up to here."""
        found = []
        state: State | None = self
        while state and state.step:
            found.append(state.step)
            state = state.parent
        return found[::-1]

    def next_step(self, code: str) -> str:
        """Return a code as the step behind this state. Its text is code, whatever it spells."""
        return f"{'' if self.step else CODE}{escape(code)}\n"


@dataclass(slots=True)
class Session:
    """A session.

    Attributes:
        name: Name that nobody can guess.
        states: States, keyed by name, the oldest first.
        num_chars: Characters of code that it holds.
        used_s: Time of the last use, by the monotonic clock.
        num_running: Number of steps of it that run now.
    """

    name: str
    states: dict[str, State]
    num_chars: int = 0
    used_s: float = field(default_factory=time.monotonic)
    num_running: int = 0

    def state(self, name: str | None) -> State:
        """Return a state, or the newest one.

        Raises:
            Refusal: There is no such state (404).
        """
        if name is None:
            return self.states[next(reversed(self.states))]
        if name not in self.states:
            raise Refusal(404, f"no state {name[:80]!r} in this session")
        return self.states[name]


class Sessions:
    """All open sessions."""

    def __init__(self, max_count: int, idle_s: float) -> None:
        """Begin without sessions.

        Args:
            max_count: Largest number of open sessions.
            idle_s: Seconds after which a session that nobody used is closed.
        """
        self._max_count = max_count
        self._idle_s = idle_s
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def num_states(self) -> int:
        """Number of states of all sessions."""
        return sum([len(session.states) for session in self._sessions.values()])

    def open(self, root: State | None = None) -> Session:
        """Open a session, empty or from a state of another one.

        Raises:
            Refusal: There are too many (429).
        """
        self.expire()
        if len(self._sessions) >= self._max_count:
            reason = f"{self._max_count} sessions are open already"
            raise Refusal(429, reason, {"retry-after": str(max(1, round(self._idle_s / 4)))})
        root = replace(root, name=FIRST_STATE) if root else State(FIRST_STATE)
        session = Session(secrets.token_urlsafe(16), {root.name: root})
        self._sessions[session.name] = session
        return session

    def get(self, name: str) -> Session:
        """Return an open session, and note that it is used.

        Raises:
            Refusal: There is none (404).
        """
        session = self._sessions.get(name)
        if not session:
            raise Refusal(404, f"no session {name[:80]!r}, or it was closed")
        session.used_s = time.monotonic()
        return session

    def check_room(self, session: Session, code: str) -> None:
        """Raise `Refusal` (413) where a session has no room for one more step."""
        if len(session.states) >= _MAX_STATES:
            raise Refusal(413, f"this session has {_MAX_STATES} states already")
        if sum([each.num_chars for each in self._sessions.values()]) + len(code) > _MAX_CHARS:
            raise Refusal(413, f"all sessions together have {_MAX_CHARS} characters already")

    def add(self, session: Session, parent: State, step: str, wall_s: float) -> State:
        """Add the state behind a step."""
        number = 1 + int(session.state(None).name)
        state = State(str(number), parent, step, parent.spent_s + wall_s)
        session.states[state.name] = state
        session.num_chars += len(step)
        return state

    def close(self, name: str) -> None:
        """Close a session. Raises what `get` does."""
        self.get(name)
        del self._sessions[name]

    def expire(self) -> None:
        """Close the sessions that nobody has used for too long."""
        latest_s = time.monotonic() - self._idle_s
        for session in list(self._sessions.values()):
            if session.used_s < latest_s and not session.num_running:
                del self._sessions[session.name]
