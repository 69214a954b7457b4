//! Participants as FHIR changes them: a Patient decides on some fields of a row, a
//! ResearchSubject on others.

use std::collections::{HashMap, HashSet};

use super::change::{known_consortia, unique_identifiers};
use super::{Stored, change, key_hash};
use crate::fault::{Code, Fault, Place};
use crate::fhir::id::Hash96;
use crate::registry::{Faults, PARTICIPANTS, Row, Value};
use crate::store::change::{Change, Deleted, Precondition};
use crate::store::db::query;
use crate::store::work::Work;
use crate::store::{Did, Handling, Outcome, Result, Store};
use crate::time;

/// Some fields of a participant's row.
#[derive(Debug, Clone)]
pub struct ParticipantChange {
    /// The key, and the fields it decides on.
    pub row: Row,
    /// The fields it decides on; the others stay as they are.
    pub fields: &'static [&'static str],
    /// Whether it makes the row where there is none.
    pub makes: bool,
    /// Whether it is refused where there is one.
    pub only_new: bool,
    /// Whether it changes nothing where there is one, in place of being refused.
    pub keeps: bool,
    /// What must be there.
    pub condition: Precondition,
    /// Where it stands, as FHIRPath.
    pub pointer: String,
    /// Where it stands in its text.
    pub place: Place,
}

/// What became of it.
#[derive(Debug, Clone)]
pub struct ParticipantChanged {
    /// What became of the row.
    pub change: Change,
    /// What refuses it, or what else there is to say.
    pub faults: Vec<Fault>,
}

/// The deletion of a participant.
#[derive(Debug, Clone)]
pub struct ParticipantDeletion {
    /// Who.
    pub hash: Hash96,
    /// What must be there.
    pub condition: Precondition,
}

/// Changes of one row.
struct Group {
    stored: Option<Stored>,
    row: Row,
    /// Places of the changes that hold.
    members: Vec<usize>,
    /// Whether one of them makes the row.
    made: bool,
}

impl ParticipantChanged {
    fn refused(faults: Vec<Fault>) -> ParticipantChanged {
        ParticipantChanged {
            change: Change::refused(),
            faults,
        }
    }

    /// Whether it was not done.
    pub(in crate::store) fn fails(&self) -> bool {
        matches!(self.change.outcome, Outcome::Refused | Outcome::Conflict)
    }
}

impl Store {
    /// Changes participants; what is refused changes nothing.
    pub(in crate::store) async fn change_participants(
        &self,
        work: &mut Work,
        changes: &[ParticipantChange],
        handling: Handling,
    ) -> Result<Vec<ParticipantChanged>> {
        let mut out: Vec<Option<ParticipantChanged>> = vec![None; changes.len()];
        let mut groups = self.grouped(work, changes, &mut out).await?;
        let mut keys: Vec<Hash96> = groups.keys().copied().collect();
        keys.sort_unstable();
        for hash in &keys {
            if let Some(group) = groups.get_mut(hash) {
                group.complete(changes, work.now, &mut out);
            }
        }
        let rows: Vec<(&Group, Row)> = keys
            .iter()
            .filter_map(|hash| groups.get(hash))
            .filter(|group| !group.members.is_empty())
            .map(|group| (group, group.row.clone()))
            .collect();
        let taken = taken_identifiers(work, changes, &rows, &mut out).await?;
        let fails = out.iter().flatten().any(ParticipantChanged::fails);
        let rows: Vec<(&Group, Row)> = rows
            .into_iter()
            .filter(|(group, _)| !taken.contains(&group.members[0]))
            .collect();
        if !(fails && handling == Handling::Strict) {
            let only: Vec<Row> = rows.iter().map(|(_, row)| row.clone()).collect();
            let mut counts = change::Changed::default();
            let versions = change::upsert(work, &PARTICIPANTS, &only, &mut counts).await?;
            for ((group, row), version) in rows.iter().zip(versions) {
                let outcome = match &group.stored {
                    None => Outcome::Created,
                    Some(stored) if stored.row == *row => Outcome::Unchanged,
                    Some(_) => Outcome::Updated,
                };
                for &member in &group.members {
                    let told = out[member].get_or_insert_with(|| ParticipantChanged {
                        change: Change::refused(),
                        faults: Vec::new(),
                    });
                    told.change = Change::done(outcome, version, group.stored.is_none());
                }
                if outcome != Outcome::Unchanged {
                    let hash = key_hash(&PARTICIPANTS, &row.key());
                    let (participant, did) = match &group.stored {
                        Some(stored) => (stored.id, Did::Changed),
                        None => (number(work, &hash).await?, Did::Came),
                    };
                    for &member in &group.members {
                        let resource = match changes[member].makes {
                            true => "Patient",
                            false => "ResearchSubject",
                        };
                        work.registers(participant, resource, hash, version, did);
                    }
                }
            }
        }
        let done = out.into_iter().map(|told| {
            // Given up together with those that were refused.
            told.unwrap_or_else(|| ParticipantChanged::refused(Vec::new()))
        });
        Ok(done.collect())
    }

