"""Finding the process from which a program is best cloned. Runs in the supervisor process."""

from collections import deque

from rstar_fast.verify.execute.supervisor.clone import Clone
from rstar_fast.verify.execute.supervisor.job import Job
from rstar_fast.verify.execute.supervisor.outcomes import Outcomes
from rstar_fast.verify.execute.supervisor.snapshots import Snapshots
from rstar_fast.verify.execute.supervisor.zygote_process import ZygoteProcess


class Beginnings:
    """Looks up what is known about the beginnings of a program.

    If nothing is known about a beginning, a job of its own builds a snapshot of it, and the jobs
    that begin in the same way wait for that job.
    """

    def __init__(self, snapshots: Snapshots, outcomes: Outcomes, queue: deque[Job]) -> None:
        """Begin without builders.

        Args:
            snapshots: Snapshots to look in.
            outcomes: Outcomes to look in.
            queue: Jobs to start next. Builders and the jobs that waited for them are put in front.
        """
        self._snapshots = snapshots
        self._outcomes = outcomes
        self._queue = queue
        self._builders: dict[str, Job] = {}

    def origin(self, job: Job, zygote: ZygoteProcess) -> tuple[ZygoteProcess | Clone | None, str]:
        """Return the process to clone for a job, and the source that this process has executed.

        The process is `zygote` if no snapshot can be used, and None if the job now waits for a
        builder. Sets `job.known_failure`.
        """
        if job.whole or not self._snapshots.enabled:
            return zygote, ""
        job.known_failure = None
        for num_steps, source in job.beginnings():
            snapshot = self._snapshots.get(source)
            if snapshot:
                return snapshot, source
            if source in self._outcomes:
                job.known_failure = self._outcomes[source]
                if job.known_failure:
                    return zygote, ""
            elif job.work_id is not None and not job.has_waited:
                self._wait_for_builder(job, source, job.steps[:num_steps])
                return None, ""
        return zygote, ""

    def resume(self, builder: Job) -> None:
        """Put the jobs that waited for a finished builder back into the queue."""
        del self._builders[builder.source]
        self._queue.extendleft(reversed(builder.waiting))

    def _wait_for_builder(self, job: Job, source: str, steps: tuple[str, ...]) -> None:
        builder = self._builders.get(source)
        if not builder:
            builder = self._builders[source] = Job(steps, None)
            self._queue.appendleft(builder)
        job.has_waited = True
        builder.waiting.append(job)
