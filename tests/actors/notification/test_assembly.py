"""How the service is put together; that it works so is what the whole system's tests show."""

from pathlib import Path

from actors.notification.assembly import Notification
from actors.notification.rest import notification_app
from actors.topology import SUBSCRIPTIONS
from runtime.amqp.link import Link
from runtime.outcomes import RetryPolicy
from runtime.service import Surroundings
from runtime.telemetry import quiet_telemetry
from tests.actors.notification.parties import Parties, parties_in
from tests.harness.order_events import RecordingPublisher


def assembled(parties: Parties) -> Notification:
    host, telemetry = parties.shop.host, quiet_telemetry()
    around = Surroundings(
        link=Link("amqp://guest:guest@localhost/", "consume", host, telemetry),
        publisher=RecordingPublisher(),
        database=parties.runs.database,
        host=host,
        telemetry=telemetry,
        retry=RetryPolicy(),
    )
    return Notification(parties.shop.notification, parties.maildir, around)


async def test_every_event_that_it_subscribes_to_has_a_handler(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        notification = assembled(parties)
        routed = notification.messages.routes._routes
        assert sorted(routed) == sorted(SUBSCRIPTIONS["notification"])
        children = [child.name for child in notification.spec().children]
        assert children == ["messages-notification", "links"]


async def test_its_http_side_shows_what_is_unsent(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        notification = assembled(parties)
        app = notification_app(
            notification.correspondence,
            token="",
            checks={},
            telemetry=quiet_telemetry(),
            status=notification.status,
        )
        response = await app.test_client().get("/internal/v1/status")
        assert response.status_code == 200
        assert (await response.get_json())["status"]["unsent"] == 0
