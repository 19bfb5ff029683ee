"""What the executor is compared with, in a process of its own. bench/execute.py starts it.

    python bench/lib/bare_fork.py PACKAGE_PATHS VERIFY_PATHS ZYGOTE_OPTIONS_AS_JSON

The process is prepared as a zygote is. It answers each line that it reads with one line of JSON:

    fork N                Fork N times. Each child ends at once. This is the least that a process
                          for each program can cost.
    run N SOURCE_AS_JSON  Run a program N times in this process, each time in a new namespace. A
                          worker that is used again and again does the same.
"""

import contextlib
import io
import json
import os
import resource
import sys
import time
from types import ModuleType

# A zygote begins the same way: these packages are empty, so what they import is not loaded.
# bench/execute.py takes the paths from `package_paths` of the supervisor.
for name, paths in zip(("rstar_fast", "rstar_fast.verify"), sys.argv[1:3], strict=True):
    sys.modules[name] = ModuleType(name)
    sys.modules[name].__path__ = paths.split(":")
sys.path.pop(0)


def main() -> None:
    """Prepare the process, then answer commands until the input ends."""
    from rstar_fast.verify.execute.child.confining import use_huge_pages
    from rstar_fast.verify.execute.child.zygote import prepare
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
    """Fork `count` times and return the wall and processor seconds."""
    begin_s, begin_cpu_s = time.perf_counter(), cpu_s()
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    return {"wall_s": time.perf_counter() - begin_s, "cpu_s": cpu_s() - begin_cpu_s}


def run(count: int, source: str) -> dict[str, float]:
    """Run a program `count` times and return the wall and processor seconds."""
    code = compile(source, "<unknown>", "exec")
    begin_s, begin_cpu_s = time.perf_counter(), cpu_s()
    for _ in range(count):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, {"__name__": "__main__"})
    return {"wall_s": time.perf_counter() - begin_s, "cpu_s": cpu_s() - begin_cpu_s}


def cpu_s() -> float:
    """Return the processor seconds of this process and of its children that ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
