//! Values that came without a record to join: they may be late for a stored one, or are
//! refused.

use std::sync::Arc;

use crate::fault::{Code, Fault};
use crate::fhir::id::{participant_hash, source_hash};
use crate::kind::{Kind, Type};
use crate::mapping::Join;
use crate::mapping::backward::join_of;
use crate::record::Cell;
use crate::store::LateValue;

use super::finish::Finish;
use super::{Late, Row};

/// A value whose record may be stored.
pub(super) struct Waiting {
    /// Its row.
    row: usize,
    consortium: u32,
    person: u32,
    /// The place of the record's kind, and the field there.
    kind: usize,
    field: usize,
    /// The row as one of that kind.
    cells: Vec<Cell>,
}

impl Finish<'_> {
    /// A value of one field without a record to join.
    pub(super) fn alone(&mut self, place: u32, row: &Row, kind: &Kind, field: usize) {
        let name = &kind.fields[field].name;
        match join_of(kind, field) {
            Join::Guest => {
                if self.taken.options.write && self.come_late(place, row, kind, field).is_some() {
                    return;
                }
                let expected = format!("a record of {} that {name} belongs to", kind.name);
                self.refuse(row, Code::CodeUnsupported, ".code", expected);
            }
            Join::Part | Join::Half => {
                let main = kind.mapping.main.filter(|&main| main != field);
                let missing = main.map_or_else(
                    || format!("the other values of {} beside {name}", kind.name),
                    |main| kind.fields[main].name.clone(),
                );
                self.refuse(row, Code::RequiredMissing, "", missing);
            }
        }
    }

    /// Keeps a value whose record may be stored without it: one of a laboratory that can do
    /// without. `None` where there is no such kind.
    fn come_late(&mut self, place: u32, row: &Row, kind: &Kind, field: usize) -> Option<()> {
        let (name, ty) = (&kind.fields[field].name, kind.fields[field].ty);
        let kinds = [Some(row.kind), row.rival].into_iter().flatten();
        let (of, field) = kinds
            .map(|place| self.kinds.at(usize::from(place)))
            .find_map(|of| {
                let field = of.field(name)?;
                let fits = !of.fields[field].required && of.fields[field].ty == ty;
                (fits && of.laboratory.is_some()).then_some((of, field))
            })?;
        // What is wrong from here on is told.
        let Some((consortium, person)) = self.person(row) else {
            return Some(());
        };
        let seconds = self.seconds(row);
        let claimed = row.claim.map(|c| (c.consortium, c.person, c.seconds));
        if claimed.is_some_and(|claimed| claimed != (consortium, person, seconds)) {
            let expected = "the subject and time of identifier[record]";
            self.refuse(row, Code::Identity, "", expected);
            return Some(());
        }
        self.update_time(row, kind);
        let mut as_its = *row;
        if of.place != kind.place {
            self.recast(&mut as_its, kind, of);
        }
        let cells = self.row_cells(&as_its).to_vec();
        self.late.push(Waiting {
            row: place as usize,
            consortium,
            person,
            kind: of.place,
            field,
            cells,
        });
        Some(())
    }

    /// The rows that wait for stored records, each with its consortium.
    pub(super) fn waiting(&self) -> Vec<(usize, u32)> {
        let all = self.late.iter();
        all.map(|one| (one.row, one.consortium)).collect()
    }

    /// What is to join stored records.
    pub(super) fn late_values(&self) -> Vec<Late> {
        self.late.iter().map(|one| self.late_value(one)).collect()
    }

    fn late_value(&self, one: &Waiting) -> Late {
        let row = &self.taken.rows[one.row];
        let kind = self.kinds.at(one.kind);
        let text = |place: i64| self.taken.texts.get(place);
        let name = &kind.fields[one.field].name;
        // What makes it this record, and no other, is compared elsewhere.
        let own = [one.field, kind.time, kind.update];
        let others = kind.fields.iter().zip(&one.cells).enumerate();
        let others = others.filter_map(|(field, (of, &cell))| {
            if cell.is_absent() || own.contains(&field) {
                return None;
            }
            let text = match of.ty {
                Type::Text { .. } => text(cell.value()),
                _ => "",
            };
            Some((field, cell, text.to_owned()))
        });
        let source = row
            .claim
            .map(|claim| source_hash(text(i64::from(claim.source))));
        let (consortium, person) = (text(one.consortium.into()), text(one.person.into()));
        let value = LateValue {
            participant: participant_hash(consortium, person),
            kind: one.kind,
            seconds: one.cells[kind.time].value(),
            source,
            field: one.field,
            value: one.cells[one.field],
            updated: one.cells[kind.update].value(),
            status: row.status,
            said: Arc::new(self.beside(one.row, name.clone(), others.collect())),
        };
        let expected = format!(
            "one record of {} at this time that lacks {name} and says nothing else otherwise",
            kind.name
        );
        let fault = Fault::new(Code::CodeUnsupported, self.pointer(row, ".code"), row.place);
        Late {
            entry: row.entry,
            value,
            fault: fault.expected(expected),
        }
    }
}
