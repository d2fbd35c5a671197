//! Tables for people, and text that is safe on a terminal.

use std::fmt;

/// Columns under a heading, aligned by characters.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Debug)]
struct Column {
    name: &'static str,
    right: bool,
}

impl Table {
    /// An empty table; a column whose name begins with `>` is aligned to the right.
    pub(crate) fn new(columns: &[&'static str]) -> Self {
        let column = |name: &&'static str| match name.strip_prefix('>') {
            Some(name) => Column { name, right: true },
            None => Column { name, right: false },
        };
        Self { columns: columns.iter().map(column).collect(), rows: Vec::new() }
    }

    /// One more row; its cells are made safe. Cells missing at the end are empty.
    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(|cell| safe(cell.as_ref())).collect());
    }
}

impl fmt::Display for Table {
    /// Without a line's end after the last row.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |at: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
            cells.chain([self.columns[at].name.chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.columns.len()).map(width).collect();
        let heading: Vec<_> = self.columns.iter().map(|column| column.name.to_owned()).collect();
        for (number, row) in std::iter::once(&heading).filter(|row| row.iter().any(|name| !name.is_empty())).chain(&self.rows).enumerate() {
            let mut line = String::new();
            for ((column, width), cell) in self.columns.iter().zip(&widths).zip(row) {
                let gap = " ".repeat(width - cell.chars().count());
                let (before, after) = if column.right { (gap.as_str(), "") } else { ("", gap.as_str()) };
                line.extend([before, cell, after, "  "]);
            }
            let end = if number == 0 { "" } else { "\n" };
            write!(f, "{end}{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// `text` with everything escaped that would steer a terminal: control characters and changes of the writing direction.
pub(crate) fn safe(text: &str) -> String {
    let steers =
        |c: char| c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}

/// At most `most` characters of `text`, the last one `…` where some are left out.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// `number` with a comma before every three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let mut table = Table::new(&["id", ">distance", "type"]);
        table.row(["é", "0.5", "package"]);
        table.row(["a long one", "12.25"]);
        assert_eq!(table.to_string(), "id          distance  type\né                0.5  package\na long one     12.25");
        let mut bare = Table::new(&["", ">"]);
        bare.row(["nouns", "7"]);
        assert_eq!(bare.to_string(), "nouns  7");
    }

    #[test]
    fn nothing_from_a_store_steers_the_terminal() {
        let mut table = Table::new(&["id"]);
        table.row(["a\u{1b}[2J\nb\u{202e}"]);
        assert_eq!(table.to_string(), "id\na\\u{1b}[2J\\nb\\u{202e}");
        assert_eq!(safe("../../x é e\u{301} 漢"), "../../x é e\u{301} 漢");
    }

    #[test]
    fn long_texts_are_cut_at_characters_and_numbers_are_grouped() {
        assert_eq!(shorten("ééé", 3), "ééé");
        assert_eq!(shorten("éééé", 3), "éé…");
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (27_467, "27,467"), (u64::MAX, "18,446,744,073,709,551,615")] {
            assert_eq!(grouped(number), text);
        }
    }
}
