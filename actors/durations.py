"""How long something took, or has waited, in words."""


def duration(seconds: float) -> str:
    """Return a time span, to the two largest units that matter.

    >>> duration(0.042), duration(7.31), duration(59.96), duration(75), duration(100_000)
    ('42 ms', '7.3 s', '1 min 0 s', '1 min 15 s', '1 d 3 h')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit_s, unit, part_s, part in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= unit_s:
            return f"{whole // unit_s} {unit} {whole % unit_s // part_s} {part}"
    raise AssertionError("a minute is the smallest of them")
