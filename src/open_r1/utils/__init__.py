"""`open_r1.utils` of Open-R1: what its users import, where they import it from, each name found where this system has it.

    from open_r1.utils import get_dataset, get_model, get_tokenizer
    from open_r1.utils.callbacks import get_callbacks
    from open_r1.utils.wandb_logging import init_wandb_training

Nothing is defined here: `names` says where each name comes from, and loads it when it is used. New code imports from there.
"""

import sys
from types import ModuleType

from open_r1.utils.names import NAMES, names_of

for _module in filter(None, NAMES):  # open_r1.utils.callbacks and so on
    _found = ModuleType(f"{__name__}.{_module}", "See `open_r1.utils`.")
    _found.__dict__["__getattr__"], _found.__dict__["__all__"] = names_of(_found.__name__)
    globals()[_module] = sys.modules[_found.__name__] = _found

__getattr__, __all__ = names_of(__name__)  # pyright: ignore[reportUnsupportedDunderAll]
