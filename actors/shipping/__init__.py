"""The shipping service: paid orders become parcels, and parcels shipments.

``service`` its handler · ``carrier`` the port, ``depot`` (with ``depot_books``) the party behind it
and ``courier`` what that party reports by itself · ``shipments`` the "has shipped" request, and
``rest`` the same over HTTP · ``assembly`` what the supervision tree starts.
"""
