"""Grading final answers.

The verifiers (`verifiers`, `gym`, `by_source`, `pooled`) run in the main process, and `worker` and
`gym_worker` run in worker processes. `answers` and `python_latex` are used on both sides.
"""
