//! Deleting a record: a version of its own, after which a resend with a newer
//! `update_time` makes the next one and any other is stale (protocol specification §5).

use super::change::{Deleted, Deletion};
use super::db::{Bound, bind, query};
use super::read::DELETED;
use super::tally::Changes;
use super::work::Work;
use super::{Result, Store};
use crate::fhir::id::source_hash;

impl Store {
    /// Deletes a record. What is absent or deleted already is no failure, unless something
    /// must be there.
    pub(super) async fn delete_record(
        &self,
        work: &mut Work,
        deletion: &Deletion,
    ) -> Result<Deleted> {
        let id = &deletion.key;
        let absent = match deletion.condition {
            Some(_) => Deleted::Otherwise,
            None => Deleted::Absent,
        };
        let Some(kind) = self.kinds.by_hash(id.kind) else {
            return Ok(absent);
        };
        let layout = self.layout.of(kind.place);
        // The time leads to a few records at most; the source decides.
        let comma = if layout.columns > 0 { ", " } else { "" };
        let rows = query(format!(
            "SELECT r.participant, r.source, r.version, r.state, t.value{comma}{} FROM participant p \
             CROSS JOIN record r LEFT JOIN text t ON t.id = r.source \
             WHERE p.hash = ? AND r.participant = p.id AND r.kind = {} AND r.time = ?",
            layout.column_list("r."),
            layout.id
        ))
        .bind(&id.participant)
        .bind(id.seconds)
        .fetch_all(&mut work.tx)
        .await?;
        let mut found = None;
        for row in rows {
            let source: Option<String> = row.try_get(4)?;
            if source_hash(source.as_deref().unwrap_or_default()) == id.source {
                found = Some(row);
            }
        }
        let Some(row) = found else {
            return Ok(absent);
        };
        let (participant, source): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let (version, state): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
        let current = (state != DELETED).then_some(version as u32);
        if deletion
            .condition
            .as_ref()
            .is_some_and(|c| !c.holds(current))
        {
            return Ok(Deleted::Otherwise);
        }
        if current.is_none() {
            return Ok(Deleted::Before);
        }
        let these = format!(
            "participant = ? AND kind = {} AND time = ? AND source = ?",
            layout.id
        );
        let bound: Vec<Bound> = [participant, id.seconds, source].map(Bound::Int).to_vec();
        let mut changes = Changes::default();
        changes.records(layout, -1);
        let columns = (5..5 + layout.columns).map(|column| row.try_get(column));
        let columns: Vec<Option<i64>> = columns.collect::<Result<_>>()?;
        changes.values(layout, &columns, -1);
        changes.write(&mut work.tx).await?;
        let write = work.write().await?;
        let columns = format!(
            "participant, kind, time, source, version, updated, seen, write, device, state, residue{comma}{}",
            layout.column_list("")
        );
        let keep = format!(
            "INSERT INTO record_version ({columns}) SELECT {columns} FROM record WHERE {these}"
        );
        bind(&keep, &bound).execute(&mut work.tx).await?;
        let text = format!(
            "UPDATE record SET version = version + 1, state = {DELETED}, residue = NULL, write = {write} WHERE {these}"
        );
        bind(&text, &bound).execute(&mut work.tx).await?;
        // What waited to mend it has nothing left to mend.
        query(
            "UPDATE quarantine SET left_at = ?, left_by = ? \
             WHERE observation = ? AND left_at IS NULL",
        )
        .bind(work.now)
        .bind("deleted")
        .bind(id.encode())
        .execute(&mut work.tx)
        .await?;
        Ok(Deleted::Now(version as u32 + 1))
    }
}
