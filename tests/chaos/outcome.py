"""What a campaign is to do, and what it has found."""

import msgspec

from sim.judges.checker import Finding, report


class Plan(msgspec.Struct, frozen=True):
    """What a campaign is to do. ``orders`` is how many must be accepted, at least.

    ``broker`` is "embedded" or "rabbitmq", ``mail`` "maildir" or "smtp".
    """

    seed: int
    kills: int
    orders: int
    broker: str = "embedded"
    split: bool = False
    mail: str = "maildir"
    clients: int = 12
    pause_s_max: float = 1.0

    def __str__(self) -> str:
        how = "every service a process" if self.split else "one process"
        return f"seed {self.seed}: {how}, {self.broker} broker, mail by {self.mail}"


class Kill(msgspec.Struct, frozen=True):
    """One kill: ``unfinished`` things were left, it took ``recovery_s`` to serve again."""

    target: str
    steered: bool
    unfinished: int
    recovery_s: float | None


class Outcome(msgspec.Struct, frozen=True):
    """What a campaign has found. ``troubles`` are what no ledger shows: deaths, no rest.

    ``interrupted`` counts the mails that were being sent by a process when it was killed,
    ``second_copies`` those that arrived again: over SMTP only, where that cannot be excluded.
    """

    plan: Plan
    targets: tuple[str, ...]
    kills: list[Kill]
    accepted_orders: int
    cut_off: int
    rest_s: float
    interrupted: int
    second_copies: int
    troubles: list[str]
    findings: list[Finding]

    @property
    def green(self) -> bool:
        """Whether everything held, and every target was hit in mid-work."""
        held = all(finding.green for finding in self.findings)
        return held and bool(self.findings) and not self.troubles and not self.missed

    @property
    def missed(self) -> list[str]:
        """The targets that were never hit in mid-work."""
        hit = {kill.target for kill in self.kills if kill.unfinished}
        return [target for target in self.targets if target not in hit]

    def summary(self) -> str:
        """Return everything as text."""
        lines = [
            str(self.plan),
            f"{len(self.kills)} kills, {sum(kill.steered for kill in self.kills)} of them steered",
            f"{self.accepted_orders} orders accepted, {self.cut_off} requests without an answer",
            f"came to rest within {self.rest_s:.1f} s",
        ]
        if self.plan.mail == "smtp":
            inside = f"{self.interrupted} mails were being sent when their sender was killed"
            lines.append(f"{inside}, {self.second_copies} arrived a second time")
        lines.append(f"{'target':<14}{'kills':>6}{'mid-work':>10}{'recovery median':>18}{'max':>8}")
        for target in self.targets:
            mine = [kill for kill in self.kills if kill.target == target]
            hits = sum(1 for kill in mine if kill.unfinished)
            times = sorted(kill.recovery_s for kill in mine if kill.recovery_s is not None)
            figures = f"{times[len(times) // 2]:>16.2f} s{times[-1]:>6.2f} s" if times else ""
            lines.append(f"{target:<14}{len(mine):>6}{hits:>10}{figures}")
        lines.append(report(self.findings))
        lines += [f"TROUBLE: {trouble}" for trouble in self.troubles]
        lines += [f"NEVER HIT IN MID-WORK: {target}" for target in self.missed]
        lines.append("green" if self.green else "RED")
        return "\n".join(lines)
