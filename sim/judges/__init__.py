"""Judges: what is left of a run, as rows, and the claims that must hold of it."""
