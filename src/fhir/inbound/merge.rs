//! Rows that are put together, and rows that become those of another kind.

use std::collections::HashMap;

use crate::exchange;
use crate::fault::{Code, Fault};
use crate::kind::{Kind, Type};
use crate::mapping::{Role, Status};
use crate::record::Cell;

use super::finish::Finish;
use super::join::field_of;
use super::reference::Ref;
use super::{Claim, Row};

impl Finish<'_> {
    /// Adds a part to its record; where they contradict one another neither stands.
    pub(super) fn add_or_refuse(&mut self, anchor: usize, part: usize) {
        if let Err(differs) = self.add(anchor, part) {
            let pointer = self.pointer(&self.taken.rows[anchor], "");
            self.refuse_value(part, format!("the same {differs} as {pointer}"));
            self.refuse_value(anchor, "all parts of the record".into());
        }
    }

    /// Adds what a part says to its record.
    ///
    /// # Errors
    /// The name of the field on which they contradict one another; then nothing was changed.
    pub(super) fn add(&mut self, anchor: usize, part: usize) -> Result<(), String> {
        let (to, mut from) = (self.taken.rows[anchor], self.taken.rows[part]);
        let kind = self.kinds.at(usize::from(to.kind)).clone();
        if from.kind != to.kind {
            let own = self.kinds.at(usize::from(from.kind)).clone();
            self.recast(&mut from, &own, &kind);
        }
        let theirs = self.row_cells(&from).to_vec();
        let mut ours = self.row_cells(&to).to_vec();
        for (i, field) in kind.fields.iter().enumerate() {
            let (mine, other) = (ours[i], theirs[i]);
            if other.is_absent() || equal(field.ty, mine, other) {
                continue;
            }
            if mine.is_absent() || (i == kind.update && mine.value() < other.value()) {
                ours[i] = other;
            } else if i != kind.update {
                return Err(field.name.clone());
            }
        }
        self.row_cells(&to).copy_from_slice(&ours);
        let row = &mut self.taken.rows[anchor];
        row.role = Role::Panel;
        row.status = later(to.status, from.status);
        row.last_updated = to.last_updated.max(from.last_updated);
        row.coincident |= from.coincident;
        row.around = to.around.or(from.around);
        self.taken.rows[part].refused = true;
        self.taken.joined.push((part, anchor));
        Ok(())
    }

    /// Puts the parts of each record (mapping specification §2.6) into its anchor, or into
    /// the first of them where none came.
    pub(super) fn merge_parts(&mut self) {
        let key = |row: &Row| Some((row.kind, row.claim?));
        let mut groups: HashMap<(u16, Claim), Vec<usize>> = HashMap::new();
        for (i, row) in self.taken.rows.iter().enumerate() {
            if matches!(row.role, Role::Part(_))
                && let Some(key) = key(row)
            {
                groups.entry(key).or_default().push(i);
            }
        }
        if groups.is_empty() {
            return;
        }
        let mut anchors: HashMap<(u16, Claim), usize> = HashMap::new();
        for (i, row) in self.taken.rows.iter().enumerate() {
            if row.role == Role::Panel
                && let Some(key) = key(row)
                && groups.contains_key(&key)
            {
                anchors.entry(key).or_insert(i);
            }
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, parts)| parts[0]);
        for (key, mut parts) in groups {
            let anchor = match anchors.get(&key) {
                Some(&anchor) => anchor,
                None => parts.remove(0),
            };
            for part in parts {
                self.merge(anchor, part);
                self.taken.joined.push((part, anchor));
            }
            self.contradictions(anchor);
        }
    }

    /// The same, where a part that was put into a record can contradict something at all.
    pub(super) fn contradictions_of(&mut self, anchor: usize, part: &Row) {
        let kind = self.kinds.at(usize::from(part.kind));
        let field = field_of(kind, part.role);
        let mut pairs = kind.above.iter().chain(&kind.not_above);
        if pairs.any(|&(a, b)| field == Some(a) || field == Some(b)) {
            self.contradictions(anchor);
        }
    }

    /// Warns of values that came in several parts and contradict one another.
    pub(super) fn contradictions(&mut self, anchor: usize) {
        let row = self.taken.rows[anchor];
        if row.refused {
            return;
        }
        self.speak_of(&row);
        let kind = self.kinds.at(usize::from(row.kind)).clone();
        let cells = self.row_cells(&row).to_vec();
        let pointer = self.pointer(&row, "");
        let outcome = &mut self.taken.outcome;
        exchange::out_of_order(&kind, &cells, |_, code, expected, found| {
            let fault = Fault::new(code, pointer.clone(), row.place);
            outcome.push(fault.expected(expected).found(&found));
        });
    }

    /// Puts a part into its record. What both say must agree.
    fn merge(&mut self, anchor: usize, part: usize) {
        let (to, from) = (self.taken.rows[anchor], self.taken.rows[part]);
        self.speak_of(&from);
        self.taken.rows[part].refused = true;
        if to.refused || from.refused {
            // The fault of the one was told; the record cannot stand without it.
            if !to.refused {
                self.speak_of(&to);
                self.refuse(&to, Code::RecordInconsistent, "", "all parts of the record");
                self.taken.rows[anchor].refused = true;
            }
            return;
        }
        let kind = self.kinds.at(usize::from(to.kind)).clone();
        let is_part = |field: usize| kind.mapping.parts.iter().any(|p| p.field == field);
        let theirs = self.row_cells(&from).to_vec();
        let ours = self.row_cells(&to);
        let mut differs = None;
        for (i, field) in kind.fields.iter().enumerate() {
            let (mine, other) = (ours[i], theirs[i]);
            if other.is_absent() || equal(field.ty, mine, other) {
                continue;
            }
            if mine.is_absent() && is_part(i) {
                ours[i] = other;
            } else {
                differs = Some(field.name.clone());
                break;
            }
        }
        let same = |a: Option<Ref>, b: Option<Ref>| match (a, b) {
            (Some(a), Some(b)) => a == b || self.taken.refs.target(a) == self.taken.refs.target(b),
            _ => true,
        };
        let performers = |row: &Row| self.taken.performers(row.performers);
        let differs = differs
            .or_else(|| (!same(to.subject, from.subject)).then(|| "subject".into()))
            .or_else(|| (!same(to.device, from.device)).then(|| "device".into()))
            .or_else(|| (to.status != from.status).then(|| "status".into()))
            .or_else(|| (performers(&to) != performers(&from)).then(|| "performer".into()));
        if let Some(name) = differs {
            let expected = format!("the same {name} as {}", self.pointer(&to, ""));
            self.refuse(&from, Code::RecordInconsistent, "", expected);
            self.taken.rows[anchor].refused = true;
        } else {
            let row = &mut self.taken.rows[anchor];
            if row.role != Role::Panel {
                // Parts alone: what is missing is told of the record, not of a part.
                row.role = Role::Panel;
            }
        }
    }

    /// Makes a row one of another kind of the same codes: fields go by their names.
    pub(super) fn recast(&mut self, row: &mut Row, from: &Kind, to: &Kind) {
        let cells = self.row_cells(row).to_vec();
        let cell = |i: usize| {
            let field = &to.fields[i];
            let Some(at) = from.field(&field.name) else {
                return Cell::ABSENT;
            };
            match (field.ty, cells[at].raw()) {
                (Type::Code, Some(place)) => from.fields[at]
                    .codes
                    .get(place as usize)
                    .and_then(|item| field.code_place(&item.code))
                    .map_or(Cell::ABSENT, |place| Cell::plain(place as i64)),
                _ if field.ty == from.fields[at].ty => cells[at],
                _ => Cell::ABSENT,
            }
        };
        let recast: Vec<Cell> = (0..to.fields.len()).map(cell).collect();
        row.kind = to.place as u16;
        row.rival = row.rival.map(|_| from.place as u16);
        let part = |field: usize| to.mapping.parts.iter().position(|p| p.field == field);
        if let Some(field) = field_of(from, row.role).and_then(|f| to.field(&from.fields[f].name)) {
            row.role = part(field).map_or(Role::Loose(field), Role::Part);
        }
        row.cells = self.taken.cells.len() as u32;
        self.taken.cells.extend_from_slice(&recast);
    }
}

/// Whether two values are one; an absent one is none.
fn equal(ty: Type, a: Cell, b: Cell) -> bool {
    match ty {
        _ if a.is_absent() || b.is_absent() => false,
        Type::Number { .. } => a.scaled() == b.scaled(),
        _ => a == b,
    }
}

/// The status of two Observations that are one record.
fn later(a: Status, b: Status) -> Status {
    let rank = |status| match status {
        Status::Final => 0,
        Status::Amended => 1,
        Status::Corrected => 2,
    };
    if rank(a) < rank(b) { b } else { a }
}
