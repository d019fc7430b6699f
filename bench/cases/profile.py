"""``profile``: where the CPU time of each part goes: an append, a message, a request, by stage.

What is measured is what their own cases measure of ours (``append``, ``publish``, ``consume``,
``http``), in processes that sample themselves, which costs a few per cent.
"""

from collections.abc import Callable
from functools import partial

from bench.case import Case, Contender, Round
from bench.cases import append, consume, http, publish
from bench.sample import Sample
from bench.sampling import Inside, Outside, sampled


def _inside(run: Callable[[Round], Sample], task: Round) -> Sample:
    return sampled(Inside(), run, task)


def _request(task: Round) -> Sample:
    watch = Outside(task.folder)
    run = partial(http.measure, module="bench.gateway", python=watch.python)
    return sampled(watch, run, task)


def _part(name: str, how: str, run: Callable[[Round], Sample], share: float = 1.0) -> Contender:
    return Contender(
        name=name, role="ours", how=how, guarantees=f"as in {name}", run=run, share=share
    )


CASE = Case(
    name="profile",
    title="the CPU time of each part by stage",
    operation="operation",
    operations=10_000,
    broker=True,
    contenders=(
        _part("append", "an event, 64 callers at a time", partial(_inside, append.many)),
        _part("publish", "a message, from its outbox row on", partial(_inside, publish.ours)),
        _part("consume", "a message, until it is acknowledged", partial(_inside, consume.ours)),
        _part("http", "POST /v1/orders, until it is durable", _request, 0.4),
    ),
)
