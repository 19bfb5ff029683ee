"""The other sides of bench/execute.py, each in a process of its own that answers one JSON line for every line it reads.

    python bench/lib/bare_fork.py PACKAGE_PATHS VERIFY_PATHS ZYGOTE_OPTIONS_AS_JSON

`fork N`: N bare forks of a process prepared just as a zygote is, each child ending at once: the least a process per program can
cost. `run N SOURCE_AS_JSON`: the program N times in this process, each in a fresh namespace: a warm reused worker.
"""

import contextlib
import io
import json
import os
import resource
import sys
import time
from types import ModuleType

# As the zygote boots: none of the library's own imports.
for name, paths in (("rstar_fast", sys.argv[1]), ("rstar_fast.verify", sys.argv[2])):
    sys.modules[name] = ModuleType(name)
    sys.modules[name].__path__ = paths.split(":")
sys.path.pop(0)


def main() -> None:
    from rstar_fast.verify.execute.child.zygote import prepare, use_huge_pages
    from rstar_fast.verify.execute.zygote_options import ZygoteOptions

    stdout = os.fdopen(os.dup(1), "w")
    options = ZygoteOptions(**json.loads(sys.argv[3]))
    prepare(options)
    if options.huge_pages:
        with open("/proc/self/smaps", "rb") as smaps:
            use_huge_pages(smaps)
    for line in sys.stdin:
        command, count, *source = line.split(maxsplit=2)
        times = fork(int(count)) if command == "fork" else run(int(count), json.loads(source[0]))
        print(json.dumps(times), file=stdout, flush=True)


def fork(count: int) -> dict[str, float]:
    begin_s, begin_cpu_s = time.perf_counter(), cpu_s()
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    return {"wall_s": time.perf_counter() - begin_s, "cpu_s": cpu_s() - begin_cpu_s}


def run(count: int, source: str) -> dict[str, float]:
    code = compile(source, "<unknown>", "exec")
    begin_s, begin_cpu_s = time.perf_counter(), cpu_s()
    for _ in range(count):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, {"__name__": "__main__"})
    return {"wall_s": time.perf_counter() - begin_s, "cpu_s": cpu_s() - begin_cpu_s}


def cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
