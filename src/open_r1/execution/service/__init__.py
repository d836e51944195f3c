"""The executor service: one queue over a provider that many trainers and nodes share, over HTTP."""
