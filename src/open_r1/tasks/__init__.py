"""Procedural problems with worked traces.

Does: draw problems of a family at a difficulty, deterministically, from disjoint train and held-out splits; write
their solutions as R1 traces in several styles. Does not: load data sets (`data`) or score answers (`rewards`).
"""

from open_r1.tasks.base import STYLES, Family, draw_problems, families, get_family, split_of, write_trace

__all__ = ["STYLES", "Family", "draw_problems", "families", "get_family", "split_of", "write_trace"]
