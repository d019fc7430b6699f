"""The law of the payment service, under any schedule of deaths, lost and late answers, cancels.

Whatever happens: at most one capture and one refund, no refund without a cancellation, and what was
captured for a cancelled order goes back. The oracle is the provider's own books.
"""

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.values import Money
from actors.payment.provider import (
    Authorised,
    Captured,
    Declined,
    Outcome,
    PaymentProvider,
    Refunded,
    Voided,
)
from actors.payment.sandbox_books import Personality
from runtime.errors import Unavailable
from tests.actors.payment.world import Script, Side, Strike, World, die, lose, payment_world

T = TypeVar("T")
CARDS = ("pm_card_visa", "pm_card_flaky", "pm_card_refund_flaky", "pm_card_declined")
HAPPENINGS = ("die", "lose", "cancel", "cancel and lose")


class LateProvider:
    """A provider behind a bad line: some requests arrive only after their caller gave up.

    The n-th request (look-ups are not counted) whose number is in ``late`` is carried out when
    ``late[n]`` more requests have been made, or at the end.
    """

    def __init__(self, provider: PaymentProvider, late: dict[int, int]) -> None:
        self._provider = provider
        self._late = late
        self._made = 0
        self._on_the_way: list[tuple[int, Callable[[], Awaitable[object]]]] = []

    async def _send(self, request: Callable[[], Awaitable[T]]) -> T:
        self._made += 1
        await self.arrive(self._made)
        delay = self._late.get(self._made)
        if delay is None:
            return await request()
        self._on_the_way.append((self._made + delay, request))
        raise Unavailable("no answer yet")

    async def arrive(self, until: float) -> None:
        """Let the provider have what is due."""
        due = [request for at, request in self._on_the_way if at <= until]
        self._on_the_way = [(at, request) for at, request in self._on_the_way if at > until]
        for request in due:
            try:
                await request()
            except Unavailable:
                continue

    async def authorise(
        self, key: str, token: str, amount: Money, order_id: str
    ) -> Authorised | Declined:
        return await self._send(lambda: self._provider.authorise(key, token, amount, order_id))

    async def capture(self, key: str, authorisation_id: str, amount: Money) -> Captured | Declined:
        return await self._send(lambda: self._provider.capture(key, authorisation_id, amount))

    async def void(self, key: str, authorisation_id: str) -> Voided | Captured:
        return await self._send(lambda: self._provider.void(key, authorisation_id))

    async def refund(self, key: str, charge_id: str, amount: Money) -> Refunded:
        return await self._send(lambda: self._provider.refund(key, charge_id, amount))

    async def lookup(self, key: str) -> Outcome | None:
        return await self._provider.lookup(key)


async def play(
    world: World,
    card: str,
    schedule: dict[tuple[int, Side], str],
    late: dict[int, int],
    *,
    cancelled_first: bool,
) -> None:
    order_id = await world.place(card)

    async def cancel() -> None:
        await world.cancel(order_id)

    async def cancel_and_lose() -> None:
        await world.cancel(order_id)
        await lose()

    strikes: dict[str, Strike] = {
        "die": die,
        "lose": lose,
        "cancel": cancel,
        "cancel and lose": cancel_and_lose,
    }
    script = Script({at: strikes[name] for at, name in schedule.items()})
    provider = LateProvider(world.sandbox, late)
    names = ["order-created", "order-cancelled"]
    order_of_delivery = names[::-1] if cancelled_first else names
    for _ in range(8):
        for name in order_of_delivery:
            await world.deliver(order_id, name, script=script, provider=provider, attempts_max=2)
    await provider.arrive(float("inf"))
    for name in order_of_delivery:
        settled = await world.deliver(order_id, name)
        assert settled in ("done", "discarded", "absent"), settled
    try:
        await world.check(order_id, approves=card != "pm_card_declined", lapses=bool(late))
    except AssertionError as error:
        error.add_note(f"{script.log}\n{await world.types(order_id)}")
        raise


happenings = st.dictionaries(
    st.tuples(st.integers(0, 40), st.sampled_from(("before", "after"))),
    st.sampled_from(HAPPENINGS),
    max_size=8,
)


@settings(max_examples=120, deadline=None)
@given(
    card=st.sampled_from(CARDS),
    personality=st.sampled_from(("stores-all", "stores-success")),
    schedule=happenings,
    late=st.dictionaries(st.integers(1, 8), st.integers(1, 5), max_size=3),
    cancelled_first=st.booleans(),
)
def test_money_is_taken_once_and_goes_back_if_and_only_if_it_is_owed(
    card: str,
    personality: Personality,
    schedule: dict[tuple[int, Side], str],
    late: dict[int, int],
    *,
    cancelled_first: bool,
) -> None:
    async def example(folder: str) -> None:
        async with payment_world(Path(folder), personality) as world:
            await play(world, card, schedule, late, cancelled_first=cancelled_first)

    with tempfile.TemporaryDirectory() as folder:
        anyio.run(example, folder)
