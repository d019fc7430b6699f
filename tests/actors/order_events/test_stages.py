"""What became of orders, and how long it took, as the metrics say."""

from pathlib import Path

from tests.harness.system import live_system


async def test_each_stage_of_an_order_is_counted_once_with_the_time_it_took(tmp_path: Path) -> None:
    async with live_system(tmp_path, payment={"hold_s": 0.2}) as system:
        shipped = await system.place()
        declined = await system.place("pm_card_declined")
        await shipped.wait_for("shipping-prepared")
        await shipped.ship()
        await declined.wait_for("payment-auth-failed")
        await declined.cancel()
        metrics = (await system.client.get("/metrics")).text.splitlines()
    outcomes = {line for line in metrics if line.startswith("ordermill_orders_total")}
    assert outcomes == {
        f'ordermill_orders_total{{outcome="{outcome}"}} {count}.0'
        for outcome, count in [
            ("placed", 2),
            ("paid", 1),
            ("payment_failed", 1),
            ("prepared", 1),
            ("shipped", 1),
            ("cancelled", 1),
        ]
    }
    name = "ordermill_order_stage_duration_seconds"
    stages = {line for line in metrics if line.startswith(f"{name}_count")}
    assert stages == {f'{name}_count{{stage="{s}"}} 1.0' for s in ("paid", "prepared", "shipped")}
    assert f'{name}_bucket{{le="0.1",stage="paid"}} 0.0' in metrics, "it was held for 0.2 s"
