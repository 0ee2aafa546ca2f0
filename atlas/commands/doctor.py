"""`atlas doctor`: check the installation."""

import typer

from atlas.commands.options import out
from atlas.settings import Settings


def doctor() -> None:
    """Check this installation and print how to fix each problem.

    Run `atlas doctor` when another command fails for no clear reason. The exit code is 1 when a check fails.
    """
    from atlas.local.doctor import examine

    findings = examine(Settings.load())
    for finding in findings:
        out.print(f"[{'green' if finding.ok else 'red'}]{'ok ' if finding.ok else 'BAD'}[/] {finding.what}")
        if finding.next_step is not None:
            out.print(f"     → {finding.next_step}", markup=False)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
