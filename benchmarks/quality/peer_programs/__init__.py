"""Outside recommenders, each as its own users would write it, run in environments of their own.

They answer the lines of `wire` and import nothing else of this project.
"""
