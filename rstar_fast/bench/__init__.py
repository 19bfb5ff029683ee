"""Measuring a search over anybody's engine: rates, waiting times, idle resources, memory.

`rstar_fast.search` knows nothing of it. An `Observer` tells when requests go out and come back.
"""
