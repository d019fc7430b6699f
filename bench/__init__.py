"""Benchmarks: each case measures ordermill beside its rivals and its bare limit, in turns.

A `Case` names its contenders; a round is one contender's share of work in a process of its own
(`bench.worker`); `bench.rounds` lets them take turns (A B A B); `bench.targets` holds the ratios
against what was promised. `bench.rivals` are other people's libraries, used as they advise.
"""
