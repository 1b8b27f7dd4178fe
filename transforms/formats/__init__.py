"""Records and their formats, without Beam."""
