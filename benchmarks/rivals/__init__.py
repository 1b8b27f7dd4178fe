"""The rivals, each as its own users would write it well, run in an environment of its own."""
