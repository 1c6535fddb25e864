//! Text in columns, three blanks apart, as wide as their widest cell.

use super::Paint;
use std::fmt::Write;

/// Rows to be laid out.
#[derive(Debug, Default)]
pub struct Columns {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
    widths: Vec<usize>,
    indent: usize,
}

/// What an empty cell shows.
const NOTHING: &str = "<none>";

impl Columns {
    /// Columns with these headings, shown in capitals.
    pub fn headed<S: AsRef<str>>(headings: impl IntoIterator<Item = S>) -> Self {
        let heading: Vec<String> = headings.into_iter().map(|h| h.as_ref().to_uppercase()).collect();
        let widths = heading.iter().map(|h| width(h)).collect();
        Self { heading, rows: Vec::new(), widths, indent: 0 }
    }

    /// Columns without headings.
    pub fn plain() -> Self {
        Self::default()
    }

    /// The same, so many blanks to the right.
    #[must_use]
    pub fn indented(mut self, indent: usize) -> Self {
        self.indent = indent;
        self
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        for (i, cell) in cells.iter().enumerate() {
            let width = width(cell).max(if cell.is_empty() { NOTHING.len() } else { 0 });
            match self.widths.get_mut(i) {
                Some(widest) => *widest = (*widest).max(width),
                None => self.widths.push(width),
            }
        }
        self.rows.push(cells);
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Lays out the heading and the rows.
    pub fn render(&self, coloured: bool) -> String {
        let line: usize = self.widths.iter().sum::<usize>() + 3 * self.widths.len() + self.indent + 1;
        let mut text = String::with_capacity(line * (self.rows.len() + 1));
        if !self.heading.is_empty() {
            self.line(&mut text, &self.heading, false);
        }
        for row in &self.rows {
            self.line(&mut text, row, coloured);
        }
        text
    }

    /// Lays out the rows and forgets them; the widths stay, so that further rows stand beneath these.
    pub fn flush(&mut self, coloured: bool, with_heading: bool) -> String {
        let heading = if with_heading { None } else { Some(std::mem::take(&mut self.heading)) };
        let text = self.render(coloured);
        if let Some(heading) = heading {
            self.heading = heading;
        }
        self.rows.clear();
        text
    }

    fn line(&self, text: &mut String, cells: &[String], coloured: bool) {
        let begin = text.len();
        let _ = write!(text, "{:1$}", "", self.indent);
        for (i, cell) in cells.iter().enumerate() {
            let shown = if cell.is_empty() { NOTHING } else { cell };
            match Paint::of_state(shown).filter(|_| coloured) {
                Some(paint) => text.push_str(&paint.apply(shown, true)),
                None => push_clean(text, shown),
            }
            if i + 1 < cells.len() {
                let gap = self.widths.get(i).copied().unwrap_or_default().saturating_sub(width(shown)) + 3;
                let _ = write!(text, "{:gap$}", "");
            }
        }
        let end = text[begin..].trim_end_matches(' ').len() + begin;
        text.truncate(end);
        text.push('\n');
    }
}

/// Cells come from objects that anybody may have written: what would move the cursor is not passed on.
fn push_clean(text: &mut String, cell: &str) {
    if cell.chars().any(char::is_control) {
        text.extend(cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }));
    } else {
        text.push_str(cell);
    }
}

/// Characters, which is what most terminals give one column each.
fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_beneath_each_other() {
        let mut columns = Columns::headed(["Name", "Phase", "Age"]);
        columns.row(vec!["a".into(), "Ready".into(), "3d".into()]);
        columns.row(vec!["größer".into(), String::new(), "4\x1b[2Jm".into()]);
        let expected = "NAME     PHASE    AGE\na        Ready    3d\ngrößer   <none>   4\u{fffd}[2Jm\n";
        assert_eq!(columns.render(false), expected);
        assert_eq!(columns.render(true), expected.replace("Ready", "\x1b[32mReady\x1b[0m"));
        assert_eq!(columns.flush(false, false).lines().count(), 2);
        columns.row(vec!["b".into(), "x".into(), "1s".into()]);
        assert_eq!(columns.flush(false, false), "b        x        1s\n");
    }
}
