//! Aligned tables without lines.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};

/// Spaces between two columns.
const GAP: u16 = 2;
/// A narrower last column is useless.
const MIN_LAST_WIDTH: usize = 20;
/// Before the lines of a cell that is below its row.
const INDENT: &str = "    ";

/// A table with these headings. A heading that starts with `>` aligns its column to the right, as for numbers.
pub fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    text(&aligned(headings, rows))
}

/// A table at most `width` wide: the last column wraps, or is below the others where these leave it no space.
pub fn wrapped(headings: &[&str], rows: Vec<Vec<String>>, width: Option<usize>) -> String {
    let mut table = aligned(headings, rows.clone());
    let left = width.map(|width| left_for_last(&widths(&table), width));
    if let Some(width) = width.filter(|_| left.is_some_and(|left| left < MIN_LAST_WIDTH)) {
        return rows.iter().map(|row| stacked(row, width)).collect();
    }
    let needed = widths(&table).last().copied().unwrap_or_default();
    if let Some(left) = left.filter(|left| *left < needed)
        && let Some(last) = table.column_iter_mut().last()
    {
        // Includes the gap after the column, although nothing is printed in it. An upper boundary would not count the gap.
        let width = Width::Fixed(u16::try_from(left).map_or(u16::MAX, |left| left.saturating_add(GAP)));
        last.set_constraint(ColumnConstraint::Absolute(width));
    }
    text(&table)
}

/// A row in lines: its last cell is indented below the others.
fn stacked(row: &[String], width: usize) -> String {
    let (last, others) = row.split_last().map_or(("", row), |(last, others)| (last.as_str(), others));
    let others: Vec<&str> = others.iter().map(String::as_str).filter(|cell| !cell.is_empty()).collect();
    let below = lines(last, width.saturating_sub(INDENT.len())).into_iter().map(|line| format!("{INDENT}{line}\n"));
    format!("{}\n{}", others.join("  "), below.collect::<String>())
}

/// A paragraph in lines of at most `width`.
pub fn paragraph(text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if text.chars().count() > width => lines(text, width).join("\n") + "\n",
        _ => format!("{text}\n"),
    }
}

/// The words of `text` in lines of at most `width`; a longer word has a line of its own.
fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A table at most `width` wide: the last column is truncated, and columns without space are omitted.
pub fn fitted(headings: &[&str], mut rows: Vec<Vec<String>>, width: Option<usize>) -> String {
    let Some(width) = width else { return table(headings, rows) };
    let widths = widths(&aligned(headings, rows.clone()));
    let left = |shown: usize| left_for_last(&widths[..shown], width);
    let is_useful = |shown: &usize| left(*shown) >= MIN_LAST_WIDTH.min(widths[*shown - 1]);
    let shown = (2..=widths.len()).rev().find(is_useful).unwrap_or(1);
    for row in &mut rows {
        row.truncate(shown);
        row.last_mut().into_iter().for_each(|cell| *cell = cut(cell, left(shown)));
    }
    table(&headings[..shown], rows)
}

fn aligned(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if !headings.is_empty() {
        table.set_header(headings.iter().map(|heading| heading.trim_start_matches('>')));
    }
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, GAP));
        if headings.get(index).is_some_and(|heading| heading.starts_with('>')) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn text(table: &Table) -> String {
    table.to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The widths of all columns, without the gaps between them.
fn widths(table: &Table) -> Vec<usize> {
    table.column_max_content_widths().into_iter().map(usize::from).collect()
}

/// What is left of `width` for the last of the columns.
fn left_for_last(widths: &[usize], width: usize) -> usize {
    let others: usize = widths.iter().rev().skip(1).map(|width| width + usize::from(GAP)).sum();
    width.saturating_sub(others)
}

/// At most `width` characters, the last an ellipsis if the text is truncated.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The width of the terminal; `None` where output goes elsewhere, so that nothing is cut.
pub fn terminal_width() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(std::io::stdout())?;
    Some(usize::from(width.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let row = |first: &str, last: &str| vec![first.to_owned(), last.to_owned()];
        vec![row("one", "a sentence that is rather long for a narrow terminal"), row("two", "short")]
    }

    #[test]
    fn last_column_wraps_when_it_is_too_long() {
        let shown = wrapped(&["name", "meaning"], rows(), Some(30));
        assert!(shown.lines().all(|line| line.chars().count() <= 30), "{shown}");
        assert!(shown.contains("\n      rather long for a narrow\n"), "{shown}");
        // Also if it is too long by less than the gap between columns.
        let longest =
            wrapped(&["name", "meaning"], rows(), None).lines().map(|line| line.chars().count()).max().unwrap();
        let shown = wrapped(&["name", "meaning"], rows(), Some(longest - 1));
        assert!(shown.lines().all(|line| line.chars().count() < longest), "{shown}");
        assert_eq!(wrapped(&["name", "meaning"], rows(), None).lines().count(), 3);
    }

    #[test]
    fn last_column_is_below_the_others_without_space() {
        let shown = wrapped(&["name", "meaning"], rows(), Some(22));
        assert_eq!(shown, "one\n    a sentence that is\n    rather long for a\n    narrow terminal\ntwo\n    short\n");
    }

    #[test]
    fn paragraph_is_broken_at_words() {
        assert_eq!(paragraph("one two three", Some(8)), "one two\nthree\n");
        assert_eq!(paragraph("a /very/long/path ends", Some(8)), "a\n/very/long/path\nends\n");
        assert_eq!(paragraph("one two three", None), "one two three\n");
    }

    #[test]
    fn last_column_is_truncated_or_omitted_without_space() {
        let shown = fitted(&["name", "meaning"], rows(), Some(30));
        assert!(shown.contains("one   a sentence that is rath…"), "{shown}");
        assert!(!fitted(&["name", "meaning"], rows(), Some(10)).contains("meaning"));
        assert!(fitted(&["name", "meaning"], rows(), None).contains("narrow terminal"));
    }
}
