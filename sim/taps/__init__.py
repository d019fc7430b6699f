"""Whoever sits in the middle of a connection and meddles with the conversation on it.

    frames     AMQP bytes <-> frames; the few methods that matter, built and read with pamqp
    unit       one publish, confirm, delivery or ack on its way, and the rules that meddle with it
    amqp       one AMQP connection: what was lost, doubled or held keeps both ends' numbers right
    channel    the numbers of one channel: publishes and deliveries, as each side counts them
    line       what has been decided to travel, and what keeps it
    http       one HTTP/1.1 connection: requests and replies that get lost
    switchboard  which connections have a tap, and which rules are in force

A tap is there from a connection's first byte, and passes everything on until a rule says otherwise.
"""
