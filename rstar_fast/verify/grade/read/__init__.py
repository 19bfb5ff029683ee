"""Layer 1 of grading: reading an answer into one typed value.

`undress` takes off what only shows the answer, `tokens` cuts it up, `expressions` and `reader` make
a value (`values`) of it. Runs in the main process and in grading workers.
"""
