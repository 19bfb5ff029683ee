"""The operations that packed trees need, each as `api / reference / triton / configs`.

An operation's `api` checks its arguments and hands them to one implementation; implementations never import one another.
`impl=None` picks by the tensors' device. A name given is used or refused, never replaced.
"""
