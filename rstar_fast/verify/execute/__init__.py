"""Running the programs of steps. This folder's own modules run in the main process.

`supervisor/` runs in the supervisor process and `child/` in the processes it starts. Three modules here
are read on both sides: `framing`, `source` and `zygote_options`. Nothing is imported here, because the
processes of programs load this package.
"""
