//! Names that stand folded beside themselves, so that a string search is a range of an index.

use super::Result;
use super::db::{Transaction, query};
use crate::fold::fold;

/// Table, column, and the column with its folded text.
const FOLDED: [(&str, &str, &str); 5] = [
    ("consortium", "consortium_name", "folded"),
    ("laboratory", "test_lab_name", "folded"),
    ("device_model", "device_name", "folded"),
    (
        "seen_model",
        "model_manufacturer_code",
        "manufacturer_folded",
    ),
    ("seen_model", "model_number", "number_folded"),
];

/// The column of a registry table whose text stands folded in its column `folded`.
pub(super) fn column(table: &str) -> Option<&'static str> {
    let mut own = FOLDED
        .iter()
        .filter(|(of, _, folded)| *of == table && *folded == "folded");
    own.next().map(|(_, column, _)| *column)
}

/// Folds what a version of this program stored that did not fold.
pub(super) async fn complete(tx: &mut Transaction) -> Result<()> {
    for (table, column, folded) in FOLDED {
        let text = format!(
            "SELECT id, {column} FROM {table} WHERE {folded} IS NULL AND {column} IS NOT NULL"
        );
        for row in query(text).fetch_all(&mut *tx).await? {
            let name: String = row.try_get(1)?;
            query(format!("UPDATE {table} SET {folded} = ? WHERE id = ?"))
                .bind(fold(&name))
                .bind(row.try_get::<i64>(0)?)
                .execute(&mut *tx)
                .await?;
        }
    }
    Ok(())
}
