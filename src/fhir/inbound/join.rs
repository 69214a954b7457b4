//! Several Observations that are one record (mapping specification §2.6, §5.5): the parts of
//! the split shape, panels with members, halves, and values that join the record of the same
//! subject and time.

use std::collections::{BTreeMap, HashMap};

use crate::fault::{Code, Fault, Severity};
use crate::kind::Kind;
use crate::mapping::backward::join_of;
use crate::mapping::{Join, Role};
use crate::record::Cell;

use super::finish::Finish;
use super::reference::{Ref, Target};
use super::{Claim, Row};

/// The most records of one subject and time that a value may join.
const RECORDS_MAX: usize = 16;

/// The field whose value an Observation carries by itself.
pub(super) fn field_of(kind: &Kind, role: Role) -> Option<usize> {
    match role {
        Role::Panel => None,
        Role::Part(part) => kind.mapping.parts.get(part).map(|part| part.field),
        Role::Loose(field) => Some(field),
    }
}

/// Whose an Observation is, as far as that is known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    Person(u32, u32),
    Reference(Ref),
    Nobody,
}

/// What measured it, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Device {
    Part([Cell; 3]),
    Reference(Ref),
    None,
}

/// What the halves of a record have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Same {
    kind: u16,
    claim: Option<Claim>,
    subject: Subject,
    seconds: i64,
    device: Device,
    performers: Vec<Ref>,
    by_person: bool,
    encounter: (bool, Option<Ref>),
}

/// Records by subject and time.
type Records = HashMap<(Subject, i64), Vec<usize>>;