    /// The rows that changes are about, as they would become.
    async fn grouped(
        &self,
        work: &mut Work,
        changes: &[ParticipantChange],
        out: &mut [Option<ParticipantChanged>],
    ) -> Result<HashMap<Hash96, Group>> {
        let hash_of = |change: &ParticipantChange| key_hash(&PARTICIPANTS, &change.row.key());
        let mut hashes: Vec<Hash96> = changes.iter().map(hash_of).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let stored = change::stored(&mut work.tx, &PARTICIPANTS, &hashes).await?;
        let named = changes.iter().map(|change| &change.row);
        let known = known_consortia(&mut work.tx, named).await?;
        let mut groups: HashMap<Hash96, Group> = HashMap::new();
        for (place, change) in changes.iter().enumerate() {
            let hash = hash_of(change);
            let of = change.row.text("consortium_id").unwrap_or_default();
            if !known.contains(of) {
                let pointer = format!("{}.identifier", change.pointer);
                let fault = Fault::new(Code::ConsortiumUnknown, pointer, change.place).found(of);
                out[place] = Some(ParticipantChanged::refused(vec![fault]));
                continue;
            }
            let former = stored.get(&hash);
            let current = former.map(|stored| stored.version);
            if !change.condition.holds(current) {
                out[place] = Some(ParticipantChanged {
                    change: Change::failed(current),
                    faults: Vec::new(),
                });
                continue;
            }
            if change.keeps
                && let Some(former) = former
            {
                out[place] = Some(ParticipantChanged {
                    change: Change::done(Outcome::Unchanged, former.version, false),
                    faults: Vec::new(),
                });
                continue;
            }
            if change.only_new && former.is_some() {
                let pointer = format!("{}.identifier", change.pointer);
                let fault = Fault::new(Code::DuplicateIdentity, pointer, change.place).expected(
                    "a participant who is not registered; update the Patient that is there",
                );
                let mut refused = ParticipantChanged::refused(vec![fault]);
                refused.change.outcome = Outcome::Conflict;
                out[place] = Some(refused);
                continue;
            }
            let group = groups.entry(hash).or_insert_with(|| Group {
                row: former.map_or_else(
                    || {
                        let mut row = Row::new(&PARTICIPANTS);
                        for name in ["consortium_id", "person_id"] {
                            let value = change.row.value(name).cloned().unwrap_or_default();
                            row.set(name, value);
                        }
                        row
                    },
                    |stored| stored.row.clone(),
                ),
                stored: former.cloned(),
                members: Vec::new(),
                made: false,
            });
            group.made |= change.makes;
            group.members.push(place);
            for field in change.fields {
                let value = change.row.value(field).cloned().unwrap_or_default();
                group.row.set(field, value);
            }
        }
        Ok(groups)
    }

    /// Deletes a participant of whom there are no records.
    pub(in crate::store) async fn delete_participant(
        &self,
        work: &mut Work,
        deletion: &ParticipantDeletion,
    ) -> Result<Deleted> {
        let hash = deletion.hash;
        let stored = change::stored(&mut work.tx, &PARTICIPANTS, &[hash]).await?;
        let stored = stored.get(&hash);
        let current = stored.map(|stored| stored.version);
        if !deletion.condition.holds(current) {
            return Ok(Deleted::Otherwise);
        }
        let Some(stored) = stored else {
            return Ok(Deleted::Absent);
        };
        if self.referred_to(&mut work.tx, stored).await?.is_some() {
            return Ok(Deleted::Needed);
        }
        let version = change::remove(work, stored).await?;
        work.registers(stored.id, "Patient", hash, version, Did::Went);
        Ok(Deleted::Now(version))
    }
}

