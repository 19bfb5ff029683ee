"""A server that runs programs for others, over HTTP.

It speaks SandboxFusion's `POST /run_code`, and has sessions whose earlier states can be forked. All
programs run in one `Executor`. Everything here runs in the main process, in one event loop.
"""
