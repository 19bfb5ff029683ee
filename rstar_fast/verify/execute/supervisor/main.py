"""The entry of the supervisor process."""

import resource

from rstar_fast.verify.execute.supervisor.supervisor import Supervisor
from rstar_fast.verify.execute.zygote_options import ZygoteOptions
from rstar_fast.verify.pool.worker import Channel, die_with
from rstar_fast.verify.sandbox import namespaces


def main(parent_pid: int) -> None:
    """Serve an `Executor` until the main process ends.

    Args:
        parent_pid: Process id of the main process.
    """
    die_with(parent_pid)
    # Every clone costs a descriptor.
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    channel = Channel()
    _, options = channel.receive()
    isolation, init_pid = namespaces.enter()
    supervisor = Supervisor(
        channel,
        isolation,
        init_pid,
        workers=options["workers"],
        snapshot_bytes=options["snapshot_bytes"],
        options=ZygoteOptions(**options["zygote"]),
    )
    supervisor.run()
