"""The network: addresses, the HTTP client, retries and the choice of a server, what an error's body says.

addresses    a server's address: parsed, printed, loopback or public
client       the HTTP client (aiohttp), and its synchronous face
retry        back-off, Retry-After, the cool-down of a failing server, what a status means
servers      which of several servers gets the next request
replies      what the body of an error says
"""
