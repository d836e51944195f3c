"""A run's records -> one HTML page that opens anywhere and needs no network: build_report(Path("runs/tiny")).

run_files reads, selection chooses what to show, charts lays lines out, wording puts numbers into words, page brings them
together; page.html.jinja and page.css are how it looks.
"""

from open_r1.report.page import build_report

__all__ = ["build_report"]
