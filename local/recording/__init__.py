"""The sample's shop: real processes, real load and real measurements, put together by `local.record_sample`."""
