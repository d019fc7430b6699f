"""The Order Event Service: the one writer of the event store, and everybody's reader.

``service`` the single-writer actor · ``deciding`` customers' commands and services' events ·
``appending`` the one way into the log · ``stream`` events out of the store, the fold cache ·
``vault`` personal data · ``order_list`` one row an order · ``idempotency`` remembered outcomes ·
``wakeups`` long polls · ``client`` the in-process `OrderEvents` · ``wire`` and ``rest`` the same
over HTTP · ``schema`` the tables · ``parts`` what the supervision tree starts.
"""
