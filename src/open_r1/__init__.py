"""Open R1: from a pile of problems to a reasoning model that can be trusted and served.

Importing the package costs nothing: torch, transformers and trl load only when a model is needed.
"""

__version__ = "0.1.0"
