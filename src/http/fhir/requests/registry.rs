//! Requests about participants and devices.

use std::collections::HashMap;

use super::{Answer, Ask, Request, Requests, Target, refusal};
use crate::fault::{Code, Fault, Place};
use crate::fhir::id;
use crate::fhir::inbound;
use crate::fhir::search::form;
use crate::http::error::{Kind, Problem, Result};
use crate::http::fhir::condition;
use crate::store::{
    Changes, Deleted, DeviceChange, Done, Outcome, ParticipantChange, Precondition,
};

/// The entries of the changes that are not of records, in their order.
#[derive(Default)]
pub(super) struct Entries {
    pub withdrawals: Vec<u32>,
    pub participants: Vec<u32>,
    pub devices: Vec<u32>,
}

impl Requests<'_> {
    /// The changes of participants.
    pub(super) fn participants(
        &mut self,
        all: Vec<(u32, ParticipantChange)>,
        changes: &mut Changes,
    ) -> Vec<u32> {
        let mut entries = Vec::new();
        for (entry, mut change) in all {
            let own = participant_id(&change);
            match self.meant(entry, &own, &change.pointer, change.place) {
                Ok(Meant { update, condition }) => {
                    change.only_new = change.makes && !update;
                    change.keeps = self.names_itself(entry, &change);
                    change.condition = condition;
                    entries.push(entry);
                    changes.participants.push(change);
                }
                Err(problem) => self.answer(entry, Err(problem)),
            }
        }
        entries
    }

    /// The devices.
    pub(super) fn devices(
        &mut self,
        all: Vec<(u32, DeviceChange)>,
        changes: &mut Changes,
    ) -> Vec<u32> {
        let mut entries = Vec::new();
        for (entry, mut change) in all {
            match self.meant(entry, &device_id(&change), "Device", Place::default()) {
                Ok(Meant { update, condition }) => {
                    change.replaces = update;
                    change.condition = condition;
                    entries.push(entry);
                    changes.devices.push(change);
                }
                Err(problem) => self.answer(entry, Err(problem)),
            }
        }
        entries
    }

    /// Whether a conditional create asks for the participant by the identifier that it
    /// gives: one who came meanwhile is found then, too.
    fn names_itself(&self, entry: u32, change: &ParticipantChange) -> bool {
        let Some(Request {
            ask: Ask::Create {
                if_none_exist: Some(query),
            },
            ..
        }) = self.request(entry)
        else {
            return false;
        };
        let consortium_id = change.row.text("consortium_id").unwrap_or_default();
        let system = self.call.app.kinds().canonical.person_sid(consortium_id);
        let person_id = change.row.text("person_id").unwrap_or_default();
        let own = format!("{system}|{person_id}");
        let query = query
            .rsplit_once('?')
            .map_or(query.as_str(), |(_, query)| query);
        let pairs = form::pairs(query).unwrap_or_default();
        let [pair] = pairs.as_slice() else {
            return false;
        };
        pair.name == "identifier" && pair.value().is_ok_and(|value| value == own)
    }

    /// What a request means for the resource whose id is `own`.
    fn meant(&self, entry: u32, own: &str, pointer: &str, place: Place) -> Result<Meant> {
        let Some(Request {
            ask: Ask::Update {
                target,
                precondition,
            },
            ..
        }) = self.request(entry)
        else {
            return Ok(Meant {
                update: false,
                condition: Default::default(),
            });
        };
        match target {
            Target::Id(id) if id != own => {
                let fault = Fault::new(Code::Identity, pointer, place)
                    .expected(format!("the id {own}"))
                    .found(id);
                Err(refusal(vec![fault]))
            }
            _ => Ok(Meant {
                update: true,
                condition: precondition.versions.clone(),
            }),
        }
    }

    /// Answers what became of participants and devices.
    pub(super) fn registered(
        &mut self,
        changes: &Changes,
        done: &Done,
        entries: &Entries,
        said: &mut HashMap<u32, Vec<inbound::Issue>>,
    ) {
        for (&entry, deleted) in entries.withdrawals.iter().zip(&done.withdrawals) {
            if done.kept || matches!(deleted, Deleted::Otherwise | Deleted::Needed) {
                self.deleted(entry, *deleted);
            }
        }
        let changed = changes.participants.iter().zip(&done.participants);
        for (&entry, (asked, became)) in entries.participants.iter().zip(changed) {
            let change = &became.change;
            let faults = became.faults.clone();
            let answer = if change.failed {
                Err(condition::failed())
            } else if change.outcome == Outcome::Conflict {
                Err(Problem::faults(Kind::Duplicate, faults))
            } else if faults.iter().any(Fault::is_error) {
                Err(refusal(faults))
            } else if done.kept {
                let id = participant_id(asked);
                let mut notices = said.remove(&entry).unwrap_or_default();
                notices.extend(faults.into_iter().map(inbound::Issue::of));
                match self.request(entry) {
                    Some(request) => Ok(Answer::became(
                        request.resource,
                        id,
                        change,
                        done.at,
                        notices,
                    )),
                    None => continue,
                }
            } else {
                continue;
            };
            self.answer(entry, answer);
        }
        let devices = changes.devices.iter().zip(&done.devices);
        for (&entry, (asked, change)) in entries.devices.iter().zip(devices) {
            let answer = match self.request(entry) {
                _ if change.failed => Err(condition::failed()),
                Some(request) if done.kept => {
                    let notices = said.remove(&entry).unwrap_or_default();
                    let id = device_id(asked);
                    Ok(Answer::became(
                        request.resource,
                        id,
                        change,
                        done.at,
                        notices,
                    ))
                }
                _ => continue,
            };
            self.answer(entry, answer);
        }
    }
}

/// What a request means for its resource.
struct Meant {
    update: bool,
    condition: Precondition,
}

/// The id of the Patient, and of the ResearchSubject.
pub(super) fn participant_id(change: &ParticipantChange) -> String {
    id::participant(
        change.row.text("consortium_id").unwrap_or_default(),
        change.row.text("person_id").unwrap_or_default(),
    )
}

pub(super) fn device_id(change: &DeviceChange) -> String {
    let [maker, model, serial] = &change.part;
    id::device(maker, model, serial)
}

/// Records refer to what was to be deleted.
pub(super) fn needed() -> Problem {
    Problem::new(Kind::Conflict).detail(
        "there are records of this participant, deleted ones included, so the Patient stays; end \
         the participation instead (ResearchSubject.period.end, or participation_end_date in \
         /exchange/registries/participants)",
        "この参加者の記録（削除済みを含む）があるため Patient は削除できません。参加を終了してください\
         （ResearchSubject.period.end、または /exchange/registries/participants の participation_end_date）",
    )
}
