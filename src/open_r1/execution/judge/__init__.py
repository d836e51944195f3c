"""The judge: whether a submission passes its tests.

Does: run a submission's tests on a provider and compare the outputs. Does not: run programs itself (`sandbox`,
`providers`), or say what a verdict is worth (`rewards`).
"""
