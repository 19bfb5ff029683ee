"""vLLM's own server, as a process."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START_S = 900
_END_S = 60


@contextmanager
def vllm_server(
    model: Path, name: str, *options: str, log: Path
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a server on a free port, and yield its address and its process.

    Args:
        model: Folder of the model.
        name: Name under which it serves the model.
        options: Further words of its command line.
        log: File of what it prints.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    words = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    words += ["--served-model-name", name, "--host", "127.0.0.1", "--port", str(port)]
    words += ["--dtype", "float32", "--block-size", "32", "--enforce-eager"]
    # Else its CPU build ends where a prompt with a seed is read in two steps.
    words += ["--no-enable-chunked-prefill"]
    words += ["--kv-cache-memory-bytes", str(1 << 30), "--generation-config", "vllm", *options]
    environment = os.environ | {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_NO_USAGE_STATS": "1",
        "OMP_NUM_THREADS": "1",
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            words, stdout=out, stderr=out, env=environment, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _START_S
        while not _is_up(address):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"vLLM's server did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.5)
        yield address, process
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            # It has engines below it.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
