"""The operator's API below ``/v1/admin``: what the console shows and does, for programs.

``operations`` is its part of the API's table, ``bodies`` what goes in and out, ``handlers`` asks
the services as the console does. Whoever may read has a viewer's token; what changes something
needs the operator's, and is in the audit.
"""
