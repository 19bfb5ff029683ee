"""Zygotes, and the processes of programs that are cloned from them.

All modules of this package run in these processes.
"""
