//! What a transaction reads, beside what it writes: where that finds nothing, nothing is
//! written (<https://hl7.org/fhir/R4/http.html#transaction>).
//!
//! It is read when all is written, and whether it finds something then is known before: what
//! is there is there still, unless the transaction deletes it, and what it writes is there.

use super::Requests;
use crate::fhir::id;
use crate::fhir::resource::Resource;
use crate::http::error::Problem;
use crate::http::fhir::call::gone;
use crate::store::{Changes, RecordChanges};

/// Something that is to be read.
#[derive(Debug, Clone)]
pub struct Read {
    /// The entry that asks for it.
    pub entry: u32,
    /// The type and the id of the resource that its address names; empty where it names none.
    pub named: (String, String),
    /// Why it cannot be read as things are.
    pub problem: Option<Problem>,
}

/// A resource that is written or deleted.
#[derive(Debug)]
pub(super) struct Written {
    pub resource: &'static Resource,
    pub id: String,
    pub entry: u32,
    pub deleted: bool,
}

impl Written {
    pub fn key(&self) -> (&str, &str, u32) {
        (self.resource.name(), &self.id, self.entry)
    }

    /// Whether both are of one resource.
    pub fn is_same(&self, other: &Written) -> bool {
        self.resource.name() == other.resource.name() && self.id == other.id
    }

    /// Whether a resource is there or not because of it.
    fn decides_on(&self, resource_type: &str, id: &str) -> bool {
        // Both are made from one row.
        let of_participant = |name| matches!(name, "Patient" | "ResearchSubject");
        let own = self.resource.name();
        let same = own == resource_type || of_participant(own) && of_participant(resource_type);
        same && self.id == id
    }
}

impl Requests<'_> {
    /// Answers what would find nothing.
    pub(super) fn refuse_reads(&mut self, changes: &Changes, named: &[Written]) {
        for read in std::mem::take(&mut self.reads) {
            let (resource_type, id) = (read.named.0.as_str(), read.named.1.as_str());
            let mut decides = named.iter().filter(|w| w.decides_on(resource_type, id));
            let problem = match decides.next() {
                Some(written) if written.deleted => Some(gone(resource_type)),
                Some(_) => None,
                None if resource_type == "Device" && self.names_device(changes, id) => None,
                None => read.problem,
            };
            if let Some(problem) = problem {
                self.answer(read.entry, Err(problem));
            }
        }
    }

    /// Whether a record that is written names a device.
    fn names_device(&self, changes: &Changes, wanted: &str) -> bool {
        let kinds = self.call.app.kinds();
        changes
            .records
            .iter()
            .any(|RecordChanges { submission, .. }| {
                submission.rows.iter().any(|row| {
                    let record = submission.record(kinds, row);
                    record.kind.device.is_some_and(|part| {
                        let [maker, model, serial] = part.map(|field| record.text(field));
                        id::device(maker, model, serial) == wanted
                    })
                })
            })
    }
}
