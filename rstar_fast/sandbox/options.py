"""Options of the server."""

from dataclasses import dataclass

from rstar_fast.checks import check_integer, check_number


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """Options of the server. Each limit bounds what a request may ask for.

    Attributes:
        host: Address to listen on.
        port: Port to listen on, in 0..65535. 0 takes a free one.
        workers: Number of programs at once. None for one per processor.
        max_time_s: Largest wall time of a script, and of all steps to a state together, seconds.
        max_memory_mb: Largest address space of a program beyond the libraries' own, MiB.
        max_waiting: Number of requests that wait for their program to start. Further ones get 429.
        max_sessions: Number of open sessions. Further ones get 429.
        idle_s: Seconds after which a session that nobody used is closed.
        max_body_bytes: Largest body of a request, bytes.
        max_connections: Number of open connections. Further ones get 503.
        receive_s: Seconds in which a request has to arrive once its first byte has.
        unconfined: Whether to serve on a machine that cannot isolate programs.

    Raises:
        ConfigError: A value is out of range.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int | None = None
    max_time_s: float = 60.0
    max_memory_mb: int = 1024
    max_waiting: int = 256
    max_sessions: int = 1024
    idle_s: float = 600.0
    max_body_bytes: int = 8 << 20
    max_connections: int = 1024
    receive_s: float = 30.0
    unconfined: bool = False

    def __post_init__(self) -> None:
        check_integer("port", self.port, low=0, high=65535)
        for name in ("max_memory_mb", "max_sessions", "max_body_bytes", "max_connections"):
            check_integer(name, getattr(self, name), low=1)
        check_integer("max_waiting", self.max_waiting, low=0)
        for name in ("max_time_s", "idle_s", "receive_s"):
            check_number(name, getattr(self, name), low=1e-3)
