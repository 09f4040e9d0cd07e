"""A bar for each file that is being downloaded, on a terminal's standard error."""

import sys

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cnncli.report.terminal.console import console_on
from cnncli.training.events import Download


class Downloading:
    """Shows downloads until it is closed."""

    def __init__(self) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
        self.shown = Progress(*columns, console=console_on(sys.stderr), transient=True)
        self.tasks: dict[str, TaskID] = {}
        self.shown.start()

    def show(self, event: Download) -> None:
        """Show how much of a file has come."""
        if event.file not in self.tasks:
            self.tasks[event.file] = self.shown.add_task(event.file, total=event.size)
        self.shown.update(self.tasks[event.file], completed=event.received)

    def close(self) -> None:
        """Remove the bars."""
        self.shown.stop()
