"""Untrusted programs: providers that run them, a judge outside that decides what the result means, contests on top."""
