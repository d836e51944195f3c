"""The network: addresses, the HTTP client and server, retries, the choice of a server, what an error's body says."""
