"""Trees and the executor in trainers that the package does not depend on: verifiers and verl.

A module imports its trainer, which `make test-trainers` installs. TRL's trainers are in `training`.
"""
