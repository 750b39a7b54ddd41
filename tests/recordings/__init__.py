"""Recorded logs whose lines are labelled with their events, and the recorders that made them."""
