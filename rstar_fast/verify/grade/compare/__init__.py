"""Layer 2 of grading: comparing two values by their types.

`evaluate` computes expressions, `numbers` compares what they compute to, `regions` compares sets of
real numbers, and `values` compares everything that an answer can be. Runs in grading workers.
"""
