"""Contest problems: the IOI's subtasks and graders, Codeforces' tests and checkers."""
