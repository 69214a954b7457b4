//! Deleting a record: a version of its own, after which a resend with a newer
//! `update_time` makes the next one and any other is stale (protocol specification §5).

use super::by_id::at_time;
use super::change::{Deleted, Deletion};
use super::db::{Bound, bind, query};
use super::read::DELETED;
use super::tally::Changes;
use super::work::Work;
use super::{Result, Store};

impl Store {
    /// Deletes a record. What is absent or deleted already is no failure, unless something
    /// must be there.
    pub(super) async fn delete_record(
        &self,
        work: &mut Work,
        deletion: &Deletion,
    ) -> Result<Deleted> {
        let id = &deletion.key;
        let absent = match deletion.condition.holds(None) {
            true => Deleted::Absent,
            false => Deleted::Otherwise,
        };
        let Some(kind) = self.kinds.by_hash(id.kind) else {
            return Ok(absent);
        };
        let layout = self.layout.of(kind.place);
        let there = at_time(&mut work.tx, kind, layout, &id.participant, id.seconds).await?;
        let found = there.into_iter().find(|(_, source)| *source == id.source);
        let Some((raw, _)) = found else {
            return Ok(absent);
        };
        let current = (raw.state != DELETED).then_some(raw.version as u32);
        if !deletion.condition.holds(current) {
            return Ok(Deleted::Otherwise);
        }
        if current.is_none() {
            return Ok(Deleted::Before);
        }
        let these = format!(
            "participant = ? AND kind = {} AND time = ? AND source = ?",
            layout.id
        );
        let bound: Vec<Bound> = [raw.participant, raw.time, raw.source]
            .map(Bound::Int)
            .to_vec();
        let mut changes = Changes::default();
        changes.records(layout, -1);
        changes.values(layout, &raw.columns, -1);
        changes.write(&mut work.tx).await?;
        let write = work.write().await?;
        let comma = if layout.columns > 0 { ", " } else { "" };
        let columns = format!(
            "participant, kind, time, source, version, updated, seen, write, device, state, residue{comma}{}",
            layout.column_list("")
        );
        let keep = format!(
            "INSERT INTO record_version ({columns}) SELECT {columns} FROM record WHERE {these}"
        );
        bind(&keep, &bound).execute(&mut work.tx).await?;
        let text = format!(
            "UPDATE record SET version = version + 1, state = {DELETED}, residue = NULL, write = ? WHERE {these}"
        );
        let values = [vec![write.into()], bound].concat();
        bind(&text, &values).execute(&mut work.tx).await?;
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
        Ok(Deleted::Now(raw.version as u32 + 1))
    }
}
