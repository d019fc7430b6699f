"""The web pages of the gateway: made here, readable without scripts, live where there are some.

``routes`` lists them. ``site`` is what all of them stand on: templates, cookies, forms, CSRF;
``errors`` answers a browser where the API would answer with a problem. One module a family of
pages; templates show what a module has worked out and decide nothing about an order.
"""
