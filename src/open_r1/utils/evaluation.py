"""`open_r1.utils.evaluation` of Open-R1; see `open_r1.utils`."""

from open_r1.utils.names import names_of

__getattr__, __all__ = names_of(__name__)  # pyright: ignore[reportUnsupportedDunderAll]
