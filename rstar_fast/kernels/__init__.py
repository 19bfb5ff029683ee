"""The operations that packed trees need: attention, value head and preference loss.

Each operation is a package. Its `api` checks the arguments and calls one implementation, such as
`reference` or `triton`. Implementations never import one another. `impl=None` picks one by the
tensors' device. An implementation that is asked for by name runs or raises; no other takes its
place.
"""
