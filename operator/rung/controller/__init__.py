"""The cluster as a body: lists, observes, decides, applies, and writes one status. `main` is the process around it."""
