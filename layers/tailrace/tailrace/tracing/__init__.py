"""OpenTelemetry: spans, metrics, and the trace that goes from process to process (docs/TRACING.md).

Only OpenTelemetry's API is needed, and without an SDK nothing of this costs more than a look. The SDK and the exporter
come by the environment (`setup.py`).
"""
