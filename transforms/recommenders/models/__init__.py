"""One file a model: its hyperparameters, its equations, its state. No ids, no Beam."""
