"""Namespaces: a private process tree, network and view of the files.

They are used where the kernel lets this user make them. `enter` runs in the supervisor process, and
`enter_private_root` in a process that is locked down.
"""

import os
import signal
from collections.abc import Callable, Iterable, Sequence

from rstar_fast.verify.sandbox import kernel
from rstar_fast.verify.sandbox.kernel import detach_mount, mount, prctl, syscall

_FLAGS = {
    "network namespace": kernel.CLONE_NEWNET,
    "ipc namespace": kernel.CLONE_NEWIPC,
    "host name namespace": kernel.CLONE_NEWUTS,
    "process namespace": kernel.CLONE_NEWPID,
}
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = (
    1,
    2,
    4,
    8,
    32,
    4096,
    16384,
    1 << 18,
)
EMPTY_FOLDER = "/dev/cache"
"""Folder of a private root that looks writable and holds nothing.

Libraries that want a folder for their caches are content with it, and go on when they cannot write.
"""
_MS_RELATIME, _ST_RELATIME = 1 << 21, 1 << 12
_SAME_FLAGS = 0xC0F
"""RDONLY, NOSUID, NODEV, NOEXEC, NOATIME and NODIRATIME, which statvfs and mount number alike.

A remount may not drop those of them that are locked.
"""


def enter() -> tuple[dict[str, str], int | None]:
    """Move this process and its future children into new namespaces.

    The process must have one thread. An ordinary user needs a user namespace first. The init of a
    process namespace is a child of this process. It dies with this process, and the kernel then
    kills every process of the namespace.

    Returns:
        Reasons why a namespace could not be made, keyed by its name, "" if it was made; and the
        process id of the init, None if there is none.
    """
    outcome: dict[str, str] = {}
    if os.geteuid() != 0:
        outcome["user namespace"] = attempt(_enter_user_namespace)
        if outcome["user namespace"]:
            return outcome | dict.fromkeys(_FLAGS, "needs a user namespace"), None
        _enter_user_namespace()
    for name, flag in _FLAGS.items():
        outcome[name] = attempt(lambda flag=flag: _unshare(flag))  # type: ignore[misc]
        if not outcome[name]:
            _unshare(flag)
    return outcome, None if outcome["process namespace"] else _start_init()


def enter_private_root(folders: Iterable[str], devices: Sequence[str]) -> None:
    """Hide all files from this process but some folders and devices, and add `EMPTY_FOLDER`.

    Args:
        folders: Folders that stay, read-only at their usual paths. Missing ones are left out.
        devices: Paths of device files that stay.

    Raises:
        OSError: The kernel refused. The process is then unfit for use, so `attempt` it first.
    """
    sources = {
        path.rstrip("/"): os.path.realpath(path) for path in sorted(folders) if os.path.isdir(path)
    }
    _unshare(kernel.CLONE_NEWNS)
    mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    mount("tmpfs", "/tmp", "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=0755,size=1m")
    os.mkdir("/tmp/old")
    syscall("pivot_root", b"/tmp", b"/tmp/old")
    os.chdir("/")
    previous_mask = os.umask(0o022)
    for path, source in sources.items():
        if not os.path.isdir(path):
            os.makedirs(path)
            _bind_read_only(f"/old{source}", path)
    for path in devices:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        mount(f"/old{path}", path, None, _MS_BIND)
    # A program that opens a file in it is told that it is forbidden, not that it is missing.
    os.mkdir("/dev/shm")
    mount("tmpfs", "/dev/shm", "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=0555,size=4k")
    os.mkdir(EMPTY_FOLDER)
    # The folder itself is the only inode for which there is room.
    options = "mode=0777,size=4k,nr_inodes=1"
    mount("tmpfs", EMPTY_FOLDER, "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, options)
    os.umask(previous_mask)
    detach_mount("/old")
    os.rmdir("/old")
    mount("none", "/", None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)


def attempt(action: Callable[[], object]) -> str:
    """Do something in a forked child. Returns "" if it worked there, else why not."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        reason = "it failed"
        try:
            action()
            reason = ""
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}"
        finally:
            os.write(write_fd, reason.encode()[:1000])
            os._exit(0)
    os.close(write_fd)
    with open(read_fd, "rb") as pipe:
        reason = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    return reason or ("" if status == 0 else f"ended with wait status {status}")


def _enter_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    _unshare(kernel.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _unshare(flags: int) -> None:
    syscall("unshare", flags)


def _bind_read_only(source: str, path: str) -> None:
    """Make a folder visible at a second path, read-only."""
    mount(source, path, None, _MS_BIND | _MS_REC)
    flags = os.statvfs(path).f_flag
    locked = flags & _SAME_FLAGS | (_MS_RELATIME if flags & _ST_RELATIME else 0)
    mount("none", path, None, _MS_REMOUNT | _MS_BIND | locked | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)


def _start_init() -> int:
    """Start the init of a process namespace, which only waits. Returns its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
            os.closerange(0, 1 << 16)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            while True:
                signal.pause()
        finally:
            os._exit(1)
    return pid
