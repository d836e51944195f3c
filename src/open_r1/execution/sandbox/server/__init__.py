"""The fork server of a sandbox worker, and what runs in its children: the standard library and these modules alone.

It is trusted but has no secret: its environment is empty, programs and inputs reach the child that runs them as descriptors.
"""
