"""What goes into the audit: who does what, whether over HTTP or from the command line."""

import re

from actors.domain.values import holds_card_number
from runtime.audit import Deed
from runtime.errors import Rejection

_ACTOR = "operator"
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")


def deed(action: str, target: str, reason: str) -> Deed:
    """Return who does what, for the audit, which forgets nobody.

    Rejection validation-failed where the reason names a person, or a card.
    """
    if _EMAIL.search(reason) or holds_card_number(reason):
        message = "`reason` must hold no e-mail address and no card number: the audit keeps it."
        raise Rejection("validation-failed", message, status_hint=422)
    return Deed(_ACTOR, action, target, reason)
