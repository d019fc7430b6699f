"""What SQLite does not tell: commits that its write-ahead log holds and recovery would leave out.

Recovery reads the log up to the first frame whose checksum is wrong, and takes what follows for a
transaction that was never committed (sqlite.org/walformat.html). After a power cut that is right.
After damage it is a lie: transactions that were answered are gone, and nothing says so. The two can
be told apart, because a commit is synced before the next one is begun: of *two* commits behind a
wrong frame the first was durable. And as long as the machine stays up, the log's index (``-shm``)
still says how far the commits went.

Call it before the database is opened: to open it is to recover it, and to close it is to delete the
log. It changes nothing.
"""

import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from runtime.host import is_locked

_HEADER = 32
_FRAME = 24
_MAGIC = 0x377F0683, 3007000  # the magic's last bit is the order of a word's bytes
_INDEX = struct.Struct("=16xI12x8s8x")  # mxFrame, aSalt, of a WalIndexHdr of 48 bytes

_Sum = tuple[int, int]


class _Frame(msgspec.Struct, frozen=True):
    """``linked``: its checksum continues the one stored with its predecessor."""

    salts: bytes
    commits: bool
    linked: bool


def commits_left_out(database: Path) -> int:
    """Return how many durable commits recovery would silently drop; 0 where the log is sound.

    It is a lower bound. The log is read once: about 10 ms for the 4 MB that it usually has at most.
    """
    try:
        log = database.with_name(f"{database.name}-wal").read_bytes()
    except FileNotFoundError:
        return 0
    page_size = _page_size(database)
    if page_size == 0 or len(log) < _HEADER + _FRAME + page_size:
        return 0
    header_is_sound, order = _header(log)
    frames = list(_frames(log, page_size, order))
    salts = log[16:24] if header_is_sound else frames[0].salts
    sound = 0
    if header_is_sound:
        sound = next(
            (at for at, one in enumerate(frames) if not one.linked or one.salts != salts),
            len(frames),
        )
    return max(_behind(frames[sound:], salts), _unindexed(database, frames[:sound], salts))


def damage_at_rest(database: Path) -> str:
    """Return what is wrong with the log of a database that no process has open, or nothing.

    The log of a running system changes while it is read, and its owner has looked at the start.
    """
    lost = 0 if is_locked(database) else commits_left_out(database)
    return lost_commits(database, lost) if lost else ""


def lost_commits(database: Path, lost: int) -> str:
    """Say it in words."""
    return f"{database}-wal is damaged: at least {lost} commits cannot be read from it any more"


def _page_size(database: Path) -> int:
    """Return what the database file says, which the log only repeats; 0 if it is no database."""
    with database.open("rb") as file:
        header = file.read(18)
    (size,) = struct.unpack_from(">H", header.ljust(18, b"\0"), 16)
    size = 65536 if size == 1 else size
    return size if size >= 512 and size & size - 1 == 0 else 0


def _behind(frames: list[_Frame], salts: bytes) -> int:
    """Count the commits behind a wrong frame, but for a last one that was cut short."""
    commits = [
        at
        for at, frame in enumerate(frames)
        if frame.commits and (at == 0 or (frame.linked and frame.salts == salts))
    ]
    return max(0, len(commits) - 1)


def _unindexed(database: Path, sound: list[_Frame], salts: bytes) -> int:
    """Count as one what the index knows to be committed and the sound frames do not hold."""
    try:
        index = database.with_name(f"{database.name}-shm").read_bytes()[: 2 * _INDEX.size]
    except FileNotFoundError:
        return 0
    if len(index) < 2 * _INDEX.size or index[: _INDEX.size] != index[_INDEX.size :]:
        return 0
    last, indexed_salts = _INDEX.unpack_from(index)
    held = max((at for at, frame in enumerate(sound, 1) if frame.commits), default=0)
    return int(indexed_salts == salts and last > held)


def _header(log: bytes) -> tuple[bool, str]:
    """Return whether recovery would accept the log at all, and the order of a word's bytes.

    A damaged header cannot say, but it was written on this kind of machine.
    """
    magic, version = struct.unpack_from(">2I", log)
    order = ">" if magic & 1 else "<"
    stored: _Sum = struct.unpack_from(">2I", log, 24)
    if (magic | 1, version) == _MAGIC and _sum_up((0, 0), log[:24], order) == stored:
        return True, order
    return False, "<" if sys.byteorder == "little" else ">"


def _frames(log: bytes, page_size: int, order: str) -> Iterator[_Frame]:
    size = _FRAME + page_size
    heads = [
        struct.unpack_from(">4xI8s2I", log, at) for at in range(_HEADER, len(log) - size + 1, size)
    ]
    stored: list[_Sum] = [(first, second) for *_, first, second in heads]
    before: list[_Sum] = [struct.unpack_from(">2I", log, 24), *stored[:-1]]
    sums = _sums_of_frames(before, log, page_size, order)
    for (commits, salts, *_), told, made in zip(heads, stored, sums, strict=True):
        yield _Frame(salts, commits != 0, told == made)


def _sum_up(before: _Sum, data: bytes, order: str) -> _Sum:
    first, second = before
    for even, odd in struct.iter_unpack(f"{order}2I", data):
        first = first + even + second & 0xFFFFFFFF
        second = second + odd + first & 0xFFFFFFFF
    return first, second


def _sums_of_frames(
    before: Sequence[_Sum], log: bytes, page_size: int, order: str
) -> Iterator[_Sum]:
    """Return the checksum of each frame, of which ``before`` has the one that it continues.

    It is `_sum_up` of all frames at once: each has 64 bits of the same long numbers for itself, so
    that a word of every frame costs three additions. A log of 1,000 pages takes a tenth of the time
    that it takes frame by frame.
    """
    count, size = len(before), (_FRAME + page_size) // 8
    pairs = memoryview(log)[_HEADER : _HEADER + 8 * size * count].cast("Q")
    endian: Literal["little", "big"] = "little" if order == "<" else "big"
    lanes = struct.Struct(f"{order}{count}Q")
    low = int.from_bytes(lanes.pack(*[0xFFFFFFFF] * count), endian)
    up_even, up_odd = (0, 32) if order == "<" else (32, 0)
    first, second = (
        int.from_bytes(lanes.pack(*each), endian) for each in zip(*before, strict=True)
    )
    for at in (0, *range(_FRAME // 8, size)):  # a frame's header counts with its first pair alone
        pair = int.from_bytes(pairs[at::size], endian)
        first = first + (pair >> up_even & low) + second & low
        second = second + (pair >> up_odd & low) + first & low
    firsts, seconds = (lanes.unpack(each.to_bytes(lanes.size, endian)) for each in (first, second))
    return zip(firsts, seconds, strict=True)
