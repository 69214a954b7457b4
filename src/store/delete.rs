//! Deleting a record: a version of its own, after which a resend with a newer
//! `update_time` makes the next one and any other is stale (protocol specification §5).

use super::db::{Bound, bind, query};
use super::read::DELETED;
use super::submit::now;
use super::{Access, Result, Store};
use crate::fhir::id::ObservationKey;

/// What became of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The record is deleted; the number of the version that says so.
    Now(u32),
    /// It was deleted before.
    Before,
    /// There is no such record.
    Absent,
    /// Its current version is none of those that were named.
    Otherwise,
}

impl Store {
    /// Deletes the record with this id; where `versions` are given, only if its current one is
    /// among them.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database), [`Error::Damaged`](super::Error::Damaged).
    pub async fn delete(
        &self,
        access: &Access,
        id: &ObservationKey,
        versions: Option<&[u32]>,
        client: Option<&str>,
    ) -> Result<Deleted> {
        // The key never changes once it is stored, so it may be looked up before.
        let stored = self.current(access, id).await?;
        let Some(key) = stored.rows.first().map(|row| row.key) else {
            return Ok(Deleted::Absent);
        };
        let place = stored.rows[0].kind;
        let these = format!(
            "participant = ? AND kind = {} AND time = ? AND source = ?",
            key.kind
        );
        let bound: Vec<Bound> = [key.participant, key.time, key.source]
            .map(Bound::Int)
            .to_vec();
        let mut tx = self.begin().await?;
        let at = now(&mut tx).await?;
        let text = format!("SELECT version, state FROM record WHERE {these}");
        let Some(row) = bind(&text, &bound).fetch_optional(&mut tx).await? else {
            return Ok(Deleted::Absent);
        };
        let (current, state): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        if versions.is_some_and(|v| !v.contains(&(current as u32))) {
            return Ok(Deleted::Otherwise);
        }
        if state == DELETED {
            return Ok(Deleted::Before);
        }
        let row = query("INSERT INTO write (at, submission, client) VALUES (?, ?, ?) RETURNING id")
            .bind(at)
            .bind(self.new_id())
            .bind(client)
            .fetch_one(&mut tx)
            .await?;
        let write: i64 = row.try_get(0)?;
        let layout = self.layout.of(place);
        let comma = if layout.columns > 0 { ", " } else { "" };
        let columns = format!(
            "participant, kind, time, source, version, updated, seen, write, device, state{comma}{}",
            layout.column_list("")
        );
        let keep = format!(
            "INSERT INTO record_version ({columns}) SELECT {columns} FROM record WHERE {these}"
        );
        bind(&keep, &bound).execute(&mut tx).await?;
        let text = format!(
            "UPDATE record SET version = version + 1, state = {DELETED}, write = {write} WHERE {these}"
        );
        bind(&text, &bound).execute(&mut tx).await?;
        // What waited to mend it has nothing left to mend.
        query(
            "UPDATE quarantine SET left_at = ?, left_by = ? \
             WHERE observation = ? AND left_at IS NULL",
        )
        .bind(at)
        .bind("deleted")
        .bind(id.encode())
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(Deleted::Now(current as u32 + 1))
    }
}
