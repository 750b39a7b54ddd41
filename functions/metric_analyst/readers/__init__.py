"""From CSV and JSON to series of samples."""
