//! A table that fits: what matters less makes room for what matters more.

use console::{Style, measure_text_width, truncate_str};

/// What a flexible column keeps at least.
const LEAST: usize = 14;
/// Between two columns.
const GAP: usize = 2;

/// A column.
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Whether its texts may be cut.
    pub(super) is_flexible: bool,
    /// Columns are left out from the highest number on; what has 0 stays.
    pub(super) leaves: u8,
}

/// What stands in a place.
pub(super) struct Cell {
    pub(super) text: String,
    /// Stands in for the text where there is little room.
    pub(super) short: Option<String>,
    pub(super) style: Style,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), short: None, style: Style::new() }
    }

    fn shown(&self, is_short: bool) -> &str {
        if is_short { self.short.as_deref().unwrap_or(&self.text) } else { &self.text }
    }
}

/// The lines of the table, none wider than `width`.
pub(super) fn lines(columns: &[Column], rows: &[Vec<Cell>], width: Option<usize>) -> Vec<String> {
    let layout = Layout::fit(columns, rows, width.unwrap_or(usize::MAX));
    let titles = columns.iter().map(|column| Cell { style: Style::new().dim(), ..Cell::new(column.title) }).collect();
    std::iter::once(&titles).chain(rows).map(|row| layout.line(row, width)).collect()
}

/// Which columns are shown, and how wide.
struct Layout {
    is_short: bool,
    /// `None` for those that are left out.
    widths: Vec<Option<usize>>,
}

impl Layout {
    /// The first that fits: with long texts, else with short ones, else with fewer and fewer columns.
    fn fit(columns: &[Column], rows: &[Vec<Cell>], width: usize) -> Self {
        let most = columns.iter().map(|column| column.leaves).max().unwrap_or(0);
        let tries = std::iter::once((false, most)).chain((0..=most).rev().map(|leaves| (true, leaves)));
        let mut narrowest = None;
        for (is_short, leaves) in tries {
            let layout = Self::natural(columns, rows, is_short, leaves);
            if let Some(layout) = layout.squeezed(columns, width) {
                return layout;
            }
            narrowest = Some(Self::natural(columns, rows, is_short, leaves));
        }
        narrowest.expect("there is at least one try")
    }

    fn natural(columns: &[Column], rows: &[Vec<Cell>], is_short: bool, leaves: u8) -> Self {
        let widest = |n: usize, column: &Column| {
            let cells = rows.iter().map(|row| measure_text_width(row[n].shown(is_short)));
            cells.chain([column.title.len()]).max().unwrap_or(0)
        };
        let widths = columns.iter().enumerate();
        let widths = widths.map(|(n, column)| (column.leaves <= leaves).then(|| widest(n, column))).collect();
        Self { is_short, widths }
    }

    /// With flexible columns made as narrow as need be; `None` if even that is too wide.
    fn squeezed(mut self, columns: &[Column], width: usize) -> Option<Self> {
        let shown = self.widths.iter().flatten().count();
        let total = |widths: &[Option<usize>]| widths.iter().flatten().sum::<usize>() + GAP * shown.saturating_sub(1);
        for (n, _) in columns.iter().enumerate().filter(|(_, column)| column.is_flexible) {
            let excess = total(&self.widths).saturating_sub(width);
            if let Some(width) = &mut self.widths[n] {
                *width = width.saturating_sub(excess).max(LEAST.min(*width));
            }
        }
        (total(&self.widths) <= width).then_some(self)
    }

    fn line(&self, row: &[Cell], limit: Option<usize>) -> String {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&self.widths) {
            let Some(width) = *width else { continue };
            let text = truncate_str(cell.shown(self.is_short), width, "…");
            let pad = " ".repeat(width.saturating_sub(measure_text_width(&text)) + GAP);
            line.push_str(&cell.style.apply_to(text).to_string());
            line.push_str(&pad);
        }
        let line = line.trim_end();
        limit.map_or_else(|| line.to_owned(), |limit| truncate_str(line, limit, "…").into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(width: Option<usize>) -> Vec<String> {
        let column = |title, is_flexible, leaves| Column { title, is_flexible, leaves };
        let columns =
            [column("job", false, 0), column("status", false, 0), column("what", true, 0), column("age", false, 1)];
        let row = |id: &str, what: &str| {
            let short = Some(id[id.len() - 4..].to_owned());
            vec![Cell { short, ..Cell::new(id) }, Cell::new("failed"), Cell::new(what), Cell::new("34 s ago")]
        };
        lines(
            &columns,
            &[row("0193-0001", "the render's container died"), row("0193-0002", "日本語の名前はここに")],
            width,
        )
    }

    #[test]
    fn a_wide_terminal_shows_everything_and_none_cuts_nothing() {
        for width in [None, Some(200), Some(56)] {
            assert_eq!(
                drawn(width),
                [
                    "job        status  what                         age",
                    "0193-0001  failed  the render's container died  34 s ago",
                    "0193-0002  failed  日本語の名前はここに         34 s ago",
                ],
                "{width:?}"
            );
        }
    }

    #[test]
    fn a_narrow_terminal_shows_what_matters_and_no_line_is_too_long() {
        assert_eq!(drawn(Some(50))[1], "0193-0001  failed  the render's contain…  34 s ago");
        assert_eq!(drawn(Some(42))[1], "0001  failed  the render's cont…  34 s ago");
        assert_eq!(drawn(Some(32))[1], "0001  failed  the render's cont…");
        for width in 1..80 {
            let lines = drawn(Some(width));
            assert_eq!(lines.len(), 3);
            assert!(lines.iter().all(|line| measure_text_width(line) <= width), "{width}: {lines:#?}");
        }
    }
}
