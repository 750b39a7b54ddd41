"""Addresses that may be reached, DNS lookups, and the hosts that requests name."""
