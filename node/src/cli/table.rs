//! `Table`: aligned columns of plain text.

use std::fmt;

/// Rows under a header; columns are as wide as their widest cell.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// A column: what stands above it, and on which side its cells are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    title: &'static str,
    is_right: bool,
}

/// A column of words.
pub(super) fn left(title: &'static str) -> Column {
    let is_right = false;
    Column { title, is_right }
}

/// A column of numbers.
pub(super) fn right(title: &'static str) -> Column {
    let is_right = true;
    Column { title, is_right }
}

const GAP: &str = "  ";

impl Table {
    /// An empty table with these columns.
    pub(super) fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Names and values, without a header.
    pub(super) fn of_facts() -> Self {
        Self::new(&[left(""), left("")])
    }

    /// Adds a row, with a cell for each column.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Adds a name and its value.
    pub(super) fn fact(&mut self, name: &str, value: impl Into<String>) {
        self.row([name.to_owned(), value.into()]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let titles: Vec<_> = self.columns.iter().map(|it| it.title.to_owned()).collect();
        let has_titles = titles.iter().any(|title| !title.is_empty());
        let width = |index: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(index));
            let cells = cells.chain(titles.get(index));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.columns.len()).map(width).collect();
        for row in has_titles.then_some(&titles).into_iter().chain(&self.rows) {
            let mut line = String::new();
            for ((cell, column), width) in row.iter().zip(&self.columns).zip(&widths) {
                let cell = if column.is_right {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                };
                if !line.is_empty() {
                    line.push_str(GAP);
                }
                line.push_str(&cell);
            }
            writeln!(formatter, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&[left("NAME"), right("TAGS"), left("STATE")]);
        table.row(["library/alpine".into(), "3".into(), String::new()]);
        table.row(["a".into(), "12345".into(), "being deleted".into()]);
        expect![[r#"
            NAME             TAGS  STATE
            library/alpine      3
            a               12345  being deleted
        "#]]
        .assert_eq(&table.to_string());
    }

    #[test]
    fn facts_have_no_header() {
        let mut table = Table::of_facts();
        table.fact("state", "running");
        table.fact("oldest object", "3 min");
        expect![[r#"
            state          running
            oldest object  3 min
        "#]]
        .assert_eq(&table.to_string());
    }

    #[test]
    fn a_table_without_rows_is_its_header() {
        assert_eq!(Table::new(&[left("ID")]).to_string(), "ID\n");
        assert_eq!(Table::of_facts().to_string(), "");
    }

    #[test]
    fn wide_letters_are_counted_as_letters() {
        let mut table = Table::new(&[left("A"), left("B")]);
        table.row(["\u{e9}\u{e9}".into(), "x".into()]);
        assert_eq!(table.to_string(), "A   B\n\u{e9}\u{e9}  x\n");
    }
}
