"""What can go wrong, by subject. A fault is injected at the seam or around the broker, never in
the product, and never by its code.

    table       every kind, by name
    kind        what a kind is, and one fault under way
    injector    carries a plan's faults out, heals them, counts what they did
    targets     which nodes and paths a world has

    network     what the way between two nodes does
    broker      what the broker does: restarts, cancels consumers, closes channels, loses queues
    publishing  what becomes of publishes and confirms
    delivery    what becomes of deliveries and acks; messages that nobody published
    process     kills, crash loops, freezes; exceptions and cancellations from nowhere
    points      deaths at the k-th statement, publish, ack or call, before it or after it
    storage     what the disk does
    http        what becomes of requests and replies between customers, gateway and services
    parties     what provider, carrier and mailer do
    clocks      wall clocks that jump or are off, timers that come late
"""
