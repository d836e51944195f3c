"""Whether a submission passes its tests: run on a provider, and compared here. What that is worth, `rewards` say."""