impl Group {
    /// Fills what is required and absent; refuses what cannot stand.
    fn complete(
        &mut self,
        changes: &[ParticipantChange],
        now: i64,
        out: &mut [Option<ParticipantChanged>],
    ) {
        let mut said: Vec<Fault> = Vec::new();
        let first = self.members.first().map(|&place| &changes[place]);
        let Some(first) = first else { return };
        if self.stored.is_none() && !self.made {
            let pointer = format!("{}.individual", first.pointer);
            said.push(
                Fault::new(Code::ParticipantUnknown, pointer, first.place)
                    .expected("a Patient that is there, or comes in the same Bundle"),
            );
        } else if self.row.text("participation_start_date").is_none() {
            let today = time::text(|out| time::write14(out, now.div_euclid(1000)));
            let day = Value::Text(today[..8].to_owned());
            self.row.set("participation_start_date", day);
            said.push(
                Fault::new(Code::FallbackUsed, first.pointer.clone(), first.place)
                    .expected("participation_start_date in ResearchSubject.period.start")
                    .found("day of receipt"),
            );
        }
        self.row.provisional &= self.is_incomplete();
        for (_, wrong) in self.row.inconsistencies() {
            let pointer = format!("{}.period.end", first.pointer);
            // A day of the calendar, so no mistake of FHIR's.
            let code = Code::RecordInconsistent;
            said.push(Fault::new(code, pointer, first.place).expected(wrong.expected));
        }
        if said.iter().any(Fault::is_error) {
            for member in self.members.drain(..) {
                let pointer = &changes[member].pointer;
                let own = said.iter().map(|fault| Fault {
                    pointer: fault.pointer.replacen(&first.pointer, pointer, 1),
                    ..fault.clone()
                });
                out[member] = Some(ParticipantChanged::refused(own.collect()));
            }
        } else if !said.is_empty() {
            out[self.members[0]] = Some(ParticipantChanged {
                change: Change::done(Outcome::Unchanged, 0, false),
                faults: said,
            });
        }
    }

    /// Whether it lacks something that a row which is not provisional has.
    fn is_incomplete(&self) -> bool {
        let mut whole = self.row.clone();
        whole.provisional = false;
        whole.missing().next().is_some()
    }
}

/// The number of a participant who is there.
async fn number(work: &mut Work, hash: &Hash96) -> Result<i64> {
    let row = query("SELECT id FROM participant WHERE hash = ?").bind(hash);
    row.fetch_one(&mut work.tx).await?.try_get(0)
}

/// Refuses identifiers that another participant has; the places of the changes in question.
async fn taken_identifiers(
    work: &mut Work,
    changes: &[ParticipantChange],
    rows: &[(&Group, Row)],
    out: &mut [Option<ParticipantChanged>],
) -> Result<HashSet<usize>> {
    let only: Vec<Row> = rows.iter().map(|(_, row)| row.clone()).collect();
    let mut faults = Faults::with_max(Faults::DEFAULT_MAX);
    unique_identifiers(&mut work.tx, &PARTICIPANTS, &only, &mut faults).await?;
    crate::registry::check_unique(Vec::<Row>::new(), &only, &mut faults);
    let mut taken = HashSet::new();
    for fault in faults.into_kept() {
        // The pointer begins with the place of the row.
        let place = fault.pointer.split('/').nth(1).and_then(|n| n.parse().ok());
        let Some((group, _)) = place.and_then(|n: usize| rows.get(n)) else {
            continue;
        };
        for &member in &group.members {
            let pointer = format!("{}.identifier", changes[member].pointer);
            let fault = Fault {
                pointer,
                line: changes[member].place.line,
                column: changes[member].place.column,
                ..fault.clone()
            };
            out[member] = Some(ParticipantChanged::refused(vec![fault]));
            taken.insert(member);
        }
    }
    Ok(taken)
}
