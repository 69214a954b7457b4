//! Changes over FHIR: records, participants and devices, in one transaction.
//!
//! A submission and a write over FHIR take the same way: the rules of the registries, the
//! rule by which a record meets a stored one, the same statements. What differs is that rule
//! ([`Rule`]), and what is told: a receipt, or what became of each change.

use super::db::query;
use super::submit::{Joined, LateValue, Placed, Written};
use super::work::Work;
use super::{
    Handling, Outcome, ParticipantChange, ParticipantChanged, ParticipantDeletion, Residue, Result,
    Store, Told,
};
use crate::exchange::Submission;
use crate::fhir::id::ObservationKey;
use crate::mapping::Status;
use crate::metrics;

/// Versions that a precondition names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// Any current version.
    Any,
    /// One of these current versions.
    Listed(Vec<u32>),
}

impl Versions {
    fn has(&self, current: Option<u32>) -> bool {
        match self {
            Versions::Any => current.is_some(),
            Versions::Listed(versions) => current.is_some_and(|c| versions.contains(&c)),
        }
    }
}

/// Precondition of a change (RFC 9110 §13.1); the empty one always holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    /// The current version is one of these.
    pub if_match: Option<Versions>,
    /// The current version is none of these.
    pub if_none_match: Option<Versions>,
}

impl Precondition {
    /// Whether it holds where `current` is the version that is there.
    pub fn holds(&self, current: Option<u32>) -> bool {
        self.if_match
            .as_ref()
            .is_none_or(|these| these.has(current))
            && !self
                .if_none_match
                .as_ref()
                .is_some_and(|these| these.has(current))
    }
}

/// What it means for a record that it is stored already.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// FHIR's update: the last one wins. Otherwise the resend rule (protocol specification
    /// §5).
    pub update: bool,
    /// Precondition of an update.
    pub condition: Precondition,
    /// The status that was written.
    pub status: Status,
    /// What was written beyond the fields.
    pub residue: Option<Residue>,
}

/// Records of one consortium.
#[derive(Debug)]
pub struct RecordChanges {
    /// The records. What the store has to say about them is added to its faults.
    pub submission: Submission,
    /// The rule of each, by row.
    pub rules: Vec<Rule>,
}

/// The deletion of a record.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// The record.
    pub key: ObservationKey,
    /// Precondition of the change.
    pub condition: Precondition,
}

/// A device that is to be known: maker, model and serial, and what else it tells.
#[derive(Debug, Clone)]
pub struct DeviceChange {
    /// Maker, model, serial.
    pub part: [String; 3],
    /// What else it tells.
    pub told: Told,
    /// Whether that replaces what it told, though it be nothing.
    pub replaces: bool,
    /// Precondition of the change.
    pub condition: Precondition,
}

/// What is to be written, all of it in one transaction.
#[derive(Debug, Default)]
pub struct Changes {
    /// Records that go.
    pub deletions: Vec<Deletion>,
    /// Participants that go.
    pub withdrawals: Vec<ParticipantDeletion>,
    /// Participants that come or change.
    pub participants: Vec<ParticipantChange>,
    /// Devices that come.
    pub devices: Vec<DeviceChange>,
    /// Records that come.
    pub records: Vec<RecordChanges>,
    /// Values of records that are there.
    pub values: Vec<LateValue>,
    /// All of it or nothing, or each by itself.
    pub handling: Handling,
    /// `--registry auto`: unknown consortia, participants and laboratories are added.
    pub auto: bool,
    /// Who writes.
    pub client: Option<String>,
}

/// What became of one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What became of it.
    pub outcome: Outcome,
    /// The version that is current afterwards; 0 where there is none.
    pub version: u32,
    /// Whether something is there that was not, or not any more.
    pub is_new: bool,
    /// Whether its time of update is the time of receipt, its own being no newer than that
    /// of the stored version.
    pub dated: bool,
    /// Whether its condition failed.
    pub failed: bool,
}

/// What became of all changes, in their order.
#[derive(Debug, Default)]
pub struct Done {
    /// When it was written, in milliseconds since the epoch.
    pub at: i64,
    /// Whether anything that could be written was: false where all of it was given up.
    pub kept: bool,
    /// Of each deletion.
    pub deletions: Vec<Deleted>,
    /// Of each participant that was to go.
    pub withdrawals: Vec<Deleted>,
    /// Of each change of a participant.
    pub participants: Vec<ParticipantChanged>,
    /// Of each device.
    pub devices: Vec<Change>,
    /// Of each row of each submission; `None` where its faults refuse it.
    pub records: Vec<Vec<Option<Change>>>,
    /// Of each value that came late; `None` where no record lacks it.
    pub values: Vec<Option<Joined>>,
}

/// What became of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is deleted; the number of the version that says so.
    Now(u32),
    /// It was deleted before.
    Before,
    /// There is no such thing.
    Absent,
    /// Its current version is none of those that were named.
    Otherwise,
    /// Records refer to it.
    Needed,
}

impl Deleted {
    fn fails(self) -> bool {
        matches!(self, Deleted::Otherwise | Deleted::Needed)
    }
}

/// The right to write, which one at a time has: while it is held, nothing that is stored
/// changes. Dropped, it changes nothing.
pub struct Held(Work);

