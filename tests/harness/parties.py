"""Outside parties that misbehave on request, around the real ones."""

from collections import Counter, deque

import anyio
import msgspec

from actors.domain.values import Money
from actors.parties import Parties
from actors.payment.provider import (
    Authorised,
    Captured,
    Declined,
    Outcome,
    PaymentProvider,
    Refunded,
    Voided,
)
from runtime.errors import Unavailable


class Gate:
    """Stops whoever passes: ``reached`` is set by the first, all wait until it is opened."""

    def __init__(self) -> None:
        self.reached = anyio.Event()
        self._opened = anyio.Event()

    def open(self) -> None:
        """Let everybody pass, from now on."""
        self._opened.set()

    async def passing(self) -> None:
        """Say that somebody is here, and wait."""
        self.reached.set()
        await self._opened.wait()


class WilfulProvider:
    """The provider behind gates and outages.

    ``gates``: by call, passed before the provider sees it. ``unreachable``: how often the next
    calls of a kind fail before the provider sees them. ``reply_lost``: how often it does what it
    was asked, and the answer is lost.
    """

    def __init__(self, provider: PaymentProvider) -> None:
        self.gates: dict[str, Gate] = {}
        self.unreachable: Counter[str] = Counter()
        self.reply_lost: Counter[str] = Counter()
        self.calls: deque[tuple[str, str]] = deque()
        self._provider = provider

    async def authorise(
        self, key: str, token: str, amount: Money, order_id: str
    ) -> Authorised | Declined:
        """See `PaymentProvider`."""
        await self._before("authorise", key)
        outcome = await self._provider.authorise(key, token, amount, order_id)
        self._after("authorise")
        return outcome

    async def capture(self, key: str, authorisation_id: str, amount: Money) -> Captured | Declined:
        """See `PaymentProvider`."""
        await self._before("capture", key)
        outcome = await self._provider.capture(key, authorisation_id, amount)
        self._after("capture")
        return outcome

    async def void(self, key: str, authorisation_id: str) -> Voided | Captured:
        """See `PaymentProvider`."""
        await self._before("void", key)
        outcome = await self._provider.void(key, authorisation_id)
        self._after("void")
        return outcome

    async def refund(self, key: str, charge_id: str, amount: Money) -> Refunded:
        """See `PaymentProvider`."""
        await self._before("refund", key)
        outcome = await self._provider.refund(key, charge_id, amount)
        self._after("refund")
        return outcome

    async def lookup(self, key: str) -> Outcome | None:
        """See `PaymentProvider`."""
        await self._before("lookup", key)
        return await self._provider.lookup(key)

    async def _before(self, call: str, key: str) -> None:
        self.calls.append((call, key))
        if call in self.gates:
            await self.gates[call].passing()
        if self.unreachable[call] > 0:
            self.unreachable[call] -= 1
            raise Unavailable("the provider cannot be reached")

    def _after(self, call: str) -> None:
        if self.reply_lost[call] > 0:
            self.reply_lost[call] -= 1
            raise Unavailable("the provider's answer was lost")


class Unreachable:
    """Wraps a system's parties: calls of this kind do not reach the provider until it is `back`."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._providers: list[WilfulProvider] = []

    def __call__(self, parties: Parties) -> Parties:
        provider = WilfulProvider(parties.provider)
        provider.unreachable[self._kind] = 10**6
        self._providers.append(provider)
        return msgspec.structs.replace(parties, provider=provider)

    @property
    def calls(self) -> int:
        """How many calls of this kind were made so far."""
        calls = [call for provider in self._providers for call, _ in provider.calls]
        return calls.count(self._kind)

    def back(self) -> None:
        """Let the calls through from now on."""
        for provider in self._providers:
            provider.unreachable[self._kind] = 0
