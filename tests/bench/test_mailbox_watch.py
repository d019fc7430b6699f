from pathlib import Path

import anyio

from bench.mailbox_watch import MailWatch
from tests.harness.waiting import until


async def test_a_shipped_mail_is_told_once_it_has_its_name(tmp_path: Path) -> None:
    new, arrived = tmp_path / "new", list[str]()
    watch = MailWatch(new, lambda order_id, _at: arrived.append(order_id))
    for name in ("ord_1.evt_1.order-received", ".ord_2.draft", "ord_2.evt_2.order-shipped"):
        draft = tmp_path / "draft"
        await anyio.Path(draft).write_text("mail")
        await anyio.Path(draft).rename(new / name)
    await until(lambda: arrived == ["ord_2"])
    watch.close()
