"""A server of llama.cpp over the embedded policy, as a process.

As a program: `llama_server.py FILE PORT`. It prints its address, and serves until it is killed.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODEL = "embedded"
CONTEXT = 1024
_SLOTS = 4


@contextmanager
def llama_server(file: Path, port: int = 0) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Serve a GGUF file. Yields address and process."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(file), str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http"), "the server does not start"
        yield address, process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def main() -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, port = sys.argv[1], int(sys.argv[2])
    params.model_alias = [MODEL]
    params.hostnames, params.port = ["127.0.0.1"], port
    params.n_ctx, params.n_parallel = CONTEXT * _SLOTS, _SLOTS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_gpu_layers, params.warmup, params.verbosity = 0, False, 0
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
