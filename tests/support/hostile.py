"""Hostile and faulty programs, and the observation that each must give.

    python tests/support/hostile.py [ROUNDS]

This runs each program ROUNDS times (1 if left out), in random order among harmless programs, and
checks that nothing is left behind.
"""

import os
import random
import re
import sys
import time
from collections import Counter
from pathlib import Path

from rstar_fast.verify import Executor, Limits, Observation, Status

WALL_S = 2.0
LEAVINGS = [
    Path("/tmp/rstar_fast_hostile"),
    Path("/dev/shm/rstar_fast_hostile"),
    Path("/dev/cache"),
]

TIMEOUTS = {
    "loop": "while True: pass",
    "one long call": "max(range(10**12))",
    "signals ignored": (
        "from signal import *\nfor s in set(Signals) - {9, 19}: signal(s, SIG_IGN)\n"
        "while True: pass"
    ),
    "catches all": (
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
    ),
    "sleep": "import time\ntime.sleep(100)",
    "regular expression": "import re\nre.match('(a+)+$', 'a' * 40 + 'b')",
    "huge power": "10**(10**10)",
    "destructor": "class A:\n    def __del__(self):\n        while True: pass\na = A()\ndel a",
    "prints for ever": "while True: print('x' * 1000)",
    "answers no more": "import os\nos.closerange(3, 100)\nwhile True: pass",
}

_NATIVE = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
_CLONE = (
    "import ctypes, os, time\nlibc = ctypes.PyDLL(None, use_errno=True)\n"
    "def clone(): return libc.syscall(*map(ctypes.c_long, (56, 0x1208011, 0, 0, 0, 0)))\n"
)
"""Python that calls the one clone that the filter knows. PyDLL keeps the lock in the clone."""


def forged(flags: int) -> str:
    """Return Python that sends a well-formed reply with flags of `framing`."""
    return (
        f"import os, struct\nos.write(3, struct.pack('!4sBBqqI', b'rsr1', 0, {flags}, 0, 0, 0))\n"
    )


def false_greeting(greeting: str) -> tuple[str, str]:
    """Return steps of which the first one answers, instead of a clone, what is asked next."""
    return (
        f"<code>\n{forged(1)}import socket, time\n"
        "channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, 3)\n"
        "data, fds, _, _ = socket.recv_fds(channel, 1, 1)\n"
        f"os.write(fds[0], {greeting.encode()!r})\ntime.sleep(30)\n<end_of_step>",
        "\nprint(1)\n<end_of_code>",
    )


Program = str | tuple[str, ...]
"""A program: its text, or the texts of its steps."""

