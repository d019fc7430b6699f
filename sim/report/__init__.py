"""What a person sees of a run.

scene       lanes and marks: the run as data, without any idea of how it is drawn
states      how orders, outbox, queues and inboxes stood round the violation
staging     from a run that is over to its scene
story       the sentences of one order, and of everybody
folding     many marks become few, with a note
drawing     a scene as SVG
page        the report as one HTML file
files       the folder of a run
junit, index  many runs, for machines and for people
"""
