"""Grading final answers.

The verifiers (`verifiers`, `gym`, `by_source`, `pooled`) run in the main process. `worker`,
`gym_worker` and `clones` run in worker processes, and `non_numbers` in clones of those. `answers`
and `python_latex` are used on both sides.
"""
