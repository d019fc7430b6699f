"""The pages of parked messages: the list, one of them, and what is done about some.

Nothing is done at the first click: a review says what it would be (the dry run), and does exactly
that to exactly those that it has shown. Replay goes to the queue that a message came from.
"""

import msgspec
from quart import Response, request

from actors.dead_letters import SLICE
from actors.gateway.auth import is_order_id
from actors.gateway.console import letters
from actors.gateway.console.console import Console
from actors.gateway.console.letters import LETTERS_MAX, Pick
from actors.gateway.console.session import Session
from actors.gateway.console.troubles import letter_path, why
from actors.gateway.pages.forms import Form
from actors.gateway.problems import not_found
from actors.services import CONSUMERS, ServiceName
from runtime.errors import Rejection, Unavailable

SHOWN_MAX = 100
SAMPLE = 10
REASON_MAX = 200
LIST_PATH = "/ops/dead-letters"
WORK_PATH = "/ops/dead-letters/work"
VERBS = {"dead-letters-replay": "Replay", "dead-letters-discard": "Discard"}
ACTIONS = {"replay": "replayed", "discard": "discarded"}


class DeadLetterPages:
    """Lists, shows, reviews, replays and discards."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._desks = console.backstage.desks

    async def index(self, session: Session) -> Response:
        """List what is parked, of one queue or type where that is asked for."""
        queue, type_ = request.args.get("queue", ""), request.args.get("type", "")
        if queue and queue not in CONSUMERS:
            raise not_found()
        found = await letters.parked(self._desks, [queue] if queue else CONSUMERS, type_=type_)
        rows = [letter for asked in found.values() for letter in asked.answer or []]
        rows.sort(key=lambda letter: (letter.parked_at_s, letter.queue, letter.id))
        done, count = request.args.get("done", ""), request.args.get("count", "")
        return self._console.page(
            session,
            "dead-letters.html",
            queue=queue,
            type_=type_,
            queues=CONSUMERS,
            found=found,
            rows=rows[:SHOWN_MAX],
            total=len(rows),
            capped=any(len(row.answer or []) == LETTERS_MAX for row in found.values()),
            why=why,
            path_of=letter_path,
            done=ACTIONS.get(done, ""),
            count=count if count.isdecimal() and len(count) <= 4 else "",
        )

    async def show(self, session: Session, queue: str, message_id: str) -> Response:
        """Show one with its headers and body."""
        service = _consumer(queue)
        found = await letters.parked(self._desks, [queue])
        letter = next((row for row in found[queue].answer or [] if row.id == message_id), None)
        try:
            message = await letters.show(self._desks, service, message_id)
        except Rejection as refusal:
            raise not_found() from refusal
        return self._console.page(
            session,
            "dead-letter.html",
            queue=queue,
            letter=letter,
            why=None if letter is None else why(letter),
            message=message,
            body=_pretty(message.body),
            order_id=_order_id(message.body),
            picks=_encoded([Pick(queue, message_id)]),
        )

    async def review(self, session: Session, form: Form) -> Response:
        """Say what would be done; nothing is."""
        action = form.text("action")
        if action not in ACTIONS:
            raise not_found()
        picks = await self._picked(form)
        if not picks:
            chosen = "Choose one message at least."
            return await self._review(session, action, [], trouble=chosen, status_code=422)
        return await self._review(session, action, picks)

    async def _review(
        self,
        session: Session,
        action: str,
        picks: list[Pick],
        *,
        reason: str = "",
        trouble: str = "",
        status_code: int = 200,
    ) -> Response:
        found = await letters.review(self._desks, picks)
        return self._console.page(
            session,
            "review.html",
            status_code,
            action=action,
            found=found,
            sample=found.letters[:SAMPLE],
            why=why,
            picks=_encoded([Pick(row.queue, row.id) for row in found.letters]),
            reason=reason,
            trouble=trouble,
            reason_max=REASON_MAX,
        )

    async def deal(self, session: Session, form: Form, action: str) -> Response:
        """Do what was reviewed, and say how many it was; with a reason, for the audit."""
        if action not in ACTIONS:
            raise not_found()
        picks, reason = _decoded(form.text("letters")), form.text("reason")
        try:
            _check_reason(reason)
            if len(picks) > SLICE:
                await letters.begin(self._desks, action, picks, reason)
                return self._console.site.see_other(WORK_PATH)
            dealt = await letters.deal(self._desks, action, picks, reason)
        except (Rejection, Unavailable) as error:
            refused = isinstance(error, Rejection)
            return await self._review(
                session,
                action,
                picks,
                reason="" if refused else reason,
                trouble=str(error),
                status_code=422 if refused else 503,
            )
        return self._console.site.see_other(f"{LIST_PATH}?done={action}&count={dealt}")

    async def work(self, session: Session) -> Response:
        """Show how far each service is with what it was told last, and how it ended."""
        found = await letters.progress(self._desks)
        works = [(queue, row.answer.work) for queue, row in found.items() if row.answer]
        return self._console.page(
            session,
            "work.html",
            works=[(queue, work) for queue, work in works if work is not None],
            troubles=[row.trouble for row in found.values() if row.trouble],
            verbs=VERBS,
        )

    async def stop(self, session: Session, form: Form) -> Response:
        """Stop one service after the messages that it is at; the others stay parked."""
        try:
            await letters.stop(self._desks, _consumer(form.text("queue")))
        except Unavailable:
            return await self.work(session)
        return self._console.site.see_other(WORK_PATH)

    async def _picked(self, form: Form) -> list[Pick]:
        """Return what was ticked, what the form names, or all of a queue and type."""
        if form.text("letters"):
            return _decoded(form.text("letters"))
        if form.text("all"):
            queue, type_ = form.text("queue"), form.text("type")
            found = await letters.parked(self._desks, [queue] if queue else CONSUMERS, type_=type_)
            rows = [letter for asked in found.values() for letter in asked.answer or []]
            return [Pick(row.queue, row.id) for row in rows[:LETTERS_MAX]]
        ticked = [form.text(name) for name in form.fields if name.startswith("pick-")]
        return [pick for text in ticked for pick in _decoded(text)]


def _consumer(queue: str) -> ServiceName:
    for name in CONSUMERS:
        if name == queue:
            return name
    raise not_found()


def _check_reason(reason: str) -> None:
    """Rejection validation-failed without a reason of fitting length; the service sees the rest."""
    if not reason:
        raise Rejection("validation-failed", "Say why: it goes into the audit.", status_hint=422)
    if len(reason) > REASON_MAX:
        message = f"The reason is longer than {REASON_MAX} characters."
        raise Rejection("validation-failed", message, status_hint=422)


def _encoded(picks: list[Pick]) -> str:
    return msgspec.json.encode(picks).decode()


def _decoded(text: str) -> list[Pick]:
    try:
        picks = msgspec.json.decode(text or "[]", type=list[Pick])
    except msgspec.MsgspecError:
        picks = []
    if not picks or len(picks) > LETTERS_MAX:
        message = f"Choose one message at least, and {LETTERS_MAX} at most."
        raise Rejection("validation-failed", message, status_hint=422)
    return picks


def _pretty(body: str) -> str:
    """Return a body as it is read most easily; one that is no JSON, as it is."""
    try:
        return msgspec.json.format(body.encode(), indent=2).decode()
    except msgspec.MsgspecError:
        return body


class _Body(msgspec.Struct, frozen=True):
    order_id: str


def _order_id(body: str) -> str | None:
    try:
        found = msgspec.json.decode(body, type=_Body).order_id
    except (msgspec.MsgspecError, RecursionError):
        return None
    return found if is_order_id(found) else None
