"""The kinds of stage: one module each, found by its being here.

A kind is a frozen dataclass that extends `Stage`: it reads the folders of the stages that it names, calls one area, and
writes into its own folder. torch and TRL are imported inside `prepare` and `run`, so that reading a pipeline stays light.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
