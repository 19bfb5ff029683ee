"""The process that stages are forked from. It has imported what takes seconds, and nothing more.

python -P -m rstar_fast.evolve.fork_server PARENT

It has one thread and has touched no device. Where an import has begun a thread or asked for a GPU,
a fork would not be safe, and a stage begins as a fresh process instead. On standard input come
frames (`rstar_fast.verify.pool.wire`): `{"arguments": [...], "log": "file"}` begins the stage of
the frame's number, and `{"kill": true}` kills it. Standard output gets `{"returncode": n}` at its
end. The server ends with its parent, and the stages end with the server.
"""

import gc
import importlib
import os
import select
import signal
import sys
from contextlib import suppress
from typing import Any

from rstar_fast.evolve import process
from rstar_fast.verify.pool.worker import Channel, die_with

# The modules of the stages, and those that they import late. A trainer's are left out: pyarrow,
# which they load, begins a thread.
_MODULES = (
    "torch",
    "transformers",
    "transformers.models.auto.modeling_auto",
    "rstar_fast.evolve.making_data",
    "rstar_fast.evolve.results",
    "rstar_fast.evolve.searching",
    "rstar_fast.policy.transformers",
    "rstar_fast.ppm.packed_scorer",
)


def serve() -> list[str]:
    """Serve until the parent ends. Returns in a forked stage only, with its arguments."""
    channel = Channel()
    for module in _MODULES:
        # A stage says itself what is not installed.
        with suppress(ImportError):
            importlib.import_module(module)
    # The collector would write to the objects, and a written page is no longer shared.
    gc.collect()
    gc.freeze()
    # Ctrl-C reaches the whole group. Here it would leave stages without a parent to report to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    ended_fd, signalled_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(signalled_fd, warn_on_full_buffer=False)
    numbers: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([channel.input_fd, ended_fd], [], [])
        if ended_fd in ready:
            os.read(ended_fd, 1 << 12)
            for pid, number in list(numbers.items()):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    del numbers[pid]
                    channel.send(number, {"returncode": os.waitstatus_to_exitcode(status)})
        if channel.input_fd not in ready:
            continue
        for number, asked in channel.receive_all():
            if asked.get("kill"):
                # No process id is taken by another before it was waited for above.
                for pid in [pid for pid, of in numbers.items() if of == number]:
                    os.kill(pid, signal.SIGKILL)
                continue
            safe, server_pid = _has_one_thread(), os.getpid()
            pid = os.fork()
            if not pid:
                os.close(signalled_fd)
                os.close(ended_fd)
                return _begin(channel, server_pid, asked, safe)
            numbers[pid] = number


def _begin(channel: Channel, server_pid: int, asked: dict[str, Any], safe: bool) -> list[str]:
    """Make a forked process one that was begun on its own, and return its arguments."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    die_with(server_pid)
    os.close(channel.input_fd)
    os.close(channel.output_fd)
    log_fd = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    os.close(log_fd)
    arguments: list[str] = [*asked["arguments"], "--parent", str(server_pid)]
    if not safe or _has_asked_for_a_gpu():
        os.execv(sys.executable, [sys.executable, "-P", "-m", process.__name__, *arguments])
    with open("/proc/self/comm", "w") as file:
        # The kernel keeps 15 bytes, and the end of a stage's name says most.
        file.write(arguments[1][-15:])
    return arguments


def _has_one_thread() -> bool:
    return len(os.listdir("/proc/self/task")) == 1


def _has_asked_for_a_gpu() -> bool:
    """Return whether a CUDA call before the fork makes GPUs useless in this process."""
    import torch

    return bool(torch.cuda._is_in_bad_fork())


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    sys.exit(process.main(serve()))
