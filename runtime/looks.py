"""Questions that are answered together: one look for everybody who has asked before it begins.

Its law: an answer is of a look that began after its question, so nobody is told what was true
before; and however many ask, one look of a kind waits at an operator's desk, not one for each.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar, cast

import anyio

from runtime.actor import Envelope
from runtime.errands import ANSWER_S_MAX, Errands
from runtime.errors import MailboxFull, Rejection, Unavailable
from runtime.host import new_signal

QUESTIONS_MAX = 1024

Q = TypeVar("Q", bound=Hashable)
A = TypeVar("A")


class Looks(Generic[Q, A]):
    """One kind of look, which changes nothing; ``look`` answers different questions in their order.

    It runs at the desk ``errands``, when it is its turn.
    """

    def __init__(
        self, errands: Errands, look: Callable[[Sequence[Q]], Awaitable[Sequence[A]]]
    ) -> None:
        self._errands = errands
        self._look = look
        self._waiting: list[Envelope[Q]] = []

    async def ask(self, question: Q) -> A:
        """Return the answer of the next look; raises what the look was refused with.

        `MailboxFull` where too many ask, or the desk has too much to do; `DeadlineExceeded` after a
        minute.
        """
        if len(self._waiting) >= QUESTIONS_MAX:
            raise MailboxFull(f"{QUESTIONS_MAX} questions wait for this look")
        if not self._waiting:
            self._errands.tell(self._answer_all)
        envelope = Envelope(question, new_signal())
        self._waiting.append(envelope)
        with anyio.move_on_after(ANSWER_S_MAX):
            return cast("A", await envelope.answer())
        envelope.expire()
        return cast("A", await envelope.answer())

    async def _answer_all(self) -> None:
        asked, self._waiting = self._waiting, []
        questions = list(dict.fromkeys(envelope.message for envelope in asked))
        try:
            answers = dict(zip(questions, await self._look(questions), strict=True))
        except (Rejection, Unavailable) as refusal:
            _fail(asked, refusal)
        except BaseException:
            _fail(asked, Unavailable("the look has failed"))
            raise
        else:
            for envelope in asked:
                envelope.reply(answers[envelope.message])


def _fail(asked: Sequence[Envelope[Q]], failure: Exception) -> None:
    for envelope in asked:
        envelope.fail(failure)
