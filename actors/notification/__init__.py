"""The notification service: e-mails to customers about what happened to their order.

``service`` its handler, ``mails`` what it remembers of each mail · ``letters`` and ``templates/``
what the four mails say · ``mailer`` the port, ``maildir`` and ``smtp`` the parties behind it,
``transport`` which of them · ``rfc5322`` the bytes of a mail · ``assembly`` what the supervision
tree starts.
"""
