"""Planted defects: the proof that the simulator can fail (`sim.mutations.catalogue`)."""
