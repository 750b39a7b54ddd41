"""Where requests go and come from: addresses that may be reached, names that are looked up, hosts we are called by."""
