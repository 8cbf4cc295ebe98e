"""Bridges from what rigs speak: ``python -m glauber.bridge.lsl``, ``python -m glauber.bridge.brand``."""
