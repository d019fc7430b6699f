"""The 28 claims of the specification's section 3, and the functions that judge each of them.

One function may serve several numbers. ``needs`` names who must be alive for a claim to be asked
for: where a run leaves a service, or the broker, dead for good, what only they could do is not
owed. Claims that are ``seen`` need a witness of the run; the others are judged from what is left,
also by the process-kill campaigns.
"""

from collections.abc import Callable, Iterator

import msgspec

from sim.judges import asked, conduct, messages, model, order_log, parties, past, rest, watching
from sim.judges.evidence import Evidence
from sim.judges.settled import Moments, acked, answered, changed, done, sent_off, stated

Invariant = Callable[[Evidence], Iterator[str | None]]


class Claim(msgspec.Struct, frozen=True):
    """One function, the numbers that it serves, and when it is asked.

    ``met``: when what a claim of liveness asks for was done.
    """

    judge: Invariant
    numbers: tuple[int, ...]
    seen: bool = False
    met: Moments | None = None
    needs: tuple[str, ...] = ()

    @property
    def liveness(self) -> bool:
        """Whether it is about what must happen in the end."""
        return self.met is not None

    @property
    def name(self) -> str:
        """The function's name."""
        return self.judge.__name__

    @property
    def text(self) -> str:
        """The claim, as the function's docstring states it."""
        return " ".join((self.judge.__doc__ or "").split("\n\n")[0].split())


def _safe(judge: Invariant, *numbers: int) -> Claim:
    return Claim(judge, numbers)


def _seen(judge: Invariant, *numbers: int) -> Claim:
    return Claim(judge, numbers, seen=True)


def _live(
    judge: Invariant, *numbers: int, met: Moments, needs: str = "", seen: bool = False
) -> Claim:
    return Claim(judge, numbers, seen=seen, met=met, needs=tuple(needs.split()))


_PAID = stated("payment-captured", "payment-auth-failed", "payment-refunded")
_UNLOCKED = stated(
    "payment-captured", "payment-auth-failed", "payment-refunded", "shipping-prepared"
)
_HANDLING = "payment shipping order-events broker"

