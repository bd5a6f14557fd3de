"""The live table of `rung run` on a terminal, by rich: the study, its active trials, the last decisions.

It reads well from 80 columns on: a bar and the parameters take what is left. Drawn four times a second at most;
imported only once the first trials run, since rich takes longer to import than a trial to start.
"""

from __future__ import annotations

from collections import deque

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from rung.view import wording
from rung.view.events import events
from rung.view.shown import Look, Pace, Row, budget, leader, rows, summary

FRAME_SECONDS = 0.25  # faster than this nobody reads
DECISIONS = 6  # lines: what happened in the last seconds
TABLE_ROWS = 16  # active trials; more are counted in one line
BAR_WIDTH = 14
STYLES = {
    "succeeded": "green",
    "stopped": "yellow",
    "failed": "red",
    "infeasible": "magenta",
    "retry": "magenta",
    "started": "dim",
    "Running": "green",
    "Queued": "dim",
    "Ending": "yellow",
    "Waiting": "cyan",
    "Succeeded": "green",
    "Failed": "red",
    "Suspended": "yellow",
}


class LiveView:
    """A picture that is drawn over and over, and lines above it that stay."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console if console is not None else Console(highlight=False)
        self._live: Live | None = None
        self._decisions: deque[tuple[float, str, str]] = deque(maxlen=DECISIONS)
        self._pace: Pace | None = None
        self._drawn_at = 0.0
        self._last: Look | None = None

    def note(self, text: str) -> None:
        """One line above the picture."""
        self._console.print(Text(text, style="dim"))

    def look(self, look: Look) -> None:
        """Draw it, unless it was drawn a moment ago."""
        if self._pace is None:
            done, _ = wording.progress(look.plan, look.trials)
            self._pace = Pace(look.now, done)
        self._last = look
        elapsed = look.now - self._pace.started_at
        self._decisions.extend((elapsed, kind, text) for kind, text in events(look.plan, look.trials, look.decided))
        if look.now - self._drawn_at < FRAME_SECONDS:
            return
        self._drawn_at = look.now
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(self.picture(look), refresh=True)

    def close(self) -> None:
        """Take the picture away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def conclude(self) -> None:
        """The last word."""
        self.close()
        if self._last is not None and self._pace is not None:
            style = STYLES.get(self._last.verdict.state.value, "")
            for i, line in enumerate(summary(self._last, self._last.now - self._pace.started_at)):
                self._console.print(Text(line, style=f"bold {style}" if i == 0 else ""), soft_wrap=True)

    def picture(self, look: Look) -> RenderableType:
        """Everything, as wide as the console."""
        active = rows(look)
        parts: list[RenderableType] = [self._header(look), Text("")]
        if active:
            parts.append(self._table(look, active[:TABLE_ROWS]))
            if len(active) > TABLE_ROWS:
                parts.append(Text(f"  and {len(active) - TABLE_ROWS} more", style="dim"))
            parts.append(Text(""))
        if self._decisions:
            parts.append(Rule("last decisions", style="dim", align="left", characters="─"))
            parts.append(self._told())
        parts.append(Text(""))  # where a terminal echoes ^C: at the end of a full line it would begin a new one
        return Group(*parts)

    def _header(self, look: Look) -> RenderableType:
        plan, trials = look.plan, look.trials
        done, planned = wording.progress(plan, trials)
        state = "Interrupted" if look.interrupted else look.verdict.state.value
        line = Table.grid(padding=(0, 2), expand=True)
        line.add_column(no_wrap=True)
        line.add_column(no_wrap=True)
        line.add_column(ratio=1)
        line.add_column(no_wrap=True, justify="right")
        bar: RenderableType = ProgressBar(planned, done) if planned else Text("")
        line.add_row(
            Text(plan.study.metadata.name, style="bold"),
            Text(state, style=STYLES.get(state, "yellow")),
            bar,
            Text(f"{done}/{planned} trials" if planned is not None else f"{done} trials"),
        )
        facts = Table.grid(padding=(0, 2))
        facts.add_column(style="dim", no_wrap=True)
        facts.add_column(no_wrap=True, overflow="ellipsis")
        best, ahead = trials.incumbent, leader(look)
        if ahead is not None:
            goal = plan.measure.goals[0]
            value = wording.number(goal.figure.of(ahead))
            said = Text(f"{goal.figure.name} {value}", style="bold")
            said.append(f"  (trial {ahead.number}, still running)", style="not bold")
            facts.add_row("ahead", said)
            facts.add_row("", Text(wording.parameters(plan, ahead)))
        elif best is not None:
            said = Text(wording.objectives(plan, trials), style="bold")
            said.append(f"  (trial {best.number}){plan.remark(best)}", style="not bold")
            facts.add_row("best", said)
            facts.add_row("", Text(wording.parameters(plan, trials[best.number])))
        else:
            facts.add_row("best", Text("no result yet", style="dim"))
        facts.add_row("time", Text(self._time(look)))
        return Group(line, facts)

    def _time(self, look: Look) -> str:
        pace = self._pace if self._pace is not None else Pace(look.now, 0)
        left = pace.left(look)
        until = f", about {wording.time(left)} left" if left is not None else ""
        return f"{wording.time(look.now - pace.started_at)}{until} · {budget(look)}"

    def _table(self, look: Look, active: list[Row]) -> RenderableType:
        name = look.plan.measure.goals[0].figure.name
        table = Table(box=None, padding=(0, 2, 0, 0), expand=True, header_style="dim", pad_edge=False)
        table.add_column("trial", justify="right", no_wrap=True)
        table.add_column("state", no_wrap=True, width=7)
        table.add_column(look.plan.resource_name, no_wrap=True)
        table.add_column(name if len(name) <= 12 else name[:11] + "…", justify="right", no_wrap=True, min_width=6)
        table.add_column("rung", justify="right", no_wrap=True)
        table.add_column("time", justify="right", no_wrap=True)
        table.add_column("parameters", no_wrap=True, overflow="ellipsis", ratio=1)
        for row in active:
            table.add_row(
                str(row.number),
                Text(row.state, style=STYLES.get(row.state, "")),
                _steps(row),
                wording.number(row.objective),
                row.rung or "–",
                wording.time(row.seconds),
                Text(row.parameters, style="dim"),
            )
        return table

    def _told(self) -> RenderableType:
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(justify="right", style="dim", no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for elapsed, kind, text in self._decisions:
            table.add_row(wording.time(elapsed), Text(text, style=STYLES.get(kind, "")))
        return table


def _steps(row: Row) -> RenderableType:
    """A bar and 9/27 where the target is known, the step alone where it is not."""
    if row.target is None:
        return Text(wording.number(row.step))
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=BAR_WIDTH)
    grid.add_column(no_wrap=True, justify="right")
    width = len(str(row.target))
    grid.add_row(
        ProgressBar(row.target, row.step or 0, width=BAR_WIDTH),
        f"{wording.number(row.step or 0):>{width}}/{row.target}",
    )
    return grid
