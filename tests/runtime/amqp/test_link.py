import anyio
import pytest

from runtime.amqp.link import Link, Quarantine
from runtime.amqp.session import Session, plain
from runtime.amqp.topology import Queue, Topology, declare
from runtime.child import ChildContext
from runtime.errors import BrokerLost, ConfigurationError, DeadlineExceeded
from runtime.host import Host
from runtime.telemetry import Telemetry
from tests.harness.proxy import proxy_to
from tests.harness.rabbitmq import RabbitMQ
from tests.harness.running import running
from tests.harness.waiting import until


def _link(url: str, host: Host, telemetry: Telemetry, **settings: object) -> Link:
    return Link(url, "consume", host, telemetry, reconnect_s_max=0.2, **settings)  # type: ignore[arg-type]


async def test_a_session_lives_until_the_link_stops(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    link = _link(broker_url, host, telemetry)
    assert link.state.state == "reconnecting"
    async with running(link.run):
        session = await link.session()
        assert link.state.state == "connected"
        channel = await session.channel(plain)
        await session.call(channel.queue_declare("q"), "declare")
    assert session.lost.is_set()
    assert link.state.state == "stopped"
    with pytest.raises(BrokerLost):
        await session.channel(plain)


async def test_a_cut_connection_is_replaced_by_a_new_epoch(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with proxy_to(broker_url) as proxy:
        link = _link(proxy.url(broker_url), host, telemetry)
        async with running(link.run):
            first = await link.session()
            proxy.cut()
            with anyio.fail_after(10):
                await first.lost.wait()
                second = await link.session()
            assert second.epoch > first.epoch
            assert not second.lost.is_set()


async def test_a_broker_that_is_away_is_waited_for_with_growing_pauses(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with proxy_to(broker_url) as proxy:
        proxy.refuse()
        link = _link(proxy.url(broker_url), host, telemetry)
        async with running(link.run):
            await until(lambda: proxy.connections >= 3)
            assert link.state.state == "reconnecting"
            assert "connect" in link.state.reason
            proxy.refuse(False)
            with anyio.fail_after(10):
                await link.session()


async def test_a_silent_broker_is_noticed_by_its_heartbeat_and_no_task_vanishes(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with proxy_to(broker_url) as proxy:
        link = _link(proxy.url(broker_url), host, telemetry, heartbeat_s=1)
        async with running(link.run):
            first = await link.session()
            channel = await first.channel(plain)
            proxy.freeze()
            with pytest.raises(BrokerLost):
                await first.call(channel.queue_declare("q"), "declare", within_s=30)
            assert first.lost.is_set()
            proxy.thaw()
            with anyio.fail_after(20):
                second = await link.session()
                await second.channel(plain)


async def test_a_peer_that_accepts_and_says_nothing_is_given_up(
    broker_url: str, host: Host, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.amqp.session.OPEN_S_MAX", 0.2)
    async with proxy_to(broker_url) as proxy:
        proxy.freeze()
        link = _link(proxy.url(broker_url), host, telemetry)
        async with running(link.run):
            await until(lambda: proxy.connections >= 2)
            assert "no answer" in link.state.reason


async def test_a_call_that_gets_no_answer_ends_at_its_deadline(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with proxy_to(broker_url) as proxy:
        link = _link(proxy.url(broker_url), host, telemetry)
        async with running(link.run):
            session = await link.session()
            proxy.freeze()
            with pytest.raises(DeadlineExceeded):
                await session.channel(plain, within_s=0.1)
            session.abandon("given up by the test")
            assert session.lost.is_set()
            proxy.thaw()
            with anyio.fail_after(10):
                assert await link.session() is not session


async def test_a_wrong_password_is_the_operators_affair(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    link = _link(broker_url.replace("guest:guest", "guest:wrong"), host, telemetry)
    with pytest.raises(ConfigurationError, match="refused the user name or password") as caught:
        await link.run(ChildContext("link"))
    assert "wrong@" not in str(caught.value)


async def test_an_unknown_virtual_host_is_named(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    link = _link(broker_url + "-missing", host, telemetry)
    with pytest.raises(ConfigurationError, match="refused the virtual host"):
        await link.run(ChildContext("link"))


async def test_each_session_is_prepared_before_anyone_sees_it(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    prepared: list[Session] = []

    async def prepare(session: Session) -> None:
        await declare(session, Topology(queues=(Queue("mine"),)))
        prepared.append(session)

    link = _link(broker_url, host, telemetry, prepare=prepare)
    async with running(link.run):
        session = await link.session()
        assert prepared == [session]
        session.abandon("by the test")
        with anyio.fail_after(10):
            again = await link.session()
        assert prepared == [session, again]


async def test_a_link_that_is_cancelled_while_it_prepares_a_session_leaves_none_open(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    seen: list[Session] = []

    async def prepare(session: Session) -> None:
        seen.append(session)
        await anyio.sleep_forever()

    link = Link(broker_url, "publish", host, telemetry, prepare=prepare)
    async with anyio.create_task_group() as group:
        group.start_soon(link.run, ChildContext("link"))
        await until(lambda: seen)
        group.cancel_scope.cancel()
    assert seen[0].lost.is_set()


async def test_a_mismatch_in_the_topology_ends_the_link(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async def prepare(session: Session) -> None:
        await declare(session, Topology(queues=(Queue("mine", {"x-max-length": 1}),)))
        await declare(session, Topology(queues=(Queue("mine", {"x-max-length": 2}),)))

    link = _link(broker_url, host, telemetry, prepare=prepare)
    with pytest.raises(ConfigurationError, match=r"'mine'.*'2'.*'1'") as caught:
        await link.run(ChildContext("link"))
    assert "new name" in caught.value.hint


async def test_the_operator_closing_all_connections_is_an_outage_like_any_other(
    rabbitmq: RabbitMQ, rabbitmq_url: str, host: Host, telemetry: Telemetry
) -> None:
    link = _link(rabbitmq_url, host, telemetry)
    async with running(link.run):
        session = await link.session()
        vhost = rabbitmq_url.rpartition("/")[2]
        await anyio.to_thread.run_sync(
            rabbitmq.control, "close_all_connections", "--vhost", vhost, "a test"
        )
        with anyio.fail_after(20):
            await session.lost.wait()
            await link.session()


@pytest.mark.parametrize("heartbeat_s", [0, -1, 70000])
def test_a_heartbeat_that_would_switch_it_off_is_refused(
    host: Host, telemetry: Telemetry, heartbeat_s: int
) -> None:
    with pytest.raises(ConfigurationError, match="heartbeat_s"):
        Link("amqp://a:b@host/", "consume", host, telemetry, heartbeat_s=heartbeat_s)


def test_a_quarantine_ends_after_enough_good_deliveries(host: Host) -> None:
    quarantine = Quarantine(host)
    assert not quarantine.active
    quarantine.begin()
    for _ in range(64):
        assert quarantine.active
        quarantine.good()
    assert not quarantine.active
