"""Many marks become few: a picture of tens of thousands of marks shows nothing.

What is folded is said, never cut: neighbours of one lane and one shape become one mark with a
count. Requests that failed, faults, violations and what the focused order did stay as they are.
"""

from collections.abc import Sequence

import msgspec

from sim.report.causes import links_of
from sim.report.scene import Mark, Scene

MARKS_MAX = 5000


def folded(scene: Scene, marks_max: int = MARKS_MAX) -> Scene:
    """Return a scene of at most about ``marks_max`` marks; the same one if it is small enough."""
    if len(scene.marks) <= marks_max:
        return scene
    kept = [mark for mark in scene.marks if _stays(mark, scene)]
    rest = [mark for mark in scene.marks if not _stays(mark, scene)]
    room = max(marks_max - len(kept), marks_max // 10)
    width_s = max(scene.end_s / max(1, room // len(scene.lanes)), 1e-6)
    groups: dict[tuple[str, str, int], list[Mark]] = {}
    for mark in rest:
        groups.setdefault((mark.lane, mark.shape, int(mark.at / width_s)), []).append(mark)
    marks = kept + [_one(group) for group in groups.values()]
    marks.sort(key=lambda mark: (mark.step, mark.at))
    note = (
        f"{len(rest)} of {len(scene.marks)} marks are folded into {len(groups)}, each for what one "
        f"lane did within {width_s:.3g} s; trace.jsonl has all."
    )
    return msgspec.structs.replace(scene, marks=marks, links=links_of(marks), folded=note)


def _stays(mark: Mark, scene: Scene) -> bool:
    focused = scene.focus_order and mark.order == scene.focus_order
    return bool(focused or mark.shape == "flag" or mark.tone in ("bad", "fault"))


def _one(group: Sequence[Mark]) -> Mark:
    first = group[0]
    if len(group) == 1:
        return first
    labels = ", ".join(sorted({mark.label for mark in group})[:5])
    ends = [mark.until for mark in group if mark.until is not None]
    return msgspec.structs.replace(
        first,
        label=first.label if len({mark.label for mark in group}) == 1 else first.shape,
        text=f"{len(group)} marks from +{first.at:.3f}s to +{group[-1].at:.3f}s: {labels}.",
        until=max(ends) if ends else None,
        order=first.order if len({mark.order for mark in group}) == 1 else 0,
        thread="",
        count=len(group),
    )
