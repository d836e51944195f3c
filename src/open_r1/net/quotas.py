"""What one client may hold of something that all clients share, so that none of them starves the others."""

from __future__ import annotations

from collections import Counter


class Quota:
    """Counts what each client has taken. No client has more than `most` at a time.

    Args:
        most: Of whatever is counted: connections, requests, bytes.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._held: Counter[str] = Counter()

    def held(self, client: str) -> int:
        return self._held[client]

    def take(self, client: str, amount: int = 1) -> bool:
        """Count an amount as held by the client; False, and nothing counted, where that would be too much."""
        if self._held[client] + amount > self.most:
            return False
        self._held[client] += amount
        return True

    def give_back(self, client: str, amount: int = 1) -> None:
        """Count an amount as no longer held by the client, which held it."""
        self._held[client] -= amount
        if self._held[client] <= 0:
            del self._held[client]  # so that addresses that come once leave nothing behind
