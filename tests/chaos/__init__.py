"""Chaos: real processes, real faults, and a checker that believes nobody."""
