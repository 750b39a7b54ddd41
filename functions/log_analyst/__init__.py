"""The log analyst: finds what is new, rare, bursting or gone in logs."""
