"""What acts on a whole process: patches of Beam and settings of the interpreter. No stages."""
