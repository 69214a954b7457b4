//! What is said with a value that comes late for a stored record: it comes to what is kept of
//! that, once the record is at hand.

use serde_json::Value;

use super::finish::Finish;
use super::kept::{difference, not_kept, put, render};
use crate::fault::{Fault, Place};
use crate::fhir::residue;
use crate::kind::{Kinds, Type};
use crate::mapping::Unregistered;
use crate::record::{Cell, Record};
use crate::store::{Residue, Said};

impl Finish<'_> {
    /// What a row says beside its value that joins a stored record; `others` are the further
    /// fields of that record's kind that it says.
    pub(super) fn beside(
        &self,
        row: usize,
        field: String,
        others: Vec<(usize, Cell, String)>,
    ) -> Beside {
        let own = &self.taken.rows[row];
        Beside {
            field,
            value: self.kept_of(row).first().map(|kept| kept.value.clone()),
            others,
            pointer: self.pointer(own, ""),
            place: own.place,
        }
    }
}

/// What an Observation says beside the value with which it comes late.
#[derive(Debug)]
pub(super) struct Beside {
    field: String,
    /// The Observation, where it says more than the value.
    value: Option<Value>,
    others: Vec<(usize, Cell, String)>,
    pointer: String,
    place: Place,
}

impl Said for Beside {
    fn agrees(&self, record: &Record) -> bool {
        self.others.iter().all(|(field, cell, text)| {
            let stored = record.cells[*field];
            stored.is_absent()
                || match record.kind.fields[*field].ty {
                    Type::Number { .. } => stored.scaled() == cell.scaled(),
                    Type::Text { .. } => record.text(*field) == text,
                    _ => stored == *cell,
                }
        })
    }

    fn residue(
        &self,
        kinds: &Kinds,
        [before, now]: [&Record; 2],
        kept: Option<&str>,
    ) -> (Option<Residue>, Vec<Fault>) {
        let program = &now.kind.mapping.panel.program;
        let [before, rendered] =
            [before, now].map(|record| render(record, program, None, &Unregistered));
        let Some((mut whole, rendered)) = before.zip(rendered) else {
            return (None, Vec::new());
        };
        let forms = kept.and_then(|kept| serde_json::from_str::<Vec<Value>>(kept).ok());
        for form in forms.iter().flatten() {
            residue::onto(&mut whole, form);
        }
        // What was about the values of the record is about them still: they stayed.
        let mut now_whole = rendered.clone();
        put(
            kinds,
            now,
            &Unregistered,
            &rendered,
            &mut now_whole,
            (None, &whole),
        );
        let mut lost = Vec::new();
        if let Some(value) = &self.value {
            let mut value = value.clone();
            // It is that of the record, which has its own form of it.
            if let Some(members) = value.as_object_mut() {
                members.retain(|name, _| !name.starts_with("effective"));
            }
            let said = (Some(self.field.as_str()), &value);
            lost = put(kinds, now, &Unregistered, &rendered, &mut now_whole, said);
        }
        let fault = |name: String| not_kept(self.pointer.clone(), &name, self.place);
        (
            difference(kinds, now.kind, &rendered, &now_whole),
            lost.into_iter().map(fault).collect(),
        )
    }
}
