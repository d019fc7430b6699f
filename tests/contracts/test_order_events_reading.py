"""What every implementation of `OrderEvents` does, however it reaches the service: reading."""

import anyio

from actors.domain.order import fold_all
from actors.domain.order_events import (
    CancelOrder,
    OrderQuery,
    OrderWith,
    Personal,
    Service,
    UpdateShippingAddress,
)
from actors.domain.values import Address, Customer
from tests.harness.order_events import (
    sample_intent,
)
from tests.harness.order_events_clients import PREPARED, Clients, append, placed, refused
from tests.harness.orders import sample_address


async def test_an_order_is_shown_as_it_was(clients: Clients) -> None:
    order = await placed(clients)
    await append(clients, order.id, *PREPARED)
    gateway = clients("gateway")
    events = await gateway.events(order.id)
    for event in events:
        then = fold_all(events[: event.version])
        assert await gateway.order(order.id, at_version=event.version) == then
    latest = await gateway.order(order.id, at_ms=events[-1].recorded_at_ms)
    assert latest == await gateway.order(order.id)
    for at in ({"at_version": 6}, {"at_version": 0}, {"at_ms": events[0].recorded_at_ms - 1}):
        assert (await refused(gateway.order(order.id, **at))).code == "not-found"


async def test_events_are_paged_by_version(clients: Clients) -> None:
    order = await placed(clients)
    await append(clients, order.id, *PREPARED)
    gateway = clients("gateway")
    everything = await gateway.events(order.id)
    assert [event.version for event in everything] == [1, 2, 3, 4, 5]
    assert [event.type.name for event in everything] == ["order-created", *PREPARED]
    assert await gateway.events(order.id, after=2, limit=2) == everything[2:4]
    assert await gateway.events(order.id, after=5) == []
    assert await gateway.events(order.id, after=5, wait_s=0.01) == []


async def test_a_long_poll_ends_with_the_next_event(clients: Clients) -> None:
    order, other = await placed(clients), await placed(clients)
    found: list[int] = []

    async def poll() -> None:
        events = await clients("gateway").events(order.id, after=1, wait_s=20.0)
        found.extend(event.version for event in events)

    with anyio.fail_after(15):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(poll)
            await append(clients, other.id, "payment-auth-in-progress")
            await append(clients, order.id, "payment-auth-in-progress")
    assert found == [2]


async def test_each_service_reads_the_personal_data_it_needs(clients: Clients) -> None:
    order = await placed(clients)
    values = {
        order.customer_ref: Personal(customer=Customer("Ada Lovelace", "ada@example.org")),
        order.address_ref: Personal(address=sample_address()),
        order.payment.ref: Personal(payment_token="pm_card_visa"),
    }
    entitled: dict[Service, list[str]] = {
        "gateway": [order.customer_ref, order.address_ref],
        "payment": [order.payment.ref],
        "shipping": [order.address_ref],
        "notification": [order.customer_ref],
    }
    for service, refs in entitled.items():
        for ref, personal in values.items():
            if ref in refs:
                assert await clients(service).personal(order.id, ref) == personal
            else:
                refusal = await refused(clients(service).personal(order.id, ref))
                assert (refusal.code, refusal.status_hint) == ("forbidden", 403)


async def test_several_references_are_read_at_once_or_not_at_all(clients: Clients) -> None:
    order = await placed(clients)
    read = clients("gateway").personal
    whole = await read(order.id, order.customer_ref, order.address_ref)
    assert whole == Personal(Customer("Ada Lovelace", "ada@example.org"), sample_address())
    refusal = await refused(read(order.id, order.customer_ref, order.payment.ref))
    assert refusal.code == "forbidden"


