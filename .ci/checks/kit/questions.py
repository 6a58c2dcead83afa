"""The page of twelve questions: its queries, their results as tables, and a picture of each.

Run it as a program to renew tables and pictures after a query or the simulator changed. It needs a release build,
libfaketime, and matplotlib, which nothing else needs:

    pip install matplotlib==3.11.2
    cd .ci/checks && python -m kit.questions
"""

import hashlib
import json
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from kit import program
from kit.clock import MovedClock

PAGE = Path(__file__).parents[3] / "docs/guides/questions.md"
PICTURES = PAGE.parents[1] / "images/questions"
# A Monday: the weeks before it are over.
NOW = datetime(2026, 11, 16, 12, tzinfo=UTC)
# A heading, its text with one query, and the picture's kind and columns. What follows is generated.
QUESTION = re.compile(
    r"^## (\d+)\. ([^\n]*)\n((?:(?!^## ).)*?)^```sql\n(.*?)^```\n\n<!-- picture: ([^\n]*) -->\n((?:(?!^## ).)*)",
    re.MULTILINE | re.DOTALL,
)

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Question:
    """A question of the page."""

    number: int
    title: str
    query: str
    # The kind of picture, and the columns it shows.
    picture: list[str]
    # The generated part, as it is in the page.
    shown: str

    @property
    def file(self) -> Path:
        """Its picture."""
        return PICTURES / f"{self.number:02}.svg"

    def expected(self, rows: Rows) -> str:
        """The generated part for these rows."""
        lines = ["| " + " | ".join(name.replace("_", " ") for name in rows[0]) + " |"]
        lines.append("|" + "|".join("---:" if is_number(value) else "---" for value in rows[0].values()) + "|")
        lines += ["| " + " | ".join(text(value) for value in row.values()) + " |" for row in rows]
        picture = f"![{self.title} The figures are in the table below.](../images/questions/{self.file.name})"
        return f"\n{picture}\n\n" + "\n".join(lines) + "\n\n"

    def digest(self, rows: Rows) -> str:
        """What a picture is drawn from; each picture contains its own."""
        drawn = json.dumps([self.title, self.picture, rows], default=str)
        return hashlib.sha256(drawn.encode()).hexdigest()


def questions() -> list[Question]:
    """The questions of the page."""
    found = QUESTION.findall(PAGE.read_text())
    return [
        Question(int(number), title, query, picture.split(), shown) for number, title, _, query, picture, shown in found
    ]


def setup() -> str:
    """The statements before the first question."""
    [first, *_] = re.findall(r"^```sql\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(first)


@contextmanager
def demo(directory: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with the views of a demo at that time, and those of the page."""
    with MovedClock(directory, NOW) as clock:
        lake = directory / "demo-lake"
        program.run("demo", "--to", lake, cwd=directory, env=clock.environment, key=False).expect(program.COMPLETE)
    options = ["--set", f"destination.url={lake}", "ddl", "--target", "duckdb"]
    views = program.run(*options, cwd=directory, key=False).expect(program.COMPLETE).stdout
    with duckdb.connect() as connection:
        connection.execute(views)
        connection.execute(setup())
        yield connection


def result(connection: duckdb.DuckDBPyConnection, question: Question) -> Rows:
    """The rows of a question's query."""
    found = connection.execute(question.query)
    names = [column[0] for column in found.description or ()]
    return [
        {name: int(value) if is_whole(value) else value for name, value in zip(names, row)} for row in found.fetchall()
    ]


def is_number(value: Any) -> bool:
    """Whether a column is aligned to the right."""
    return isinstance(value, int | float)


def is_whole(value: Any) -> bool:
    """Sums of integers arrive as decimals."""
    return not isinstance(value, float | bool) and hasattr(value, "as_integer_ratio")


def text(value: Any) -> str:
    """A value as the page shows it."""
    if isinstance(value, list):
        return ", ".join(map(text, value))
    if isinstance(value, int):
        return f"{value:,}"
    return re.sub(r"([|<>*_`\\])", r"\\\1", str(value))


def draw(question: Question, rows: Rows) -> None:
    """Draws a picture that needs no colour: dashes and markers differ, and every line or bar carries its own label."""
    import matplotlib
    from matplotlib import pyplot

    # Text stays text: it is small, and readers can search it. The salt makes the same picture the same file.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "questions", "font.size": 10})
    # Readers' own fonts show the text.
    warnings.filterwarnings("ignore", "Glyph .* missing from font")
    kind, *columns = question.picture
    height = 3.2 if kind == "lines" else 0.9 + 0.34 * len(rows)
    figure, axes = pyplot.subplots(figsize=(7.6, height), layout="constrained")
    drawings: dict[str, Callable[..., None]] = {"lines": lines, "bars": bars, "pairs": pairs, "changes": changes}
    drawings[kind](axes, rows, *columns)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0)
    figure.savefig(question.file, metadata={"Date": None, "Description": question.digest(rows)})
    pyplot.close(figure)


def lines(axes: Any, rows: Rows, x: str, y: str, by: str) -> None:
    """A line for each member, labelled at its end."""
    moments = sorted({row[x] for row in rows})
    series = {
        member: [row[y] for row in rows if row[by] == member] for member in dict.fromkeys(row[by] for row in rows)
    }
    gap = max(row[y] for row in rows) / 14
    lowest = float("inf")
    for (member, values), style, marker in zip(series.items(), ["-", "--", "-.", ":"], "os^D", strict=False):
        axes.plot(values, style, marker=marker, color="#1d3557", linewidth=1.8)
        # Rows are in descending order: a label that is too near to the one above it moves down.
        lowest = min(values[-1], lowest - gap)
        axes.text(len(moments) - 0.93, lowest, f"{member} {percent(values[-1])}", va="center")
    axes.set_xticks(range(len(moments)), [f"{moment:%-d %b}" for moment in moments])
    axes.set_xlim(-0.1, len(moments) - 0.1)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda value, _: percent(value))
    axes.set_title(f"{y.replace('_', ' ')}, {x} from", loc="left", fontsize=10)


