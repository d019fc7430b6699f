"""Observers of a running world: they see wires, disks, calls and telemetry, and never steer."""
