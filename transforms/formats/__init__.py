"""Bytes to records and back, in every supported format; records and their validation. No Beam."""
