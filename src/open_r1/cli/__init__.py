"""`open-r1 <verb>`: one file a verb, found by `main.py`. `--help` imports nothing heavy."""
