"""The supervisor process.

It starts zygotes, has programs cloned from them, and judges how the programs end. All modules of
this package run in the supervisor process.
"""
