"""The operator's console, below ``/ops``: what is inside, and the few things to do about it.

``routes`` lists the pages and says who may see and do what. ``session`` and ``login_links`` let
people in; ``backstage`` is what the console sees of the services. One module a family of pages. A
page works nothing out that a service could tell, and changes nothing but by the services' own
operator routes, which are the command line's, too.
"""
