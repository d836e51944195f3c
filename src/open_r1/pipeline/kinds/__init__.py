"""The kinds of stage: one module each, found by its being here. torch and TRL are imported inside `prepare` and `run`."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
