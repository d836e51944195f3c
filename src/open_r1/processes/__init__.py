"""Processes of our own code: which of a launch this one is, how many cores it may use, and a pool of workers."""
