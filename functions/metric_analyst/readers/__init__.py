"""Reads CSV and JSON into series of samples."""
