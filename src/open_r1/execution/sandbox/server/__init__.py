"""The fork server of a sandbox worker, and what runs in its children.

Runs under `python -s -S -P` with nothing but the standard library, so these modules import nothing of the package but each
other. It is trusted but has no secret: its environment is empty, programs and inputs reach the child that runs them
as file descriptors, and no expected output ever comes here.
"""
