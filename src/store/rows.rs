//! Registry rows by what their resources are searched for.
//!
//! Pages go by the number of the row, which is never given twice: a row that comes or goes
//! during a walk moves no other.

use super::db::{Bound, bind};
use super::query::Condition;
use super::registry::{self, Stored};
use super::{Access, Result, Store, sql};
use crate::fhir::id::Hash96;
use crate::registry::{List, PARTICIPANTS};

/// A test of a registry row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowTest {
    /// The row whose resources carry this hash in their ids.
    Hash(Hash96),
    /// These fields have these values; with none, every row.
    Fields(Vec<(&'static str, String)>),
    /// It has an identifier that others gave.
    External {
        /// Of this system, or of any.
        system: Option<String>,
        /// With this value, or any.
        value: Option<String>,
    },
    /// Last updated in this range of milliseconds (from included, until not).
    Updated(i64, i64),
}

/// Which rows of a list are asked for.
#[derive(Debug, Clone)]
pub struct RowQuery {
    /// The list.
    pub list: &'static List,
    /// Of each group of tests, one holds.
    pub all: Vec<Vec<RowTest>>,
    /// Rows after this number.
    pub after: i64,
    /// Rows at most.
    pub limit: usize,
}

/// Adds tests of a row of `list`, any of which may hold. `updated` is when it was.
pub(super) fn and_any(condition: &mut Condition, list: &List, updated: &str, tests: &[RowTest]) {
    let mut parts = Vec::new();
    let mut bound: Vec<Bound> = Vec::new();
    let hashes = tests.iter().filter_map(|test| match test {
        RowTest::Hash(hash) => Some(Bound::from(hash)),
        _ => None,
    });
    bound.extend(hashes);
    if !bound.is_empty() {
        parts.push(format!("hash IN ({})", sql::list(bound.len())));
    }
    for test in tests {
        match test {
            RowTest::Hash(_) => {}
            RowTest::Fields(fields) => {
                let mut part = Condition::default();
                for (name, value) in fields {
                    match list.field(name) {
                        Some(field) => {
                            part.and(&format!("{} = ?", field.name), &[value.as_str().into()])
                        }
                        None => part = Condition::never(),
                    }
                }
                parts.push(if part.sql.is_empty() {
                    "1 = 1".into()
                } else {
                    part.sql
                });
                bound.extend(part.bound);
            }
            RowTest::External { system, value } => {
                let mut part = Condition::default();
                part.and("list = ?", &[list.table.into()]);
                for (column, asked) in [("system", system), ("value", value)] {
                    if let Some(asked) = asked {
                        part.and(&format!("{column} = ?"), &[asked.as_str().into()]);
                    }
                }
                parts.push(format!(
                    "id IN (SELECT owner FROM external_identifier WHERE {})",
                    part.sql
                ));
                bound.extend(part.bound);
            }
            RowTest::Updated(from, until) => {
                parts.push(format!("{updated} >= ? AND {updated} < ?"));
                bound.extend([Bound::Int(*from), Bound::Int(*until)]);
            }
        }
    }
    if parts.is_empty() {
        *condition = Condition::never();
        return;
    }
    condition.and(&format!("(({}))", parts.join(") OR (")), &bound);
}

/// Adds to the condition of a record what must hold for its participant.
pub(super) fn and_participant(condition: &mut Condition, tests: &[RowTest]) {
    let mut of_row = Condition::default();
    and_any(&mut of_row, &PARTICIPANTS, "updated_at", tests);
    condition.and(
        &format!(
            "r.participant IN (SELECT id FROM participant WHERE {})",
            of_row.sql
        ),
        &of_row.bound,
    );
}

fn condition(query: &RowQuery) -> Condition {
    let mut condition = Condition::default();
    condition.and("id > ?", &[query.after.into()]);
    for tests in &query.all {
        and_any(&mut condition, query.list, "updated_at", tests);
        if condition.is_never() {
            break;
        }
    }
    condition
}

impl Store {
    /// The rows that a query asks for, at most `limit` of them.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database), [`Error::Damaged`](super::Error::Damaged).
    pub async fn rows(&self, _access: &Access, query: &RowQuery) -> Result<Vec<Stored>> {
        let condition = condition(query);
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
        let condition = condition(&RowQuery {
            after: 0,
            ..query.clone()
        });
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

    /// The hashes of the participants that pass any of these tests, `limit` at most.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database).
    pub async fn participant_hashes(
        &self,
        _access: &Access,
        tests: &[RowTest],
        limit: usize,
    ) -> Result<Vec<Hash96>> {
        let mut condition = Condition::default();
        and_any(&mut condition, &PARTICIPANTS, "updated_at", tests);
        if condition.is_never() {
            return Ok(Vec::new());
        }
        let text = format!(
            "SELECT hash FROM participant WHERE {} ORDER BY id LIMIT {limit}",
            condition.sql
        );
        let rows = bind(&text, &condition.bound).fetch_all(&self.read).await?;
        rows.iter()
            .map(|row| {
                let hash: Vec<u8> = row.try_get(0)?;
                <Hash96>::try_from(hash)
                    .map_err(|_| super::Error::Damaged("the hash of a participant".into()))
            })
            .collect()
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
