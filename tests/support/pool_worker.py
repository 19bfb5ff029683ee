"""A worker for the pool's tests. It does what its payload says, good or bad."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rstar_fast.verify.pool.worker import Channel, serve


def start(options: dict[str, Any], channel: Channel) -> Callable[[dict[str, Any]], dict[str, Any]]:
    if options.get("start") == "raise":
        raise RuntimeError("nothing works today")
    if options.get("start") == "exit":
        os._exit(1)
    if options.get("start") == "exit twice":
        mark = Path(options["mark"])
        num_starts = mark.stat().st_size if mark.exists() else 0
        mark.write_text("x" * (num_starts + 1))
        if num_starts < 2:
            os._exit(1)
    if options.get("start") == "garbage":
        os.write(channel.output_fd, b"good morning, this is no frame at all")

    def work(payload: dict[str, Any]) -> dict[str, Any]:
        do = payload["do"]
        if do == "echo":
            return {"value": payload["value"]}
        if do == "sleep":
            time.sleep(payload["s"])
        elif do == "die":
            os._exit(9)
        elif do == "die once":
            mark = Path(payload["mark"])
            if not mark.exists():
                mark.touch()
                os._exit(9)
        elif do == "write":
            os.write(channel.output_fd, bytes.fromhex(payload["hex"]))
            time.sleep(60)
        elif do == "wrong id":
            channel.send(12345, {"value": 1})
            time.sleep(60)
        elif do == "print":
            print("this goes nowhere", flush=True)
        return {"value": payload.get("value", "done")}

    return work


def main(parent_pid: int) -> None:
    serve(parent_pid, start)
