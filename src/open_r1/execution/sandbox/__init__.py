"""This machine's own sandbox: a fork server that is locked down once and forks a child a job."""
