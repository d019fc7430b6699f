"""What others offer for the same work, tuned as their documentation says.

Each runs alone too: ``python -m bench.rivals.pykka``. Guarantees are stated in the case's file, and
printed beside each figure. The packages come with ``pip install 'ordermill[bench]'``.
"""
