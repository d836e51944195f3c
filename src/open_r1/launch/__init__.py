"""From a recipe to processes on machines: what a run needs, how it is started, and how Slurm runs it.

Nothing here imports torch. Training itself is `open_r1.training`, which these modules start as processes.
"""
