"""What must hold of reading the past, and of making views again: it changes nothing."""

from collections.abc import Iterator

from sim.judges.evidence import Evidence


def reading_the_past_changes_nothing(evidence: Evidence) -> Iterator[str | None]:
    """An order read as it was at a version is at that version, and no ledger has moved for it."""
    for reading in evidence.observed.readings:
        moved = {
            name: (count, reading.after[name])
            for name, count in reading.before.items()
            if reading.after[name] != count
        }
        yield f"moved: {moved}" if moved else None
        for order_id, told in reading.versions.items():
            wrong = [(asked, got) for asked, got in told if asked != got]
            yield f"{order_id}: asked for and told {wrong}" if wrong else None


def the_list_made_again_is_the_same(evidence: Evidence) -> Iterator[str | None]:
    """The order list, made again from the log, is the one that was kept; and nothing else moves."""
    for again in evidence.observed.rebuilt:
        for kept, made in zip(again.kept, again.made, strict=False):
            yield None if kept == made else f"kept {kept}, made again {made}"
        right = len(again.kept) == len(again.made) and not again.moved
        yield None if right else f"{len(again.kept)} rows, {len(again.made)} again; {again.moved}"
