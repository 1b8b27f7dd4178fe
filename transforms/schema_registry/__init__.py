"""Confluent's wire format and the registry behind it: framed bytes to trees, and back. No Beam."""
