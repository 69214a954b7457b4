//! Consortia and stages of HbA1c as Groups.

use super::db::{Bound, bind};
use super::{Access, Result, Store, sql};
use crate::registry::{CONSORTIA, Row, Stage, Value};

/// The stages come first, numbered as in [`Stage::ALL`]. A Group changes with the number of
/// those who are in it: a consortium's with its participants, a stage's with anyone's records
/// or registration.
pub(super) const GROUPS: &str = "(SELECT c.id + 4 AS id, c.consortium_id, c.consortium_name, c.end_date, \
    NULL AS stage, (SELECT max(x.at) FROM (SELECT c.updated_at AS at UNION ALL \
    SELECT max(p.updated_at) FROM participant p WHERE p.consortium_id = c.consortium_id) x) AS updated_at \
    FROM consortium c UNION ALL SELECT s.id, NULL, NULL, NULL, s.stage, \
    (SELECT coalesce(max(x.at), 0) FROM (SELECT max(w.at) AS at FROM write w UNION ALL \
    SELECT max(p.updated_at) FROM participant p) x) AS updated_at \
    FROM (SELECT 1 AS id, 'hba1c-normal' AS stage UNION ALL SELECT 2, 'hba1c-pre' \
    UNION ALL SELECT 3, 'hba1c-mild' UNION ALL SELECT 4, 'treated') s)";

/// Who is in a group.
#[derive(Debug, Clone)]
pub enum GroupOf {
    /// The participants of a consortium: its row, as far as a Group shows it.
    Consortium(Row),
    /// Those in a stage.
    Stage(Stage),
}

/// A group with the number of those who are in it.
#[derive(Debug, Clone)]
pub struct StoredGroup {
    /// Its number.
    pub id: i64,
    /// Who is in it.
    pub of: GroupOf,
    /// How many they are.
    pub quantity: u64,
    /// `meta.lastUpdated`, in milliseconds since the epoch.
    pub updated_at: i64,
}

impl Store {
    /// Groups by their numbers.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database).
    pub async fn groups(&self, access: &Access, ids: &[i64]) -> Result<Vec<StoredGroup>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let census = self.census(access).await?;
        let mut out = Vec::with_capacity(ids.len());
        for chunk in sql::sets(ids) {
            let text = format!(
                "SELECT g.id, g.consortium_id, g.consortium_name, g.end_date, g.stage, g.updated_at \
                 FROM {GROUPS} g WHERE g.id IN ({})",
                sql::list(chunk.len())
            );
            let bound: Vec<Bound> = chunk.iter().map(Bound::from).collect();
            for row in bind(&text, &bound).fetch_all(&self.read).await? {
                let stage: Option<String> = row.try_get(4)?;
                let (of, quantity) = match stage.as_deref().and_then(Stage::by_id) {
                    Some(stage) => (GroupOf::Stage(stage), census.of_stage(stage)),
                    None => {
                        let mut of = Row::new(&CONSORTIA);
                        for (column, name) in ["consortium_id", "consortium_name", "end_date"]
                            .into_iter()
                            .enumerate()
                        {
                            let value: Option<String> = row.try_get(1 + column)?;
                            of.set(name, value.map_or(Value::Absent, Value::Text));
                        }
                        let consortium_id = of.text("consortium_id").unwrap_or_default();
                        let quantity = census.of_consortium(consortium_id);
                        (GroupOf::Consortium(of), quantity)
                    }
                };
                out.push(StoredGroup {
                    id: row.try_get(0)?,
                    of,
                    quantity,
                    updated_at: row.try_get(5)?,
                });
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_its_number() {
        for (number, stage) in (1..).zip(Stage::ALL) {
            let first = format!("SELECT {number} AS id, '{}' AS stage", stage.id());
            let other = format!("SELECT {number}, '{}'", stage.id());
            assert!(
                GROUPS.contains(&first) || GROUPS.contains(&other),
                "{stage:?}"
            );
        }
    }
}
