"""A run's records -> one HTML page that opens anywhere and needs no network.

    from open_r1.report import build_report
    build_report(Path("runs/tiny"))  # -> runs/tiny/report.html

run_files reads, selection chooses what to show, charts lays lines and intervals out, wording puts numbers into
words, page brings them together and writes; page.html.jinja and page.css are how it looks.
"""

from open_r1.report.page import build_report

__all__ = ["build_report"]
