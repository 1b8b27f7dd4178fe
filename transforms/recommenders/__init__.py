"""The models, without Beam."""
