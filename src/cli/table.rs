//! Aligned tables without lines.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// A table with these headings. A heading that starts with `>` aligns its column to the right, as for numbers.
pub fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if !headings.is_empty() {
        table.set_header(headings.iter().map(|heading| heading.trim_start_matches('>')));
    }
    table.add_rows(rows);
    for index in 0..table.column_count() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2));
            if headings.get(index).is_some_and(|heading| heading.starts_with('>')) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table.to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A table at most `width` wide: the last column wraps.
pub fn wrapped(headings: &[&str], rows: Vec<Vec<String>>, width: Option<usize>) -> String {
    let others = widths(headings, &rows).iter().rev().skip(1).map(|width| width + GAP).sum::<usize>();
    let Some(left) = width.and_then(|width| width.checked_sub(others)).filter(|left| MIN_LAST_WIDTH <= *left) else {
        return table(headings, rows);
    };
    let mut lines = Vec::new();
    for row in rows {
        let Some((last, first)) = row.split_last() else {
            continue;
        };
        for (index, piece) in lines_of(last, left).into_iter().enumerate() {
            let lead = first.iter().map(|cell| if index == 0 { cell.clone() } else { String::new() });
            lines.push(lead.chain([piece]).collect());
        }
    }
    table(headings, lines)
}

/// A table at most `width` wide: the last column is truncated, and columns without space are omitted.
pub fn fitted(headings: &[&str], mut rows: Vec<Vec<String>>, width: Option<usize>) -> String {
    let mut headings = headings.to_vec();
    if let Some(width) = width {
        loop {
            let widths = widths(&headings, &rows);
            let others: usize = widths.iter().rev().skip(1).map(|width| width + GAP).sum();
            let last = widths.last().copied().unwrap_or_default();
            let left = width.saturating_sub(others);
            if left < MIN_LAST_WIDTH.min(last) && headings.len() > 1 {
                headings.pop();
                rows.iter_mut().for_each(|row| row.truncate(headings.len()));
                continue;
            }
            rows.iter_mut().filter_map(|row| row.last_mut()).for_each(|cell| *cell = cut(cell, left));
            break;
        }
    }
    table(&headings, rows)
}

/// Spaces between two columns.
const GAP: usize = 2;
/// A narrower last column is useless.
const MIN_LAST_WIDTH: usize = 20;

fn widths(headings: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(headings.len());
    let of = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
        cells.chain(headings.get(index).map(|heading| heading.chars().count())).max().unwrap_or_default()
    };
    (0..count).map(of).collect()
}

/// At most `width` characters, the last an ellipsis if the text is truncated.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// `text` in lines of at most `width` characters, broken at spaces if possible.
fn lines_of(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        let used = lines.last().map_or(0, |line| line.chars().count());
        if used > 0 && used + 1 + word.len() > width {
            lines.push(String::new());
        } else if used > 0 {
            lines.last_mut().into_iter().for_each(|line| line.push(' '));
        }
        while word.len() > width {
            let rest = word.split_off(width);
            lines.last_mut().into_iter().for_each(|line| line.extend(&word));
            lines.push(String::new());
            word = rest;
        }
        lines.last_mut().into_iter().for_each(|line| line.extend(&word));
    }
    lines
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
        assert_eq!(wrapped(&["name", "meaning"], rows(), None).lines().count(), 3);
    }

    #[test]
    fn last_column_is_truncated_or_omitted_without_space() {
        let shown = fitted(&["name", "meaning"], rows(), Some(30));
        assert!(shown.contains("one   a sentence that is rath…"), "{shown}");
        assert!(!fitted(&["name", "meaning"], rows(), Some(10)).contains("meaning"));
        assert!(fitted(&["name", "meaning"], rows(), None).contains("narrow terminal"));
    }
}