impl Held {
    /// Whether nothing was written between a revision ([`Store::revision`]) and now.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database).
    pub async fn follows(&mut self, revision: i64) -> Result<bool> {
        let own = query("SELECT data FROM revision WHERE id = 1");
        let own: i64 = own.fetch_one(&mut self.0.tx).await?.try_get(0)?;
        // This transaction has advanced it already.
        Ok(own == revision + 1)
    }

    /// Gives the right to write back; nothing changes.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database).
    pub async fn release(self) -> Result<()> {
        self.0.rollback().await
    }
}

impl Store {
    /// Waits for the right to write.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database).
    pub async fn hold(&self, client: Option<String>) -> Result<Held> {
        Ok(Held(self.work(client).await?))
    }

    /// Writes what it can: everything, or in strict handling nothing where something fails.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database),
    /// [`Error::Damaged`](super::Error::Damaged); then nothing was written.
    pub async fn change(&self, held: Held, changes: &mut Changes) -> Result<Done> {
        let Held(mut work) = held;
        let mut done = Done {
            at: work.now,
            ..Done::default()
        };
        let mut fails = false;
        for deletion in &changes.deletions {
            let deleted = self.delete_record(&mut work, deletion).await?;
            fails |= deleted.fails();
            done.deletions.push(deleted);
        }
        for deletion in &changes.withdrawals {
            let deleted = self.delete_participant(&mut work, deletion).await?;
            fails |= deleted.fails();
            done.withdrawals.push(deleted);
        }
        done.participants = self
            .change_participants(&mut work, &changes.participants, changes.handling)
            .await?;
        fails |= done.participants.iter().any(ParticipantChanged::fails);
        if fails && changes.handling == Handling::Strict {
            // Records of those who were refused would only be told to be nobody's.
            work.rollback().await?;
            return Ok(done);
        }
        done.devices = self.know_devices(&mut work, &changes.devices).await?;
        fails |= done.devices.iter().any(|change| change.failed);
        for RecordChanges { submission, rules } in &mut changes.records {
            self.judge(&mut work, submission, changes.handling, changes.auto)
                .await?;
            let strict = changes.handling == Handling::Strict;
            let refused = submission.broken || (strict && submission.has_errors());
            let mut written = Written::default();
            if !refused {
                written = self
                    .records(&mut work, submission, rules, changes.handling)
                    .await?;
                let waiting = self.waiting(&mut (&mut work.tx).into(), submission).await?;
                self.mend_stored(&mut work, submission, waiting, &written)
                    .await?;
            }
            fails |= refused || written.fails();
            let told = written.outcomes.iter().map(|placed| placed.map(Change::of));
            done.records.push(told.collect());
        }
        done.values = self.join_late(&mut work, &changes.values).await?;
        fails |= done.values.iter().any(Option::is_none);
        if fails && changes.handling == Handling::Strict {
            work.rollback().await?;
            return Ok(done);
        }
        done.kept = true;
        work.write_registered().await?;
        done.at = work.stamp().await?;
        work.commit(self).await?;
        for change in done.records.iter().flatten().flatten() {
            metrics::records("fhir", change.outcome.as_str(), 1);
        }
        Ok(done)
    }
}

impl Written {
    /// Whether a record was not taken though nothing was wrong with it.
    fn fails(&self) -> bool {
        let mut placed = self.outcomes.iter().flatten();
        placed.any(|p| matches!(p.outcome, Outcome::Conflict | Outcome::Stale))
    }
}

impl Change {
    /// Something that was done.
    pub(super) fn done(outcome: Outcome, version: u32, is_new: bool) -> Change {
        Change {
            outcome,
            version,
            is_new,
            dated: false,
            failed: false,
        }
    }

    /// Something that was refused.
    pub(super) fn refused() -> Change {
        Change::done(Outcome::Refused, 0, false)
    }

    /// Something whose condition failed.
    pub(super) fn failed(current: Option<u32>) -> Change {
        Change {
            failed: true,
            ..Change::done(Outcome::Conflict, current.unwrap_or(0), false)
        }
    }

    fn of(placed: Placed) -> Change {
        Change {
            outcome: placed.outcome,
            version: placed.version,
            is_new: match placed.outcome {
                Outcome::Created => true,
                Outcome::Updated => placed.revived,
                _ => false,
            },
            dated: placed.dated,
            failed: placed.failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kinds;

    #[tokio::test]
    async fn a_write_in_between_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("a.db").display());
        let kinds = std::sync::Arc::new(Kinds::embedded().unwrap());
        let store = Store::open(&url, kinds).await.unwrap();
        let before = store.revision().await.unwrap();
        let mut held = store.hold(None).await.unwrap();
        assert!(held.follows(before).await.unwrap());
        held.release().await.unwrap();
        // A statement that was given up wrote nothing.
        let mut held = store.hold(None).await.unwrap();
        assert!(held.follows(before).await.unwrap());
        let done = store.change(held, &mut Changes::default()).await.unwrap();
        assert!(done.kept);
        let mut held = store.hold(None).await.unwrap();
        assert!(!held.follows(before).await.unwrap());
    }
}