def bars(axes: Any, rows: Rows, label: str, value: str) -> None:
    """A bar for each row, labelled with its figure."""
    drawn = axes.barh(range(len(rows)), [row[value] for row in rows], color="#7a9cc6", height=0.66)
    axes.bar_label(drawn, [figure(row[value], value) for row in rows], padding=4)
    named(axes, rows, label, value.replace("_", " "))


def changes(axes: Any, rows: Rows, label: str, value: str) -> None:
    """A bar to the left or right of zero for each row."""
    drawn = axes.barh(range(len(rows)), [row[value] for row in rows], color="#7a9cc6", height=0.66)
    axes.bar_label(drawn, [f"{row[value]:+,}" if row[value] else "0" for row in rows], padding=4)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.margins(x=0.12)
    named(axes, rows, label, f"{value.replace('_', ' ')} against the week before")


def pairs(axes: Any, rows: Rows, label: str, one: str, other: str) -> None:
    """Two marks for each row, joined by a line: full and hollow."""
    for at, row in enumerate(rows):
        axes.plot([row[one], row[other]], [at, at], color="#7a9cc6", linewidth=2, zorder=1)
        is_left = row[one] < row[other]
        for column, left in ((one, is_left), (other, not is_left)):
            axes.annotate(
                figure(row[column], column),
                (row[column], at),
                va="center",
                ha="right" if left else "left",
                xytext=(-8 if left else 8, 0),
                textcoords="offset points",
            )
    axes.scatter([row[one] for row in rows], range(len(rows)), color="#1d3557", s=46, zorder=2)
    axes.scatter([row[other] for row in rows], range(len(rows)), facecolor="white", edgecolor="#1d3557", s=46, zorder=2)
    axes.margins(x=0.16)
    named(axes, rows, label, f"● {one.replace('_', ' ')}, ○ {other.replace('_', ' ')}")


def named(axes: Any, rows: Rows, label: str, title: str) -> None:
    """Names the rows by one column or several, the first at the top, and hides the scale: every mark has its figure."""
    axes.set_yticks(range(len(rows)), [": ".join(row[part] for part in label.split("+")) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_title(title, loc="left", fontsize=10)


def figure(value: float, column: str) -> str:
    """A label of a mark."""
    if column.endswith("percent"):
        return f"{value} %"
    return percent(value) if isinstance(value, float) else f"{value:,}"


def percent(share: float) -> str:
    """A share for people."""
    return f"{share:.0%}".replace("%", " %")


def main() -> None:
    """Renews the page and its pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page = PAGE.read_text()
    with tempfile.TemporaryDirectory() as directory, demo(Path(directory)) as connection:
        for question in questions():
            rows = result(connection, question)
            marker = f"<!-- picture: {' '.join(question.picture)} -->\n"
            written = f"{question.query}```\n\n{marker}"
            page = page.replace(written + question.shown, written + question.expected(rows))
            draw(question, rows)
    PAGE.write_text(page.rstrip() + "\n")


if __name__ == "__main__":
    main()
