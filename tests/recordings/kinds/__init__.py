"""The kinds of software that are recorded, one a file."""
