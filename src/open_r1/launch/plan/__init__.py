"""What a training needs before it is loaded: memory by part, tokens, operations and hours.

open-r1 plan recipes/OpenR1-Distill-7B/sft/config_distill.yaml --gpus 8xH100-80GB --accelerator zero3
"""

from open_r1.launch.plan.planning import Machine, Plan, Training, plan, plan_training
from open_r1.launch.plan.stages import plan_pipeline, trainings_of

__all__ = ["Machine", "Plan", "Training", "plan", "plan_pipeline", "plan_training", "trainings_of"]
