"""One protocol for everything that completes prompts; see `protocol.py`."""

from open_r1.generation.protocol import Completer, Generator, Message, Prompt, Reply, RequestFailed, Sampling
from open_r1.net.servers import EndpointsGone

__all__ = [
    "Completer",
    "EndpointsGone",
    "Generator",
    "Message",
    "Prompt",
    "Reply",
    "RequestFailed",
    "Sampling",
]
