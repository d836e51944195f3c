"""Slurm's commands as small scripts: what they were asked, and answers that a test chooses."""

from __future__ import annotations

from pathlib import Path


class FakeSlurm:
    """A folder of programs for PATH. Each appends its words to `asked`, and answers with a text, an error or a status."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, folder / "asked"
        folder.mkdir(exist_ok=True)

    def answer(self, program: str, out: str = "", error: str = "", status: int = 0) -> None:
        path = self.folder / program
        (self.folder / f"{program}.out").write_text(out)
        (self.folder / f"{program}.err").write_text(error)
        lines = [
            "#!/bin/bash",
            f'echo "{program} $*" >>{self.asked}',
            f'echo "$OPEN_R1_SITE" >{path}.site',
            f"cat {path}.out",
            f"cat {path}.err >&2",
            f"exit {status}",
        ]
        path.write_text("\n".join([*lines, ""]))
        path.chmod(0o755)

    def words(self) -> list[str]:
        """One line a command, in the order that they came."""
        return self.asked.read_text().splitlines() if self.asked.exists() else []
