"""Grading final answers: verifiers in the main process, and the workers that compare for them."""
