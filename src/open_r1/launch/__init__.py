"""Before and around a training: what it needs, and how it is started on one machine or many. Without torch."""