CLAIMS: tuple[Claim, ...] = (
    # the log, and what clients were told
    _safe(order_log.every_stream_is_a_lawful_word, 1, 6, 7),
    _safe(order_log.versions_have_no_gap, 1),
    _safe(order_log.event_ids_are_unique, 1),
    _safe(order_log.order_numbers_are_unique, 1),
    _safe(order_log.events_are_stated_by_their_service, 1),
    _safe(order_log.never_cancelled_and_prepared, 2),
    _safe(order_log.nothing_is_changed_after_its_lock, 7),
    _safe(order_log.accepted_means_exactly_one_event, 8, 9),
    _safe(order_log.refused_means_no_event, 8),
    _safe(order_log.unknown_means_at_most_one_event, 8),
    _safe(order_log.every_client_event_was_asked_for, 8),
    _safe(order_log.refusals_are_deserved, 8),
    _safe(order_log.answers_are_expected, 8),
    _safe(order_log.one_key_one_answer, 9),
    _safe(order_log.every_answer_is_remembered_once, 9),
    _safe(order_log.the_list_is_what_the_log_says, 1),
    _safe(order_log.published_is_what_was_committed, 10),
    _safe(order_log.first_publications_keep_the_order, 10),
    _live(order_log.committed_is_published, 10, 21, met=sent_off, needs="order-events broker"),
    # outside parties: their books
    _safe(parties.no_capture_twice, 4, 13),
    _safe(parties.no_refund_twice, 4, 13),
    _safe(parties.no_authorisation_twice, 4, 13),
    _safe(parties.captured_is_the_total, 4),
    _safe(parties.no_refund_without_a_cancel, 4),
    _safe(parties.the_card_is_the_one_at_the_lock, 3),
    _safe(parties.the_ledger_is_before_the_fact, 5),
    _safe(parties.shipped_to_the_address_at_the_lock, 6, 13),
    _safe(parties.no_mail_twice, 13),
    _safe(parties.no_mail_without_a_reason, 13, 25),
    # The log never states what the provider has not done (`the_ledger_is_before_the_fact`); the
    # other way round waits for messages.
    _live(
        parties.the_log_and_the_provider_agree,
        5,
        22,
        met=_PAID,
        needs="payment order-events broker",
    ),
    _live(
        parties.cancelled_and_captured_is_refunded,
        22,
        met=stated("payment-refunded"),
        needs="payment order-events broker",
    ),
    _live(
        parties.a_reservation_is_used_or_given_up,
        4,
        met=changed("operations"),
        needs="payment order-events broker",
    ),
    _live(
        parties.mails_are_what_the_log_implies,
        25,
        met=changed("mails"),
        needs="notification order-events broker",
    ),
    _live(
        parties.the_mail_journal_agrees,
        25,
        met=changed("mails"),
        needs="notification order-events broker",
    ),
    _live(
        parties.every_order_is_where_it_belongs,
        23,
        met=stated(),
        needs="payment shipping order-events broker",
    ),
    # what is left at rest
    _live(
        rest.every_message_was_done_by_whom_it_concerns,
        12,
        21,
        met=done,
        needs="order-events broker",
    ),
    _live(rest.the_outbox_is_empty, 21, met=sent_off, needs="order-events broker"),
    _live(rest.the_holds_are_empty, 21, met=done, needs="order-events broker"),
    _live(
        rest.the_payment_journal_is_empty,
        21,
        met=changed("calls"),
        needs="payment order-events broker",
    ),
    _live(rest.the_queues_are_empty, 21, met=acked, needs="order-events broker"),
    _live(rest.no_lock_is_without_an_owner, 24, met=_UNLOCKED, needs=_HANDLING),
    _safe(rest.only_bad_messages_were_parked, 27),
    _safe(rest.the_files_are_sound, 12),
    # what only a witness can say: requests to outside parties
    _seen(asked.nothing_is_asked_before_its_lock, 3, 6),
    _seen(asked.the_provider_is_asked_with_the_card_at_the_lock, 3),
    _seen(asked.the_carrier_is_asked_with_the_address_at_the_lock, 6),
    _seen(asked.nothing_is_captured_of_a_cancel_that_was_told, 4),
    _seen(asked.each_thing_is_asked_under_one_key, 4, 13),
    # messages under way
    _seen(messages.an_outbox_row_leaves_only_after_an_unreturned_ack, 11),
    _seen(messages.nothing_is_acked_before_it_is_settled, 12, 15),
    _seen(messages.done_means_that_its_effects_are_durable, 12),
    _seen(messages.what_was_committed_is_kept, 12),
    _seen(messages.a_message_is_done_once, 13),
    _seen(messages.a_requeued_message_has_its_copy, 12, 15),
    _seen(messages.one_handler_at_a_time, 14),
    _live(messages.every_delivery_ends, 15, met=acked, seen=True),
    _seen(messages.nobody_holds_more_than_its_prefetch, 15),
    _seen(messages.mailboxes_stay_within_their_capacity, 15),
    _live(messages.no_delivery_is_out, 21, met=acked, needs="order-events broker", seen=True),
    # processes and actors
    _seen(conduct.stopping_raises_no_attempt, 16),
    _seen(conduct.restarts_stay_within_their_intensity, 17),
    _seen(conduct.no_child_ends_silently, 17),
    _seen(conduct.processes_end_as_they_are_told, 17),
    _seen(conduct.nothing_is_left_behind, 17),
    _seen(conduct.nothing_is_held_for_who_has_left, 15),
    _seen(conduct.a_superseded_process_writes_nothing, 19),
    _seen(conduct.errors_have_a_cause_outside, 17),
    _seen(conduct.nothing_goes_wrong_unhandled, 17),
    # customers, views, and the whole
    _live(
        rest.every_intent_has_a_definite_answer,
        26,
        met=answered,
        needs="gateway order-events",
        seen=True,
    ),
    _seen(watching.streams_tell_the_log_in_order, 1),
    _live(
        watching.whoever_watches_sees_everything,
        26,
        met=watching.told,
        # Without one of these others may go on with what they hold after everybody has left.
        needs=f"gateway {_HANDLING}",
        seen=True,
    ),
    _seen(past.reading_the_past_changes_nothing, 18),
    _seen(past.the_list_made_again_is_the_same, 18),
    _safe(model.every_end_is_one_that_the_model_allows, 28),
)

JUDGED_ELSEWHERE = {20: "sim.determinism"}
"""Number 20, same seed and same trace, compares two runs: the determinism gate does."""


def asked_of(evidence: Evidence) -> list[Claim]:
    """Return the claims that hold for a run that ended with these parties dead."""
    return [claim for claim in CLAIMS if not set(claim.needs) & set(evidence.dead)]


def never_evaluated(cases: dict[str, int]) -> list[str]:
    """Return the claims of which a whole sweep found no case: they have proved nothing."""
    return [claim.name for claim in CLAIMS if not cases.get(claim.name)]
