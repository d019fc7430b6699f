"""Sometimes, on a disk: it is full, busy, or loses what it had not synced."""

from sim.judges.evidence import Evidence


def commit_applied_but_the_caller_told_otherwise(evidence: Evidence) -> int:
    """A COMMIT was applied, and its caller got an error."""
    return _made(evidence, "SQLITE", "after COMMIT")


def log_tail_lost(evidence: Evidence) -> int:
    """The power went at a COMMIT, and the un-synced end of the log was cut off or spoilt."""
    return _made(evidence, "log tail", "")


def busy_and_tried_again(evidence: Evidence) -> int:
    """A database was busy, and its process went on writing afterwards."""
    return sum(
        any(one.node == node and one.certain for one in evidence.observed.commits)
        for node, made in evidence.observed.disks.items()
        if any(line.startswith("SQLITE_BUSY") for line in made)
    )


def full_disk_answered_and_recovered(evidence: Evidence) -> int:
    """While the disk was full somebody was told to come back later; he did, and was served."""
    full = [one.at for one in evidence.observed.struck if one.kind.startswith("disk-full")]
    found = 0
    for command in evidence.commands:
        refused = [answer.at for answer in command.answers if answer.status == 503]
        soon = any(began <= at <= began + 60.0 for began in full for at in refused)
        found += command.accepted is not None and soon
    return found


def power_lost_inside_a_transaction(evidence: Evidence) -> int:
    """The power went, or a process was killed, amid a transaction."""
    return sum(one.variety == "in a transaction" for one in evidence.observed.struck)


def commit_that_nobody_was_told_of(evidence: Evidence) -> int:
    """A COMMIT was applied, and its process died before anybody could be told; it was kept."""
    return sum(
        not one.certain and one.table == "events" and one.values["event_id"] in evidence.by_id
        for one in evidence.observed.commits
        if one.verb == "insert"
    )


def _made(evidence: Evidence, begins: str, ends: str) -> int:
    return sum(
        line.startswith(begins) and line.endswith(ends)
        for made in evidence.observed.disks.values()
        for line in made
    )