# Each program has a regular expression that must match the beginning of its observation's text, and
# the statuses that it may have: ERROR if none is named.
REPORTED: dict[str, tuple[Program, str] | tuple[Program, str, set[Status]]] = {
    "fork": ("import os\nos.fork()", "PermissionError: "),
    "fork bomb": (
        "import os\nfor _ in range(100):\n    try: os.fork()\n"
        "    except OSError as error: last = error\nraise last",
        "PermissionError: ",
    ),
    "native fork bomb": (
        _NATIVE + "print([libc.fork() for _ in range(100)] == [-1] * 100,"
        " [libc.vfork() for _ in range(3)])",
        r"True \[-1, -1, -1\]",
        {Status.OK},
    ),
    "subprocess": ("import subprocess\nsubprocess.run(['true'])", "PermissionError: "),
    "system": ("import os\nos.system('true')", "PermissionError: "),
    "native system": (
        _NATIVE + "print(libc.system(b'touch /tmp/rstar_fast_hostile'))",
        r"(-1|32512)$",
        {Status.OK},
    ),
    "exec": ("import os\nos.execv('/bin/true', ['true'])", "PermissionError: "),
    "native exec": (
        _NATIVE + "print(libc.execl(b'/bin/true', b'true', None), ctypes.get_errno())",
        r"-1 1$",
        {Status.OK},
    ),
    "multiprocessing": ("import multiprocessing\nmultiprocessing.Pool(2)", "PermissionError: "),
    "daemon": (
        "import os\nif os.fork() == 0:\n    os.setsid()\n    while True: pass",
        "PermissionError: ",
    ),
    "kill itself": ("import os\nos.kill(os.getpid(), 9)", "PermissionError: "),
    "kill its parent": ("import os\nos.kill(os.getppid(), 9)", "PermissionError: "),
    "kill anyone": (
        "import os\nfound = []\nfor p in range(1, 30000):\n    try:\n        os.kill(p, 0)\n"
        "        found.append(p)\n    except OSError: pass\nprint(found)",
        r"\[\]$",
        {Status.OK},
    ),
    "native kill": (
        _NATIVE + "print({libc.kill(p, 9) for p in range(1, 30000)}, {libc.kill(-1, 9)})",
        r"\{-1\} \{-1\}$",
        {Status.OK},
    ),
    "raise a signal": ("import signal\nsignal.raise_signal(9)", "PermissionError: "),
    "password file": ("open('/etc/passwd')", "PermissionError: "),
    "native password file": (_NATIVE + "print(libc.open(b'/etc/passwd', 0))", r"-1$", {Status.OK}),
    "home folder": ("import os\nos.listdir('/root')", "PermissionError: "),
    "environment": ("import os\nopen(f'/proc/{os.getppid()}/environ')", "PermissionError: "),
    "write": ("open('/tmp/rstar_fast_hostile', 'w')", "PermissionError: "),
    "shared memory": ("open('/dev/shm/rstar_fast_hostile', 'w')", "PermissionError: "),
    "native write": (
        _NATIVE + "paths = b'/tmp/rstar_fast_hostile', b'/dev/shm/rstar_fast_hostile'\n"
        "print([libc.open(path, 0o1102, 0o777) for path in paths])",
        r"\[-1, -1\]$",
        {Status.OK},
    ),
    "cache": ("open('/dev/cache/rstar_fast_hostile', 'w')", "PermissionError: "),
    "native cache": (
        # The last one asks for a file without a name.
        _NATIVE + "print([libc.open(b'/dev/cache/x', 0o1102, 0o777), libc.mkdir(b'/dev/cache/x'),"
        " libc.open(b'/dev/cache', 0o20200002, 0o777)])",
        r"\[-1, -1, -1\]$",
        {Status.OK},
    ),
    "remove": ("import os\nos.remove('/tmp/rstar_fast_hostile')", "PermissionError: "),
    "connect": ("import socket\nsocket.create_connection(('127.0.0.1', 9))", "PermissionError: "),
    "native socket": (
        _NATIVE + "print([libc.socket(family, 1, 0) for family in (1, 2, 10, 16)])",
        r"\[-1, -1, -1, -1\]$",
        {Status.OK},
    ),
    "download": (
        "from urllib.request import urlopen\nurlopen('http://127.0.0.1:9')",
        "(PermissionError|URLError): ",
    ),
    "raise its limits": (
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "PermissionError: ",
    ),
    "native limits": (
        _NATIVE + "print(libc.setrlimit(9, (ctypes.c_ulong * 2)(2**63, 2**63)))",
        r"-1$",
        {Status.OK},
    ),
    "become root": ("import os\nos.setuid(0)", "PermissionError: "),
    "unshare, ptrace, io_uring": (
        _NATIVE + "numbers = 272, 101, 425, 321, 165\n"
        "print([libc.syscall(ctypes.c_long(n), 0x10000000, 0, 0, 0) for n in numbers])",
        r"\[-1, -1, -1, -1, -1\]$",
        {Status.OK},
    ),
    "much memory": ("bytearray(10**11)", "MemoryError:", {Status.MEMORY}),
    "much memory in numpy": (
        "import numpy\nnumpy.ones(10**10)",
        "MemoryError: Unable to allocate 74.5 GiB",
        {Status.MEMORY},
    ),
    "memory bit by bit": (
        "hoard = []\nwhile True: hoard.append(bytes(10**7))",
        "MemoryError:",
        {Status.MEMORY},
    ),
    "one long print": ("print('x' * 50_000_000)", "x{512}\\.\\.\\.x{511}$", {Status.OK}),
    "stderr": ("import sys\nsys.stderr.write('x' * 20_000_000)\nprint(1)", "1$", {Status.OK}),
    "null pointer": (
        "import ctypes\nctypes.string_at(0)",
        "CrashError: signal SIGSEGV",
        {Status.CRASH},
    ),
    "abort": ("import os\nos.abort()", "CrashError: signal SIG", {Status.CRASH}),
    "exit status": ("import os\nos._exit(7)", "CrashError: exit status 7", {Status.CRASH}),
    "exit status 0": ("import os\nos._exit(0)", "CrashError: exit status 0", {Status.CRASH}),
    "sys.exit": ("import sys\nsys.exit('bye')", "SystemExit: bye$"),
    "exit": ("exit()", "SystemExit:"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt:"),
    "recursion": ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
    "endless recursion": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
        "",
        {Status.MEMORY, Status.CRASH, Status.TIMEOUT},
    ),
    "fills its output": (
        "import os\nfor fd in 4 * (4, 5, 6, 7):\n    try: os.write(fd, b'\\xff' * 50000)\n"
        "    except OSError: pass\nos._exit(3)",
        "\ufffd{512}\\.\\.\\.\nCrashError: exit status 3$",
        {Status.CRASH},
    ),
    "daemon thread": (
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(100,), daemon=True).start()\nprint(1)",
        "1$",
        {Status.OK},
    ),
    "100 threads": (
        "import threading, time\n"
        "for _ in range(100): threading.Thread(target=time.sleep, args=(9,)).start()",
        "RuntimeError: can't start new thread$",
    ),
    "no stdout": (
        "import sys\nsys.stdout = None\nprint(1)\n1 / 0",
        "ZeroDivisionError: division by zero$",
    ),
    "alarm": (
        "import signal\ndef stop(*_): raise TimeoutError('too long')\n"
        "signal.signal(signal.SIGALRM, stop)\nsignal.alarm(1)\nwhile True: pass",
        "TimeoutError: too long$",
    ),
    "pause": (
        "import signal\nsignal.signal(signal.SIGALRM, lambda *_: print('woken'))\n"
        "signal.alarm(1)\nsignal.pause()\nprint('on')",
        "woken\non$",
        {Status.OK},
    ),
    "timer": (
        "import signal\nsignal.signal(signal.SIGPROF, lambda *_: 1 / 0)\n"
        "signal.setitimer(signal.ITIMER_PROF, 0.1)\nwhile True: pass",
        "ZeroDivisionError:",
    ),
    "alarm without a handler": (
        "import signal\nprint('now')\nsignal.alarm(1)\nwhile True: pass",
        "now\nCrashError: signal SIGALRM$",
        {Status.CRASH},
    ),
    "timer that goes on": (
        "import signal\nsignal.signal(signal.SIGALRM, lambda *_: 1 / 0)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\nwhile True: pass",
        "(ZeroDivisionError|CrashError):",
        {Status.ERROR, Status.CRASH},
    ),
    "input": ("input()", "EOFError:"),
    "long integer": ("print(10**5000)", r"ValueError: Exceeds the limit \(4300 digits\)"),
    "syntax": ("x = = 1", r"SyntaxError: invalid syntax \(<unknown>, line 1\)$"),
    "null byte": ("x = '\0'", "SyntaxError: source code string cannot contain null bytes"),
    "surrogate": ("x = '\ud800'", "UnicodeEncodeError: 'utf-8' codec can't encode"),
    "writes to its channel": (
        "import os\nfor fd in range(3, 100):\n    try: os.write(fd, b'\\xff' * 100)\n"
        "    except OSError: pass",
        "ProtocolError:",
        {Status.PROTOCOL},
    ),
    "floods its channel": (
        "import os\nwhile True:\n    for fd in range(3, 9):\n"
        "        try: os.write(fd, b'rsr1' + bytes(50000))\n        except OSError: pass",
        "(ProtocolError|TimeoutError):",
        {Status.PROTOCOL, Status.TIMEOUT},
    ),
    # The filter lets this one clone call pass. Where the kernel asks the supervisor, it is refused.
    # Elsewhere the supervisor does not know the children, and kills them.
    "clones itself": (
        _CLONE + "pids = [clone() for _ in range(3)]\nwhile 0 in pids: pass\nprint('cloned')",
        "cloned$|ProtocolError:|CrashError:",
        {Status.OK, Status.PROTOCOL, Status.CRASH},
    ),
    "hops from clone to clone": (
        _CLONE + "if clone() == 0:\n    end = time.time() + 5\n    while time.time() < end:\n"
        "        pause = time.process_time() + 0.1\n"
        "        while time.process_time() < pause: pass\n"
        "        if clone() != 0: os._exit(0)\n    os._exit(0)\nprint('answered')",
        "answered$|ProtocolError:",
        {Status.OK, Status.PROTOCOL},
    ),
    "asks for clones without end": (
        _CLONE + "for _ in range(20_000):\n    if clone() == 0: os._exit(0)\nprint('asked')",
        "asked$|TimeoutError:",
        {Status.OK, Status.TIMEOUT},
    ),
    "memory of many clones": (
        _CLONE + "for _ in range(6):\n    if clone() == 0:\n"
        "        hoard = bytearray(80 << 20)\n        time.sleep(1)\n        os._exit(0)\n"
        "time.sleep(0.5)\nprint('done')",
        "done$|ProtocolError:",
        {Status.OK, Status.PROTOCOL, Status.MEMORY},
    ),
    "thousands of threads": (
        _NATIVE + "import time\nattributes = ctypes.create_string_buffer(256)\n"
        "libc.pthread_attr_init(attributes)\n"
        "libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(16384))\n"
        "start, thread = ctypes.cast(libc.sleep, ctypes.c_void_p), ctypes.c_ulong()\n"
        "made, end = 0, time.time() + 1.5\nwhile time.time() < end:\n"
        "    if libc.pthread_create(ctypes.byref(thread), attributes, start, ctypes.c_void_p(9)):\n"
        "        time.sleep(0.001)\n    else: made += 1\nprint(made)",
        r"\d+$",
        {Status.OK},
    ),
    "outlives its parent": (
        _NATIVE + "print([libc.prctl(1, s, 0, 0, 0) for s in (0, 15, 9)])",
        r"\[-1, -1, 0\]$",
        {Status.OK},
    ),
    "limits of others": (
        _NATIVE + "import os\nnew = (ctypes.c_ulong * 2)(1, 1)\n"
        "print({libc.prlimit(p, 0, new, 0) for p in range(1, 9999) if p != os.getpid()})",
        r"\{-1\}$",
        {Status.OK},
    ),
    "asks to be replayed": (
        forged(4) + "while True: pass",
        "ProtocolError:",
        {Status.PROTOCOL},
    ),
    "asks to be replayed, continued": (
        ("<code>\nx = 1\n<end_of_step>", f"\n{forged(4)}while True: pass\n<end_of_step>"),
        "(ProtocolError|TimeoutError):",
        {Status.PROTOCOL, Status.TIMEOUT},
    ),
    "goes on as a snapshot": (
        f"<code>\n{forged(1)}import time\ntime.sleep(0.3)\nhoard = bytearray(60 << 20)\n"
        "while True: pass\n<end_of_step>",
        "$",
        {Status.OK},
    ),
    "never clones": (
        (
            f"<code>\n{forged(1)}import time\nos.read(3, 1)\nwhile True: pass\n<end_of_step>",
            "\nprint(1)\n<end_of_code>",
        ),
        "$|1$|TimeoutError:",
        {Status.OK, Status.TIMEOUT},
    ),
    "greets in place of a clone": (false_greeting("h"), "", {Status.OK, Status.TIMEOUT}),
    "greets wrongly": (false_greeting("x"), "", {Status.OK, Status.TIMEOUT}),
    "greets and lies": (false_greeting("hx"), "", {Status.OK, Status.TIMEOUT}),
    "claims that there is no room": (false_greeting("e"), "", {Status.OK, Status.TIMEOUT}),
    "no len": ("import builtins\nbuiltins.len = None", "TypeError: 'NoneType' object is not"),
    "no builtins": (
        "import builtins\nfor name in list(vars(builtins)): setattr(builtins, name, None)",
        "TypeError: 'NoneType' object is not",
    ),
    "patches": (
        "import math, sympy, builtins\nmath.pi = 3\nsympy.pi = 3\n"
        "builtins.leak = secret = 1\nprint('done')",
        "done$",
        {Status.OK},
    ),
}

