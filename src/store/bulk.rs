//! Many rows of numbers in one statement.
//!
//! SQLite takes them as `VALUES` with a placeholder a value, PostgreSQL as one array a
//! column, which costs it a fraction of thousands of placeholders.

use std::fmt::Write as _;

/// Where the rows of a statement stand in its text: `INSERT INTO t (…) {ROWS}`, or
/// `SELECT … FROM ({ROWS}) AS v` with the columns `column1`, `column2`, …
pub const ROWS: &str = "@rows";

/// What a column of the rows holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Each {
    /// A value for each row.
    Own,
    /// The same for all of them.
    Same(i64),
}

/// Rows to be bound in the place of [`ROWS`].
#[derive(Debug)]
pub struct Rows {
    columns: Vec<Each>,
    cells: Vec<Option<i64>>,
}

impl Rows {
    /// No rows yet.
    pub fn of(columns: Vec<Each>) -> Rows {
        Rows {
            columns,
            cells: Vec::new(),
        }
    }

    /// The values of the next row, or some of them: of the columns that have their own.
    pub fn extend<T: Into<Option<i64>>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.cells.extend(cells.into_iter().map(T::into));
    }

    fn own(&self) -> usize {
        self.columns.iter().filter(|c| **c == Each::Own).count()
    }

    /// As `VALUES`, for SQLite; the values are bound row by row.
    pub fn as_values(&self) -> String {
        let mut one = String::from("(");
        for (n, column) in self.columns.iter().enumerate() {
            let comma = if n > 0 { ", " } else { "" };
            let _ = match column {
                Each::Own => write!(one, "{comma}?"),
                Each::Same(value) => write!(one, "{comma}{value}"),
            };
        }
        one.push(')');
        let rows = self.cells.len() / self.own().max(1);
        let mut out = String::with_capacity(8 + rows * (one.len() + 2));
        out.push_str("VALUES ");
        for row in 0..rows {
            out.push_str(if row > 0 { ", " } else { "" });
            out.push_str(&one);
        }
        out
    }

    /// As arrays, for PostgreSQL: first those of the columns in their order, then what is
    /// the same for all rows. The text does not depend on how many there are.
    pub fn as_arrays(&self) -> String {
        let (mut own, mut same) = (0, self.own());
        let (mut select, mut arrays, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (n, column) in self.columns.iter().enumerate() {
            let value = match column {
                Each::Own => {
                    own += 1;
                    arrays.push(format!("${own}::int8[]"));
                    names.push(format!("n{own}"));
                    format!("n{own}")
                }
                Each::Same(_) => {
                    same += 1;
                    format!("${same}::int8")
                }
            };
            select.push(format!("{value} AS column{}", n + 1));
        }
        let [select, arrays, names] = [select, arrays, names].map(|parts| parts.join(", "));
        format!("SELECT {select} FROM unnest({arrays}) AS given ({names})")
    }

    /// The values, row by row.
    pub fn cells(self) -> Vec<Option<i64>> {
        self.cells
    }

    /// The values, column by column, and those that are the same for all rows.
    pub fn arrays(&self) -> (Vec<Vec<Option<i64>>>, Vec<i64>) {
        let width = self.own();
        let column = |n: usize| self.cells.iter().skip(n).step_by(width).copied().collect();
        let same = self.columns.iter().filter_map(|column| match column {
            Each::Own => None,
            Each::Same(value) => Some(*value),
        });
        ((0..width).map(column).collect(), same.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_values_or_arrays() {
        let mut rows = Rows::of(vec![Each::Own, Each::Same(7), Each::Own]);
        rows.extend([1, 2]);
        rows.extend([Some(3), None]);
        assert_eq!(rows.as_values(), "VALUES (?, 7, ?), (?, 7, ?)");
        assert_eq!(
            rows.as_arrays(),
            "SELECT n1 AS column1, $3::int8 AS column2, n2 AS column3 \
             FROM unnest($1::int8[], $2::int8[]) AS given (n1, n2)"
        );
        let columns = vec![vec![Some(1), Some(3)], vec![Some(2), None]];
        assert_eq!(rows.arrays(), (columns, vec![7]));
        assert_eq!(rows.cells(), [Some(1), Some(2), Some(3), None]);
    }
}
