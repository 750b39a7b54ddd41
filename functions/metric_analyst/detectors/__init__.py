"""Finds what changed in a series: level shifts, spikes, drift, flat lines."""
