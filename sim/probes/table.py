"""All probes by name, and how often one run has hit each.

A probe that no run of a whole sweep hits is a promise that was never tried: faults too mild, or a
workload that never comes near. Pairs and points are families: the name says which member it is.
"""

from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from sim.faults.table import SUBJECTS
from sim.judges.evidence import Evidence
from sim.probes import customers, delivery, orders, processes, publishing, storage

Count = Callable[[Evidence], int]


class Probe(msgspec.Struct, frozen=True):
    """Something that must happen sometimes, and how it is told from what a run has left."""

    name: str
    claim: str


_COUNTED: tuple[Count, ...] = (
    delivery.duplicate_dropped_by_the_inbox,
    delivery.duplicate_while_the_first_is_in_work,
    delivery.duplicate_known_after_a_restart,
    delivery.claim_of_a_dead_process_resumed,
    delivery.requeued_copy_and_original_both_alive,
    delivery.poison_parked,
    delivery.retried_and_done,
    delivery.order_not_in_the_store_yet,
    delivery.done_again_after_it_was_forgotten,
    delivery.channel_gone_before_the_ack,
    publishing.confirm_lost_and_republished,
    publishing.outbox_resumed_after_a_crash,
    publishing.nack_then_ok,
    publishing.returned_and_sent_again,
    publishing.rest_of_a_batch_sent_again,
    publishing.blocked_with_a_publish_pending,
    publishing.silence_found_by_heartbeat,
    publishing.reconnected_after_many_tries,
    publishing.connection_ended_inside_a_frame,
    storage.commit_applied_but_the_caller_told_otherwise,
    storage.log_tail_lost,
    storage.busy_and_tried_again,
    storage.full_disk_answered_and_recovered,
    storage.power_lost_inside_a_transaction,
    storage.commit_that_nobody_was_told_of,
    customers.reply_lost_and_the_stored_answer_given,
    customers.same_key_twice_at_once,
    customers.told_to_come_back_and_served,
    customers.shipped_twice_the_same,
    customers.client_gone_between_two_steps,
    orders.captured_then_cancelled_then_recorded,
    orders.recorded_then_cancelled_then_refunded,
    orders.cancelled_before_the_call,
    orders.cancelled_during_authorisation,
    orders.cancel_won_over_preparation,
    orders.preparation_won_over_cancel,
    orders.update_lost_against_payment,
    orders.update_lost_against_shipping,
    orders.unknown_capture_resolved,
    orders.unknown_refund_resolved,
    orders.open_attempt_resumed,
    orders.refund_tried_again,
    orders.append_answered_though_committed_before,
    orders.mail_asked_for_again,
    orders.failed_payment_of_a_cancelled_order_not_mailed,
    processes.killed_while_it_recovered,
    processes.told_to_stop_with_deliveries_in_hand,
    processes.supervisor_gave_up,
    processes.actor_restarted,
    processes.process_ended_by_its_broken_disk,
)
_SUBJECT_OF = {kind.name: subject for subject, kinds in SUBJECTS.items() for kind in kinds}


def _name(count: Count) -> str:
    return count.__name__.replace("_", "-")


def _claim(count: Count) -> str:
    return " ".join((count.__doc__ or "").split("\n\n")[0].split())


PROBES: dict[str, Probe] = {
    **{_name(count): Probe(_name(count), _claim(count)) for count in _COUNTED},
    **{
        f"died-{point.replace(' ', '-')}": Probe(
            f"died-{point.replace(' ', '-')}", f"A process died {point}, and served again later."
        )
        for point in processes.POINTS
    },
    **{
        f"{subject}-while-{state}": Probe(
            f"{subject}-while-{state}",
            f"A fault of {subject} made a difference to a process that was {state}.",
        )
        for subject in SUBJECTS
        for state in processes.STATES
        if f"{subject} while {state}" not in processes.NEVER_MEET
    },
}


def hits(evidence: Evidence) -> Counter[str]:
    """Return how often each probe was hit in one run; probes without a hit are left out."""
    found = Counter({_name(count): count(evidence) for count in _COUNTED})
    found.update(f"died-{point.replace(' ', '-')}" for point in processes.crash_points(evidence))
    found.update(pair.replace(" ", "-") for pair in processes.pairs(evidence, _SUBJECT_OF))
    return Counter({name: count for name, count in found.items() if count and name in PROBES})


def never_reached(counts: Mapping[str, int]) -> list[Probe]:
    """Return the probes that a whole sweep has not hit."""
    return [probe for name, probe in PROBES.items() if not counts.get(name)]