async def test_an_order_and_what_it_refers_to_are_read_at_once(clients: Clients) -> None:
    order = await placed(clients)
    gateway, shipping = clients("gateway"), clients("shipping")
    moved = UpdateShippingAddress(order.id, sample_address("Elsewhere 1"))
    now = (await gateway.execute(moved, sample_intent())).order
    for state, at_version in ((order, 1), (now, 2), (now, None)):
        found = await shipping.order_with(order.id, "address", at_version=at_version)
        assert found == OrderWith(state, await shipping.personal(order.id, state.address_ref))
        assert found.personal.address is not None
    refs = order.customer_ref, now.address_ref
    both = await gateway.order_with(order.id, "customer", "address")
    assert both == OrderWith(now, await gateway.personal(order.id, *refs))
    paying = await clients("payment").order_with(order.id, "payment")
    assert paying.personal == Personal(payment_token="pm_card_visa")
    assert (await shipping.order_with(order.id)) == OrderWith(now, Personal())


async def test_an_order_with_what_is_not_for_the_service_is_not_read(clients: Clients) -> None:
    order = await placed(clients)
    refusal = await refused(clients("shipping").order_with(order.id, "address", "customer"))
    assert (refusal.code, refusal.status_hint) == ("forbidden", 403)
    for at_version in (None, 9):
        missing = order.id if at_version else "ord_none"
        asked = clients("shipping").order_with(missing, "address", at_version=at_version)
        assert (await refused(asked)).code == "not-found"


async def test_a_reference_is_good_for_its_own_order_only(clients: Clients) -> None:
    order, other = await placed(clients), await placed(clients)
    refusal = await refused(clients("gateway").personal(order.id, other.customer_ref))
    assert refusal.code == "not-found"


async def test_earlier_addresses_stay_readable(clients: Clients) -> None:
    order = await placed(clients)
    moved = await clients("gateway").execute(
        UpdateShippingAddress(order.id, sample_address("Elsewhere 1")), sample_intent()
    )
    shipping = clients("shipping")
    now = await shipping.personal(order.id, moved.order.address_ref)
    then = await shipping.personal(order.id, order.address_ref)
    assert isinstance(now.address, Address)
    assert isinstance(then.address, Address)
    assert (now.address.line1, then.address.line1) == ("Elsewhere 1", "12 St James's Square")


async def test_the_order_list_is_newest_first_and_filtered(clients: Clients) -> None:
    first = await placed(clients)
    second = await placed(clients, "Grace@Example.org")
    third = await placed(clients)
    await append(clients, third.id, "payment-auth-in-progress")
    gateway = clients("gateway")

    async def numbers(query: OrderQuery) -> list[int]:
        return [row.number for row in await gateway.orders(query)]

    assert await numbers(OrderQuery()) == [1003, 1002, 1001]
    assert await numbers(OrderQuery(limit=2)) == [1003, 1002]
    assert await numbers(OrderQuery(before=1003, limit=1)) == [1002]
    assert await numbers(OrderQuery(status="placed")) == [1002, 1001]
    assert await numbers(OrderQuery(email="ADA@example.org")) == [1003, 1001]
    assert await numbers(OrderQuery(email="grace@example.org", status="placed")) == [1002]
    assert await numbers(OrderQuery(email="grace")) == []
    assert await numbers(OrderQuery(since_ms=first.created_at_ms)) == [1003, 1002, 1001]
    assert await numbers(OrderQuery(since_ms=third.updated_at_ms + 10**6)) == []
    (row,) = await gateway.orders(OrderQuery(email="grace@example.org"))
    assert (row.id, row.status, row.version) == (second.id, "placed", 1)
    assert (row.total_amount, row.currency) == (4890, "EUR")


async def test_a_refund_is_due_until_it_is_made(clients: Clients) -> None:
    payment = clients("payment")
    order, other = await placed(clients), await placed(clients)
    for each in (order, other):
        await append(clients, each.id, "payment-auth-in-progress")
    assert await payment.refunds_due() == []
    await clients("gateway").execute(CancelOrder(order.id, "customer"), sample_intent())
    await append(clients, other.id, "payment-captured")
    assert await payment.refunds_due() == []
    await append(clients, order.id, "payment-captured")
    assert await payment.refunds_due() == [order.id]
    await clients("gateway").execute(CancelOrder(other.id, "operator"), sample_intent())
    assert await payment.refunds_due() == [order.id, other.id]
    await append(clients, order.id, "payment-refund-in-progress")
    assert await payment.refunds_due() == [order.id, other.id]
    await append(clients, order.id, "payment-refunded")
    assert await payment.refunds_due() == [other.id]
