"""The executor service, running in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from open_r1.execution.programs import Provider
from open_r1.execution.sandbox.toolchains import TOOLCHAINS
from open_r1.execution.service.server import ExecutorServer
from open_r1.execution.service.settings import ServiceSettings
from open_r1.net.http_server import bind


@contextmanager
def serving(provider: Provider, token: str = "") -> Iterator[str]:
    """The address of a service over `provider`."""
    settings = ServiceSettings(port=0, token=token)
    socket = bind(settings.host, settings.port)
    is_ready = threading.Event()
    languages = {name: "1.0.0" for name, toolchain in TOOLCHAINS.items() if not toolchain.missing()}
    server = ExecutorServer(provider, settings, languages, is_ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    assert is_ready.wait(30)
    yield f"127.0.0.1:{socket.getsockname()[1]}"
    server.stop()
    thread.join(30)
