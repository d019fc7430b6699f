"""The catalogue of planted defects, by name: what `ordermill sim mutate` goes through.

Each is a function whose docstring says what is wrong in the mutated product. A mutation that the
sweep does not catch is a hole in the judges, in the faults or in the workload.
"""

from collections.abc import Mapping

from sim.mutations import asking, delivery, paying, storing
from sim.mutations.patching import Plant

MUTATIONS: dict[str, Plant] = {
    plant.__name__.replace("_", "-"): plant
    for plant in (
        delivery.ack_before_commit,
        delivery.no_inbox,
        delivery.inbox_in_memory,
        delivery.lease_in_inbox,
        delivery.recovery_by_cleanup,
        delivery.inbox_outside_the_transaction,
        delivery.hold_forgotten_by_a_restart,
        delivery.redelivered_means_duplicate,
        delivery.dropped_on_error,
        delivery.copy_after_the_ack,
        delivery.stale_ack_sent,
        delivery.stopping_counts_as_failing,
        delivery.cancelled_error_swallowed,
        delivery.nobody_notices_silence,
        delivery.two_at_once,
        storing.answers_before_the_commit,
        storing.cache_kept_after_a_failed_commit,
        storing.no_idempotency_record,
        storing.guard_outside_the_transaction,
        storing.removed_before_the_confirm,
        storing.confirms_off,
        storing.returned_means_sent,
        storing.nack_means_sent,
        storing.published_without_the_outbox,
        storing.another_id_on_republish,
        storing.order_of_a_key_lost,
        paying.no_resume_of_open_attempts,
        paying.refund_only_on_cancellation,
        paying.new_key_after_a_timeout,
        paying.new_key_for_each_refund,
        paying.no_lookup_after_a_crash,
        paying.state_read_before_the_lock,
        paying.address_read_before_the_lock,
        paying.capture_without_another_look,
        paying.refund_gives_up,
        paying.failed_payment_is_mailed_after_a_cancellation,
        paying.mail_key_of_its_own_each_time,
        asking.connection_kept_by_who_has_left,
        asking.stream_begins_with_what_is_new,
    )
}


EVERYWHERE = "everything"
HUNTED_IN: Mapping[str, str] = {
    "inbox-outside-the-transaction": "crash-storm",
    "cache-kept-after-a-failed-commit": "slow-disk",
    "returned-means-sent": "publish-failures",
    "order-of-a-key-lost": "broker-outage",
    "no-resume-of-open-attempts": "crash-storm",
    "refund-only-on-cancellation": "cancel-races",
    "new-key-after-a-timeout": "lost-replies",
    "no-lookup-after-a-crash": "lost-replies",
    "state-read-before-the-lock": "cancel-races",
    "address-read-before-the-lock": "cancel-races",
    "capture-without-another-look": "cancel-races",
    "nobody-notices-silence": "crash-storm",
    "connection-kept-by-who-has-left": "lost-replies",
}
"""The scenario in which a mutation is hunted that few seeds of `EVERYWHERE` come near."""


def claim_of(name: str) -> str:
    """Return what is wrong in the product under this mutation, as one line."""
    return " ".join((MUTATIONS[name].__doc__ or "").split())
