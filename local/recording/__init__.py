"""The shop of the sample: its processes, its visitors and its measurements. `local.record_sample` runs them."""
