"""The Order Event Service: the one writer of the event store, and everybody's reader.

``service`` the single-writer actor · ``deciding`` customers' commands and services' events ·
``appending`` the one way into the log · ``stream`` events out of the store, the fold cache ·
``vault`` personal data · ``order_list`` one row an order · ``idempotency`` remembered outcomes ·
``wakeups`` long polls · ``erasure`` · ``client`` the in-process `OrderEvents` · ``http_client`` the
same over HTTP, ``rest`` its server, with ``handlers``, ``parameters``, ``problems`` and ``wire`` ·
``schema`` the tables · ``signals`` · ``parts`` what the supervision tree starts.
"""
