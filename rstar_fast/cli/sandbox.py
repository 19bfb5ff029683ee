"""The command `rstar-fast sandbox`: a server that runs programs for others."""

import argparse
import asyncio
import signal
from dataclasses import fields
from ipaddress import ip_address
from typing import TYPE_CHECKING

from rich.console import Console

from rstar_fast.cli.console import Exit
from rstar_fast.errors import ConfigError
from rstar_fast.sandbox.options import SandboxOptions

if TYPE_CHECKING:
    from rstar_fast.sandbox.server import SandboxServer

DESCRIPTION = "Serve SandboxFusion's POST /run_code (python), and sessions with forks."
_DEFAULTS = SandboxOptions()


def epilog() -> str:
    """Return the text after the options."""
    return (
        "Clients: --sandbox-fusion-url http://127.0.0.1:8080/run_code and the like. There is no\n"
        "password: whoever reaches the port can run programs. docs/sandbox.md has the routes."
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""

    def add(option: str, name: str, kind: type, help: str) -> None:
        default = getattr(_DEFAULTS, name)
        parser.add_argument(
            option,
            dest=name,
            type=kind,
            default=default,
            metavar=option.removeprefix("--").upper().replace("-", "_"),
            help=help if default is None else f"{help} (default: {default})",
        )

    add("--port", "port", int, "port to listen on; 0 takes a free one")
    add("--host", "host", str, "address to listen on")
    add("--workers", "workers", int, "programs at once (default: one per processor)")
    add("--max-time", "max_time_s", float, "largest time of a program, seconds")
    add("--max-memory", "max_memory_mb", int, "largest memory of a program, MiB")
    add("--max-waiting", "max_waiting", int, "requests that may wait; further ones get 429")
    add("--max-sessions", "max_sessions", int, "open sessions; further ones get 429")
    add("--session-idle", "idle_s", float, "seconds after which an unused session is closed")
    parser.add_argument(
        "--unconfined",
        action="store_true",
        help="serve on a machine that cannot isolate programs (see `rstar-fast doctor`)",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Serve until a signal comes. The exit code is 0."""
    names = {field.name for field in fields(SandboxOptions)}
    options = SandboxOptions(**{name: vars(args)[name] for name in names & vars(args).keys()})
    try:
        from rstar_fast.sandbox.server import serve
    except ImportError as error:
        raise ConfigError(
            f'the server needs more: pip install "rstar-fast[sandbox]" ({error})'
        ) from error

    def started(server: "SandboxServer") -> None:
        host = f"[{options.host}]" if ":" in options.host else options.host
        console.print(
            f"Listening on http://{host}:{server.port}, {server.workers} programs at once.",
            soft_wrap=True,
        )
        if server.isolation.missing:
            missing = "; ".join(server.isolation.missing)
            console.print(f"WARNING: programs are not isolated; missing: {missing}", soft_wrap=True)
        if not _is_local(options.host):
            console.print(
                "WARNING: there is no password. Whoever reaches this address can run programs.",
                soft_wrap=True,
            )

    async def until_signal() -> None:
        # A signal that comes before it listens counts too.
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end.set)
        await serve(options, end.wait, started)

    asyncio.run(until_signal())
    return Exit.OK


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
