"""Programming contests: IOI subtasks and Codeforces problems, judged on any provider, from the published columns.

rows.py        reading a row: numbers, names, tests; what is wrong with it, in words
case_files.py  tests in Parquet or JSON lines, and the Hub, read piece by piece
file_mode.py   programs that read input.txt and write output.txt
ioi.py         subtasks, graders, statuses, points
codeforces.py  official and generated tests, limits, scoring modes
"""
