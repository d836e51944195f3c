"""Answers: what a completion answers, and whether that is the gold answer.

Used by rewards, verification, pass rates and evaluation, so that one answer has one verdict everywhere. Does not: give a
score (`rewards`), or run programs (`execution`).
"""
