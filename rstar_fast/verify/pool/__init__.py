"""Work that is done in killable worker processes and awaited through futures.

`pool` and `process` run in the main process, `worker` in each worker, and both sides use `wire`.
"""
