"""What the four mails say, read back as a mail client would."""

from email.message import EmailMessage
from html.parser import HTMLParser

import jinja2
import pytest
from msgspec.structs import replace

from actors.domain.order import Order
from actors.notification import letters
from actors.notification.letters import SUBJECTS, TEMPLATES, Letters, skip_reason
from actors.notification.rfc5322 import mail_bytes
from tests.actors.notification.parties import parsed
from tests.harness.orders import sample_order

LOCK = "payment-auth-in-progress"
SHIPMENT = ("shipping-preparation-in-progress", "shipping-prepared", "shipped")
ORDERS: dict[str, Order] = {
    "order-received": sample_order(),
    "payment-failed": sample_order(LOCK, "payment-auth-failed"),
    "order-shipped": sample_order(LOCK, "payment-captured", *SHIPMENT),
    "order-cancelled": sample_order("order-cancelled"),
}
EVIL = "<script>alert('&')</script> \"Ada\""


class Elements(HTMLParser):
    """Names of the elements, and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.links: list[str | None] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


def mail(
    template: str, order: Order | None = None, name: str = "Ada", url: str | None = None
) -> EmailMessage:
    letters = Letters(lambda _order: url)
    letter = letters.letter(template, order or ORDERS[template], name, "ada@example.org")
    return parsed(mail_bytes("key-1", letter, at_s=1_700_000_000.9))


def bodies(message: EmailMessage) -> tuple[str, Elements]:
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    elements = Elements()
    elements.feed(html.get_content())
    return text.get_content(), elements


@pytest.mark.parametrize("template", list(ORDERS))
def test_a_mail_has_one_recipient_and_both_alternatives(template: str) -> None:
    message = mail(template)
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
    assert message.defects == []
    assert len(message["To"].addresses) == 1
    assert message["Subject"] == SUBJECTS[template].format(number=1042)
    assert message["Date"].datetime.timestamp() == 1_700_000_000
    assert message["Auto-Submitted"] == "auto-generated"
    assert all(len(message.get_all(name, [])) == 1 for name in message)


@pytest.mark.parametrize("template", list(ORDERS))
def test_both_alternatives_name_number_items_and_total(template: str) -> None:
    text, html = bodies(mail(template))
    for body in (text, html.text):
        for fact in ("Hello Ada", "1042", "Mug", "Green tea", "29.00 EUR", "48.90 EUR"):
            assert fact in body
        assert "None" not in body
        assert "{{" not in body


@pytest.mark.parametrize("template", list(ORDERS))
def test_what_a_customer_typed_stays_text(template: str) -> None:
    text, html = bodies(mail(template, name=EVIL))
    assert "script" not in html.names
    assert EVIL in html.text
    assert EVIL in text


def test_what_an_operator_typed_stays_text_too() -> None:
    order = sample_order(LOCK, "payment-captured", *SHIPMENT)
    _, html = bodies(mail("order-shipped", replace(order, carrier="<b>DHL</b>", tracking="<i>")))
    assert not {"b", "i"} & set(html.names)
    assert "<b>DHL</b>" in html.text


@pytest.mark.parametrize("template", list(ORDERS))
def test_there_is_a_link_only_where_there_is_an_address(template: str) -> None:
    text, html = bodies(mail(template))
    assert html.links == []
    assert "See your order" not in text
    url = 'https://shop.example/o/x?a=1&b="2"'
    text, html = bodies(mail(template, url=url))
    assert html.links == [url]
    assert f"See your order: {url}\n" in text


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ((), "Your card was not charged."),
        ((LOCK, "payment-auth-failed"), "Your card was not charged."),
        ((LOCK,), "is charged all the same, we refund 48.90 EUR"),
        ((LOCK, "payment-captured"), "We are refunding 48.90 EUR to your Visa card ending in 4242"),
    ],
)
def test_a_cancelled_order_says_what_becomes_of_the_money(
    events: tuple[str, ...], says: str
) -> None:
    text, html = bodies(mail("order-cancelled", sample_order(*events, "order-cancelled")))
    assert says in text
    assert says in html.text


def test_a_failed_payment_says_why_in_our_words() -> None:
    failed = ORDERS["payment-failed"]
    assert "declined the card" in bodies(mail("payment-failed"))[0]
    expired = mail("payment-failed", replace(failed, failure="expired_card"))
    assert "The card has expired." in bodies(expired)[0]
    strange = mail("payment-failed", replace(failed, failure="<do_not_honor>"))
    assert "do_not_honor" not in bodies(strange)[0]


def test_a_shipped_order_says_where_it_is() -> None:
    text, html = bodies(mail("order-shipped"))
    for body in (text, html.text):
        assert "DHL" in body
        assert "JJD000390007" in body


def test_the_same_mail_is_the_same_bytes() -> None:
    letter = Letters().letter("order-received", ORDERS["order-received"], "Ada", "ada@example.org")
    first, second = (mail_bytes("key-1", letter, at_s=1.0) for _ in range(2))
    assert first == second
    other = parsed(mail_bytes("key-2", letter, at_s=1.0))
    assert other["Message-ID"] != parsed(first)["Message-ID"]


def test_only_a_payment_that_failed_before_any_cancel_is_news() -> None:
    failed = ("payment-auth-failed",)
    assert skip_reason(sample_order(LOCK, *failed), "payment-auth-failed") is None
    late = sample_order(LOCK, "order-cancelled", *failed)
    assert skip_reason(late, "payment-auth-failed") == "order-cancelled"
    for event_type in set(TEMPLATES) - {"payment-auth-failed"}:
        assert skip_reason(late, event_type) is None


def test_a_misspelt_fact_in_a_template_is_an_error_not_a_blank() -> None:
    environment = letters._environment()
    with pytest.raises(jinja2.UndefinedError):
        environment.from_string("{{ order.no_such_fact }}").render(order=ORDERS["order-received"])
