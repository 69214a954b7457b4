//! How many records there are: of each kind, and of each value of its indexed numbers.
//!
//! Counting rows costs what there is to count. These few numbers are kept by the
//! transactions that write records, so that "how many HbA1c of 6.5 and more" is a sum over
//! some hundred rows, however many records there are.

use std::collections::BTreeMap;

use super::db::{Bound, Transaction, query};
use super::layout::KindLayout;
use super::{Result, among, sql};

/// The column number under which all records of a kind are counted.
const ALL: i64 = 0;

/// What a transaction changes, by kind, column number and value.
#[derive(Debug, Default)]
pub struct Changes(BTreeMap<(i64, i64, i64), i64>);

impl Changes {
    /// So many records of a kind more, or fewer.
    pub fn records(&mut self, layout: &KindLayout, number: i64) {
        *self.0.entry((layout.id, ALL, 0)).or_default() += number;
    }

    /// So many with this number in a column more, or fewer; `raw` is as the store keeps it.
    fn value(&mut self, layout: &KindLayout, column: usize, raw: i64, number: i64) {
        let key = (layout.id, column as i64 + 1, raw >> 3);
        *self.0.entry(key).or_default() += number;
    }

    /// The numbers of a stored record's numbered columns more, or fewer.
    pub fn values(&mut self, layout: &KindLayout, columns: &[Option<i64>], number: i64) {
        for &column in &layout.tallied {
            if let Some(raw) = columns.get(column).copied().flatten() {
                self.value(layout, column, raw, number);
            }
        }
    }

    /// Writes the changes. They come in the order of the key, so that two writers never wait
    /// for each other.
    pub async fn write(self, tx: &mut Transaction) -> Result<()> {
        let changes = self.0.into_iter().filter(|(_, number)| *number != 0);
        let changes: Vec<_> = changes.collect();
        for chunk in sql::chunks(&changes) {
            let text = format!(
                "INSERT INTO tally (kind, column_number, value, records) VALUES {} \
                 ON CONFLICT (kind, column_number, value) \
                 DO UPDATE SET records = tally.records + excluded.records",
                sql::values(chunk.len(), 4)
            );
            let mut statement = query(text);
            for ((kind, column, value), number) in chunk {
                statement.extend([kind, column, value, number]);
            }
            statement.execute(&mut *tx).await?;
        }
        Ok(())
    }
}

/// Counts the numbers of columns that were not counted before; the columns, from 0, that are
/// counted now. A column stays counted whichever mapping asked for it, since a program that
/// did not count it would leave wrong numbers to one that reads them.
pub async fn register(tx: &mut Transaction, kind: i64, columns: &[usize]) -> Result<Vec<usize>> {
    let fields = query(
        "SELECT column_number, tallied FROM kind_field WHERE kind = ? ORDER BY column_number",
    );
    let mut tallied = Vec::new();
    for row in fields.bind(kind).fetch_all(&mut *tx).await? {
        let (number, is_tallied): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let column = number as usize - 1;
        if is_tallied == 0 {
            if !columns.contains(&column) {
                continue;
            }
            count(tx, kind, number).await?;
        }
        tallied.push(column);
    }
    Ok(tallied)
}

/// Counts the numbers of a column, from now on too.
async fn count(tx: &mut Transaction, kind: i64, number: i64) -> Result<()> {
    for text in [
        format!("DELETE FROM tally WHERE kind = {kind} AND column_number = {number}"),
        format!(
            "INSERT INTO tally (kind, column_number, value, records) \
             SELECT {kind}, {number}, c{number} >> 3, count(*) FROM record \
             WHERE kind = {kind} AND state <> 2 AND c{number} IS NOT NULL \
             GROUP BY c{number} >> 3"
        ),
        format!(
            "UPDATE kind_field SET tallied = 1 WHERE kind = {kind} AND column_number = {number}"
        ),
    ] {
        query(text).execute(&mut *tx).await?;
    }
    Ok(())
}

/// The select of how many records of a kind there are, or of those with a number of a column
/// in all of these sets of ranges (both ends included).
pub fn select(
    layout: &KindLayout,
    column: Option<usize>,
    ranges: &[&[(i64, i64)]],
) -> (String, Vec<Bound>) {
    let number = column.map_or(ALL, |column| column as i64 + 1);
    let mut text = format!(
        "SELECT CAST(coalesce(sum(records), 0) AS BIGINT) FROM tally \
         WHERE kind = {} AND column_number = {number}",
        layout.id
    );
    let mut bound = Vec::new();
    for ranges in ranges {
        let ranges = among::merged(ranges);
        if ranges.len() > among::FEW {
            let any = among::ranges("value", &ranges);
            text.push_str(&format!(" AND {}", any.sql));
            bound.extend(any.bound);
            continue;
        }
        let each: Vec<&str> = ranges.iter().map(|_| "value BETWEEN ? AND ?").collect();
        let any = if each.is_empty() {
            "1 = 0".into()
        } else {
            each.join(" OR ")
        };
        text.push_str(&format!(" AND ({any})"));
        bound.extend(
            ranges
                .iter()
                .flat_map(|(lo, hi)| [*lo, *hi])
                .map(Bound::Int),
        );
    }
    (text, bound)
}
