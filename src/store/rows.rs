//! Registry rows by what their resources are searched for.
//!
//! Pages go by the number of the row, which is never given twice: a row that comes or goes
//! during a walk moves no other.

use super::db::{Bound, bind};
use super::query::Condition;
use super::registry::{self, Stored};
use super::{Access, Result, Store, Table, Test, sql};
use crate::registry::List;

/// Which rows of a list are asked for.
#[derive(Debug, Clone)]
pub struct RowQuery {
    /// The list.
    pub list: &'static List,
    /// What holds for the rows.
    pub test: Test,
    /// Rows after this number.
    pub after: i64,
    /// Rows at most.
    pub limit: usize,
}

impl Store {
    /// The rows that a query asks for, at most `limit` of them.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database), [`Error::Damaged`](super::Error::Damaged).
    pub async fn rows(&self, _access: &Access, query: &RowQuery) -> Result<Vec<Stored>> {
        let condition = self.row_condition(query).await?;
        if condition.is_never() || query.limit == 0 {
            return Ok(Vec::new());
        }
        let rest = format!("WHERE {} ORDER BY id LIMIT {}", condition.sql, query.limit);
        let text = registry::select(query.list, &rest);
        let rows = bind(&text, &condition.bound).fetch_all(&self.read).await?;
        rows.iter()
            .map(|row| registry::read(query.list, row))
            .collect()
    }

    /// How many rows a query matches, whatever its limit and place.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database).
    pub async fn row_count(&self, _access: &Access, query: &RowQuery) -> Result<u64> {
        let all = RowQuery {
            after: 0,
            ..query.clone()
        };
        let condition = self.row_condition(&all).await?;
        if condition.is_never() {
            return Ok(0);
        }
        let text = format!(
            "SELECT count(*) FROM {} WHERE {}",
            query.list.table, condition.sql
        );
        let row = bind(&text, &condition.bound).fetch_one(&self.read).await?;
        Ok(row.try_get::<i64>(0)? as u64)
    }

    async fn row_condition(&self, query: &RowQuery) -> Result<Condition> {
        let table = Table::List(query.list);
        let mut condition = self
            .condition_on(&query.test, table, query.list.table)
            .await?;
        condition.and(
            &format!("{}.id > ?", query.list.table),
            &[query.after.into()],
        );
        Ok(condition)
    }

    /// A column of the rows of a list with these keys (of one field), where it has a value:
    /// (key, value).
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database).
    pub async fn registered(
        &self,
        list: &'static List,
        column: &str,
        keys: &[&str],
    ) -> Result<Vec<(String, String)>> {
        let (Some(key), Some(column)) = (list.key().last(), list.field(column)) else {
            return Ok(Vec::new());
        };
        let mut out = Vec::new();
        for chunk in sql::chunks(keys) {
            let text = format!(
                "SELECT {}, {} FROM {} WHERE {} IN ({})",
                key.name,
                column.name,
                list.table,
                key.name,
                sql::list(chunk.len())
            );
            let bound: Vec<Bound> = chunk.iter().map(|&key| key.into()).collect();
            for row in bind(&text, &bound).fetch_all(&self.read).await? {
                if let Some(value) = row.try_get::<Option<String>>(1)? {
                    out.push((row.try_get(0)?, value));
                }
            }
        }
        Ok(out)
    }
}