HARMLESS = (
    "import math, sympy, builtins\n"
    "print({i}, math.pi, sympy.pi, 'leak' in dir(builtins), 'secret' in globals())"
)


def fault(name: str, observation: Observation) -> str:
    """Return what is wrong with the observation of a program of the tables, "" if nothing is."""
    if name in TIMEOUTS:
        late_s = observation.wall_s - WALL_S
        # "prints for ever" fills more than is kept, and one line of it is 1,000 characters.
        printed = "x" * 512 + "...\n" if name == "prints for ever" else ""
        fine = (
            observation.status is Status.TIMEOUT
            and observation.text == f"{printed}TimeoutError: not finished after {WALL_S:g} s"
        )
        return "" if fine and late_s >= 0 else f"{name}: {observation}"
    _, text, *status = REPORTED[name]
    statuses = status[0] if status else {Status.ERROR}
    return (
        ""
        if observation.status in statuses and re.match(text, observation.text)
        else f"{name}: {observation}"
    )


def steps(name: str) -> tuple[str, ...]:
    """Return the steps of a program of the tables."""
    program = TIMEOUTS[name] if name in TIMEOUTS else REPORTED[name][0]
    return (program,) if isinstance(program, str) else program


def run_all(executor: Executor, rounds: int, seed: int) -> list[str]:
    """Run every program `rounds` times in random order, each with a harmless one after it.

    Returns what went wrong.
    """
    order = [name for name in [*TIMEOUTS, *REPORTED] for _ in range(rounds)]
    random.Random(seed).shuffle(order)
    futures = []
    for i, name in enumerate(order):
        futures.append((name, executor.submit(steps(name))))
        futures.append(("", executor.submit([HARMLESS.replace("{i}", str(i))])))
    faults = []
    for i, (name, future) in enumerate(futures):
        observation = future.result()
        if observation.status is Status.TIMEOUT and name not in TIMEOUTS:
            # On a busy machine a program may get no processor in its time. Alone it has to end.
            again = steps(name) if name else [HARMLESS.replace("{i}", str(i // 2))]
            observation = executor.run(again)
        if name:
            faults.append(fault(name, observation))
        elif observation.text != f"{i // 2} 3.141592653589793 pi False False":
            faults.append(f"harmless program {i // 2}: {observation}")
    faults += [f"left behind: {path}" for path in LEAVINGS if path.exists()]
    return [one for one in faults if one]


def state(executor: Executor) -> Counter[str]:
    """Return what a program could leave behind, once it has stopped changing.

    Counted are the descriptors of this process and of the supervisor, without those for zygotes
    and snapshots, and the supervisor's children other than zygotes and snapshots.
    """
    earlier, now = None, _state(executor)
    while earlier != now:
        time.sleep(0.2)
        earlier, now = now, _state(executor)
    return now


def _state(executor: Executor) -> Counter[str]:
    report = executor.report()
    pids = report["pids"]
    (supervisor,) = pids["supervisor"]
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    known = {str(pid) for pid in pids["zygotes"] + pids["snapshots"]}
    counts: Counter[str] = Counter(
        own_fds=len(os.listdir("/proc/self/fd")), others=len(set(children) - known)
    )
    # A zygote takes a socket and a descriptor for the kernel's questions. While it starts, it takes
    # one for its stderr in the place of the latter.
    fds_of_zygotes = (2 - bool(report["isolation"]["approved clones"])) * len(pids["zygotes"])
    counts["supervisor_fds"] = (
        len(os.listdir(f"/proc/{supervisor}/fd")) - 2 * len(pids["snapshots"]) - fds_of_zygotes
    )
    return counts


def main(rounds: int) -> int:
    """Run the tables `rounds` times and print what went wrong. Returns the exit status."""
    limits = Limits(wall_s=WALL_S, memory_bytes=128 << 20)
    with Executor(workers=2, limits=limits) as executor:
        report = executor.report()
        missing = {name: why for name, why in report["isolation"].items() if why}
        cloning = "C++" if report["native"] else "Python"
        print(f"uid {os.geteuid()}; cloned by {cloning}; not in force: {missing or 'nothing'}")
        executor.run(["1"])
        before, begin_s = state(executor), time.monotonic()
        faults = run_all(executor, rounds, seed=rounds)
        # The supervisor kills processes that belong to no program within two sweeps, 1 s each.
        time.sleep(3)
        after = state(executor)
        num_programs, elapsed_s = len(TIMEOUTS) + len(REPORTED), time.monotonic() - begin_s
        print(
            f"{rounds} x {num_programs} programs among as many harmless ones in {elapsed_s:.0f} s"
        )
        print(f"before {dict(before)}\nafter  {dict(after)}")
    for one in faults:
        print("FAULT", one)
    return 1 if faults or before != after else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
