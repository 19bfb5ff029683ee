"""Running the programs of steps.

Three kinds of process take part:

- The main process runs `executor`, `session`, `isolation` and `arithmetic`.
- The supervisor process runs `supervisor/`. It is a worker of the executor's pool.
- Zygotes, and the processes of programs that are cloned from them, run `child/`.

The other modules are shared: `framing`, `observation_text` and `zygote_options` by all of them,
`source` and `failures` by the main process and the supervisor, `print_nodes` by the main process
and the processes of programs. Nothing is imported here, because what is loaded in a zygote is
copied for every program.
"""
