"""Who runs programs: `get_provider(name)` gives the one that a recipe names, shared by all who ask for the same."""
