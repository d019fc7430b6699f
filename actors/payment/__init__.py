"""The payment service: provider (the port), sandbox (the party behind it), journal, calls, charge,
refund (the two things it does), service (its handlers), sweeper (its safety net).
"""
