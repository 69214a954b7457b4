//! Values that came without a record to join: they may be late for a stored one, or are
//! refused.

use crate::fault::{Code, Fault};
use crate::fhir::id::{participant_hash, source_hash};
use crate::kind::Kind;
use crate::mapping::Join;
use crate::mapping::backward::join_of;
use crate::store::LateValue;

use super::finish::Finish;
use super::{Late, Row};

impl Finish<'_> {
    /// A value of one field without a record to join.
    pub(super) fn alone(&mut self, row: &Row, kind: &Kind, field: usize) {
        let name = &kind.fields[field].name;
        match join_of(kind, field) {
            Join::Guest => {
                if self.taken.options.write && self.come_late(row, kind, field).is_some() {
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
    fn come_late(&mut self, row: &Row, kind: &Kind, field: usize) -> Option<()> {
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
        let source = row
            .claim
            .map(|claim| source_hash(self.taken.texts.get(i64::from(claim.source))));
        let seconds = self.seconds(row);
        let claimed = row.claim.map(|c| (c.consortium, c.person, c.seconds));
        if claimed.is_some_and(|claimed| claimed != (consortium, person, seconds)) {
            let expected = "the subject and time of identifier[record]";
            self.refuse(row, Code::Identity, "", expected);
            return Some(());
        }
        self.update_time(row, kind);
        let cells = self.row_cells(row);
        let own = kind.field(name)?;
        let (value, updated) = (cells[own], cells[kind.update].value());
        let text = |place: u32| self.taken.texts.get(i64::from(place));
        let value = LateValue {
            participant: participant_hash(text(consortium), text(person)),
            kind: of.place,
            seconds,
            source,
            field,
            value,
            updated,
            status: row.status,
        };
        let pointer = self.pointer(row, ".code");
        let expected = format!("one record of {} at this time that lacks {name}", of.name);
        let fault = Fault::new(Code::CodeUnsupported, pointer, row.place).expected(expected);
        let entry = row.entry;
        self.late.push(Late {
            entry,
            value,
            fault,
        });
        Some(())
    }
}
