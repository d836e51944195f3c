"""Pipelines: stages that declare what they need and make, run in order, skipped when done, resumed when killed."""

from open_r1.pipeline.graph import Selection
from open_r1.pipeline.recipe import Pipeline, read_pipeline
from open_r1.pipeline.runner import run_pipeline

__all__ = ["Pipeline", "Selection", "read_pipeline", "run_pipeline"]
