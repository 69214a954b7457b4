//! Observations that are no record by themselves: parts of another entry's, and values of
//! records that are stored.

use std::collections::HashMap;

use super::{Answer, Ask, Requests, refusal};
use crate::fault::Fault;
use crate::fhir::inbound;
use crate::store::{Changes, Done};

impl Requests<'_> {
    /// The values that came without their records, with what is wrong where there is none.
    /// They are new by themselves: an update is of a whole record.
    pub(super) fn late(
        &mut self,
        all: Vec<inbound::Late>,
        changes: &mut Changes,
    ) -> Vec<(u32, Fault)> {
        let mut out = Vec::new();
        for inbound::Late {
            entry,
            value,
            fault,
        } in all
        {
            match self.request(entry).map(|request| &request.ask) {
                Some(Ask::Create { .. }) => {
                    changes.values.push(value);
                    out.push((entry, fault));
                }
                _ => self.answer(entry, Err(refusal(vec![fault]))),
            }
        }
        out
    }

    /// Answers what became of values that came without their records.
    pub(super) fn joined(
        &mut self,
        late: Vec<(u32, Fault)>,
        done: &Done,
        said: &mut HashMap<u32, Vec<inbound::Issue>>,
    ) {
        for ((entry, fault), joined) in late.into_iter().zip(&done.values) {
            let Some(resource) = self.request(entry).map(|request| request.resource) else {
                continue;
            };
            let answer = match joined {
                None => Err(refusal(vec![fault])),
                Some(joined) if done.kept => {
                    let mut notices = said.remove(&entry).unwrap_or_default();
                    let own = joined.notices.iter().cloned();
                    notices.extend(own.map(inbound::Issue::of));
                    let id = joined.record.encode();
                    Ok(Answer::became(
                        resource,
                        id,
                        &joined.change,
                        done.at,
                        notices,
                    ))
                }
                Some(_) => continue,
            };
            self.answer(entry, answer);
        }
    }

    /// A part of a record shares the fate of the record; what there is to say of it is its own.
    pub(super) fn share(
        &mut self,
        part: u32,
        row: u32,
        said: &mut HashMap<u32, Vec<inbound::Issue>>,
    ) {
        if !self.is_answered(part)
            && let Some(Some(answer)) = self.answers.get(row as usize)
        {
            let mut answer = answer.clone();
            if let Ok(answer) = &mut answer {
                answer.notices = said.remove(&part).unwrap_or_default();
            }
            self.answer(part, answer);
        }
    }
}