impl Finish<'_> {
    /// Puts together what is one record.
    pub(super) fn join(&mut self) {
        let is_whole = |row: &Row| row.role == Role::Panel;
        if self.taken.members.is_empty() && self.taken.rows.iter().all(is_whole) {
            return;
        }
        self.merge_parts();
        self.merge_members();
        self.pair_halves();
        self.join_values();
    }

    /// How a row joins a record, where it is none by itself.
    pub(super) fn joins(&self, row: &Row) -> Option<Join> {
        let kind = self.kinds.at(usize::from(row.kind));
        let field = field_of(kind, row.role).filter(|_| !row.refused)?;
        Some(join_of(kind, field))
    }

    fn same(&mut self, row: &Row) -> Same {
        let mut performers = self.taken.performers(row.performers).to_vec();
        performers.sort_unstable();
        Same {
            kind: row.kind,
            claim: row.claim,
            subject: self.subject(row),
            seconds: self.seconds(row),
            device: self.device(row),
            performers,
            by_person: self.is_by_person(row),
            encounter: (row.encounter, self.taken.around(row).encounter),
        }
    }

    fn subject(&mut self, row: &Row) -> Subject {
        match row.subject {
            None => Subject::Nobody,
            Some(at) => match self.whose(at).person() {
                Some((consortium, person)) => Subject::Person(consortium, person),
                None => Subject::Reference(at),
            },
        }
    }

    fn device(&self, row: &Row) -> Device {
        match (row.device, self.taken.device_of(row)) {
            (None, _) => Device::None,
            (Some(_), Some(part)) if part.is_whole() => Device::Part(part.cells),
            (Some(at), _) => Device::Reference(at),
        }
    }

    pub(super) fn seconds(&mut self, row: &Row) -> i64 {
        let time = self.kinds.at(usize::from(row.kind)).time;
        self.row_cells(row)[time].value()
    }

    /// Puts members into the panels that name them.
    fn merge_members(&mut self) {
        for (panel, member) in std::mem::take(&mut self.taken.members) {
            let panel = panel as usize;
            let Target::Row(part) = self.taken.refs.target(member) else {
                continue;
            };
            let part = part as usize;
            let (to, from) = (self.taken.rows[panel], self.taken.rows[part]);
            if to.refused || self.joins(&from).is_none() || !self.is_member(&to, &from) {
                continue;
            }
            self.add_or_refuse(panel, part);
            self.contradictions_of(panel, &from);
        }
    }

    /// Whether a part can be a member: what both say is the same.
    fn is_member(&mut self, panel: &Row, part: &Row) -> bool {
        let (to, from) = (self.same(panel), self.same(part));
        let kinds = [Some(part.kind), part.rival];
        let agree = |a: Device, b: Device| a == b || a == Device::None || b == Device::None;
        let (performers, others) = (&to.performers, &from.performers);
        kinds.contains(&Some(to.kind))
            && (to.subject, to.seconds) == (from.subject, from.seconds)
            && agree(to.device, from.device)
            && (performers == others || performers.is_empty() || others.is_empty())
            && (to.encounter == from.encounter || !to.encounter.0 || !from.encounter.0)
    }

    /// Makes records of halves that belong together.
    fn pair_halves(&mut self) {
        let mut groups: HashMap<Same, Vec<usize>> = HashMap::new();
        for place in 0..self.taken.rows.len() {
            let row = self.taken.rows[place];
            if self.joins(&row) == Some(Join::Half) {
                let same = self.same(&row);
                groups.entry(same).or_default().push(place);
            }
        }
        let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
        groups.sort_unstable();
        for group in groups {
            self.pair(&group);
        }
    }

    /// Makes records of the halves of one subject and time: one of those that are no numbered
    /// readings, and one of the first reading that is whole.
    fn pair(&mut self, group: &[usize]) {
        let kind = self.kinds.at(usize::from(self.taken.rows[group[0]].kind));
        let kind = kind.clone();
        let mut readings: BTreeMap<Option<u8>, Vec<usize>> = BTreeMap::new();
        for &place in group {
            let reading = self.taken.around(&self.taken.rows[place]).reading;
            readings.entry(reading).or_default().push(place);
        }
        let halves = (0..kind.fields.len()).filter(|&f| join_of(&kind, f) == Join::Half);
        let halves: Vec<usize> = halves.collect();
        let mut first = None;
        for (reading, rows) in readings {
            let of = |&half: &usize| -> Vec<usize> {
                let is =
                    |&&place: &&usize| field_of(&kind, self.taken.rows[place].role) == Some(half);
                rows.iter().filter(is).copied().collect()
            };
            let by_half: Vec<Vec<usize>> = halves.iter().map(of).collect();
            if by_half.iter().any(Vec::is_empty) {
                continue;
            }
            if let (Some(first), Some(_)) = (first, reading) {
                self.leave_reading(&rows, first);
                continue;
            }
            let values = |(half, places): (&usize, &Vec<usize>)| {
                let cell = |&place: &usize| {
                    let cells = self.taken.rows[place].cells as usize;
                    self.taken.cells[cells + half].scaled()
                };
                places.iter().all(|place| cell(place) == cell(&places[0]))
            };
            if !halves.iter().zip(&by_half).all(values) {
                self.refuse_repeated(&rows);
                continue;
            }
            let anchor = by_half[0][0];
            for part in by_half.concat() {
                if part != anchor && !self.taken.rows[anchor].refused {
                    self.add_or_refuse(anchor, part);
                }
            }
            self.contradictions(anchor);
            if reading.is_some() {
                first = Some(anchor);
            }
        }
    }

    /// A later reading of the same day: the first one is the record.
    fn leave_reading(&mut self, rows: &[usize], first: usize) {
        let kept = self.pointer(&self.taken.rows[first], "");
        for &place in rows {
            let row = self.taken.rows[place];
            self.speak_of(&row);
            let fault = Fault::new(Code::DuplicateIdentity, self.pointer(&row, ""), row.place)
                .severity(Severity::Information)
                .expected(format!("one reading; the first one is kept, {kept}"));
            self.taken.outcome.push(fault);
            self.taken.rows[place].refused = true;
            self.taken.joined.push((place, first));
            // It is no part of that record.
            self.taken.kept.retain(|kept| kept.row != place);
        }
    }

    /// Halves that cannot be told apart.
    fn refuse_repeated(&mut self, rows: &[usize]) {
        for &place in rows {
            let row = self.taken.rows[place];
            self.speak_of(&row);
            let others = rows.iter().filter(|&&other| other != place).take(3);
            let others: Vec<String> = others
                .map(|&other| self.pointer(&self.taken.rows[other], ""))
                .collect();
            let expected = format!("one value of each beside {}", others.join(", "));
            self.refuse(&row, Code::DuplicateIdentity, "", expected);
            self.taken.rows[place].refused = true;
        }
    }

    /// Puts values that came alone into the record of the same subject and time.
    fn join_values(&mut self) {
        let mut alone = Vec::new();
        let mut records = Records::new();
        for place in 0..self.taken.rows.len() {
            let row = self.taken.rows[place];
            match self.joins(&row) {
                Some(join @ (Join::Part | Join::Guest)) if row.claim.is_none() => {
                    alone.push((place, join));
                }
                None if !row.refused => {
                    let key = (self.subject(&row), self.seconds(&row));
                    records.entry(key).or_default().push(place);
                }
                _ => {}
            }
        }
        for (place, join) in alone {
            self.join_value(place, join, &records);
        }
    }

    fn join_value(&mut self, place: usize, join: Join, records: &Records) {
        let row = self.taken.rows[place];
        let kind = self.kinds.at(usize::from(row.kind)).clone();
        let Some(field) = field_of(&kind, row.role) else {
            return;
        };
        let (name, value) = (&kind.fields[field].name, self.row_cells(&row)[field]);
        let key = (self.subject(&row), self.seconds(&row));
        let mine = self.device(&row);
        // Those that have the value, and those that lack it.
        let (mut with, mut without) = (Vec::new(), Vec::new());
        let records = records.get(&key).into_iter().flatten();
        for &at in records.take(RECORDS_MAX) {
            let record = self.taken.rows[at];
            let theirs = self.device(&record);
            let named = mine != Device::None && theirs != Device::None;
            let fits = mine == theirs || (join == Join::Guest && !named);
            let of = self.kinds.at(usize::from(record.kind)).clone();
            let is_kind = record.kind == row.kind || Some(record.kind) == row.rival;
            let Some(field) = of
                .field(name)
                .filter(|_| fits && is_kind && !record.refused)
            else {
                continue;
            };
            let there = self.row_cells(&record)[field];
            match there.is_absent() {
                true => without.push((at, named)),
                false => with.push((at, there.scaled() == value.scaled())),
            }
        }
        if without.len() > 1 && without.iter().filter(|(_, named)| *named).count() == 1 {
            without.retain(|(_, named)| *named);
        }
        let same = with.iter().find(|(_, same)| *same);
        let record = match (without.as_slice(), same, with.first()) {
            (&[(record, _)], ..) | (&[], Some(&(record, _)), _) => record,
            (&[], None, None) => return,
            (&[], None, Some(&(other, _))) => {
                let expected = format!(
                    "the {name} of {}",
                    self.pointer(&self.taken.rows[other], "")
                );
                self.refuse_value(place, expected);
                return;
            }
            _ => {
                let expected = "one record of this subject and time, or the device of one".into();
                self.refuse_value(place, expected);
                return;
            }
        };
        match self.add(record, place) {
            Ok(()) => self.contradictions_of(record, &row),
            Err(differs) => {
                let pointer = self.pointer(&self.taken.rows[record], "");
                self.refuse_value(place, format!("the same {differs} as {pointer}"));
            }
        }
    }

    /// Refuses a value, which the record does without.
    pub(super) fn refuse_value(&mut self, place: usize, expected: String) {
        let row = self.taken.rows[place];
        self.speak_of(&row);
        self.refuse(&row, Code::RecordInconsistent, "", expected);
        self.taken.rows[place].refused = true;
    }
}
