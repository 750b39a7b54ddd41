"""What changed in a series: shifts, spikes, drift, flat lines."""
