"""Confining processes that run untrusted programs, with the means of the kernel.

Every means is used that the machine permits. `namespaces.enter` runs in the supervisor process.
`lockdown` and the modules that it uses run in zygotes and in the workers of `reasoning_gym`.
`audit` runs in zygotes, and so in the processes of programs.
"""
