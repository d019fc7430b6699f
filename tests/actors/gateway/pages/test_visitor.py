"""The cart: its version changes with what is in it, and names what was ordered."""

import msgspec

from actors.gateway.pages.signed import TEXT_MAX, Signer
from actors.gateway.pages.visitor import LINES_MAX, RECENT_MAX, Cart, Recent, Visitor


def test_each_change_of_a_cart_raises_its_version_and_so_its_key() -> None:
    empty = Cart("c")
    one = empty.add("MUG-1", 1)
    two = one.add("MUG-1", 1)
    assert (one.quantities, two.quantities) == ({"MUG-1": 1}, {"MUG-1": 2})
    assert [cart.version for cart in (empty, one, two)] == [0, 1, 2]
    assert len({cart.key for cart in (empty, one, two)}) == 3
    assert two.put("MUG-1", 2) is two
    assert two.put("MUG-1", 0).quantities == {}


def test_a_cart_is_bounded() -> None:
    assert Cart("c").add("MUG-1", 99).add("MUG-1", 99).count == 99
    full = Cart("c")
    for number in range(LINES_MAX + 5):
        full = full.add(f"SKU-{number}", 1)
    assert len(full.quantities) == LINES_MAX


def test_the_cart_that_was_ordered_is_replaced_and_another_is_kept() -> None:
    visitor = Visitor("v", Cart("c").add("MUG-1", 1))
    order = Recent("ord_1", 1, visitor.cart.key)
    after = visitor.having_ordered(order, "d")
    assert after.cart == Cart("d")
    assert after.ordered(order.cart_key) == order
    other = Recent("ord_2", 2, "cart-x-1")
    assert after.with_cart(Cart("d").add("TEA-1", 1)).having_ordered(other, "e").cart.count == 1


def test_an_order_is_noted_once_and_the_oldest_is_forgotten() -> None:
    visitor = Visitor("v", Cart("c"))
    for number in range(RECENT_MAX + 2):
        for _ in range(2):
            recent = Recent(f"ord_{number}", number, f"cart-{number}")
            visitor = visitor.having_ordered(recent, "n")
    assert [row.number for row in visitor.recent] == [6, 5, 4, 3, 2]


def test_the_largest_visitor_there_is_fits_into_a_cookie() -> None:
    cart = Cart("i" * 22, 10**6, {f"{n:032d}": 99 for n in range(LINES_MAX)})
    recent = tuple(Recent("ord_" + "A" * 26, 10**6, "k" * 40) for _ in range(RECENT_MAX))
    visitor = Visitor("i" * 22, cart, recent)
    signer = Signer("s" * 40, "visitors")
    assert len(signer.sign(visitor)) <= TEXT_MAX
    assert signer.read(signer.sign(visitor), Visitor) == visitor
    assert msgspec.convert(msgspec.to_builtins(visitor), Visitor) == visitor
