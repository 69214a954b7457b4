//! When everything has come: parts are put together, references followed, fallbacks used,
//! and the records given out as submissions.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use crate::exchange::{self, Submission};
use crate::fault::{Code, Fault};
use crate::kind::{Kind, Type};
use crate::mapping::backward::join_of;
use crate::mapping::{Join, Role};
use crate::record::{Cell, Texts};

use super::reference::{Ref, Target};
use super::{Claim, Inbound, Outcome, Row};

/// A record that is complete.
pub(super) struct Done {
    consortium: u32,
    person: u32,
    row: usize,
}

impl Inbound<'_> {
    /// The submissions, by consortium, and what there is to say.
    pub fn finish(mut self) -> (Vec<Submission>, Outcome) {
        let done = self.complete_all();
        let mut submissions = self.submissions(done);
        for (submission, _) in &mut submissions {
            for (_, fault) in std::mem::take(&mut submission.faults) {
                self.taken.outcome.push(fault);
            }
        }
        let submissions = submissions.into_iter().map(|(submission, _)| submission);
        (submissions.collect(), self.taken.outcome)
    }

    /// Puts parts together and completes what can be completed.
    pub(super) fn complete_all(&mut self) -> Vec<Done> {
        self.merge_parts();
        let mut rows = std::mem::take(&mut self.taken.rows);
        let mut done = Vec::with_capacity(rows.len());
        for (place, row) in rows.iter_mut().enumerate() {
            if row.refused {
                continue;
            }
            self.speak_of(row);
            if let Some((consortium, person)) = self.complete(row) {
                done.push(Done {
                    consortium,
                    person,
                    row: place,
                });
            }
        }
        self.taken.rows = rows;
        done
    }

    /// What is said next is about this row.
    fn speak_of(&mut self, row: &Row) {
        if self.taken.options.write {
            self.taken.outcome.about(row.entry);
        }
    }

    fn row_cells(&mut self, row: &Row) -> &mut [Cell] {
        let from = row.cells as usize;
        let fields = self.kinds.at(usize::from(row.kind)).fields.len();
        &mut self.taken.cells[from..from + fields]
    }

    fn pointer(&self, row: &Row, below: &str) -> String {
        self.taken.pointer(row, below)
    }

    fn refuse(
        &mut self,
        row: &Row,
        code: Code,
        below: &str,
        expected: impl Into<Cow<'static, str>>,
    ) {
        let fault = Fault::new(code, self.pointer(row, below), row.place).expected(expected);
        self.taken.outcome.push(fault);
    }

    fn fell_back(&mut self, row: &Row, field: &str, source: &'static str) {
        let pointer = self.pointer(row, "");
        let place = row.place;
        let key = format!("{field} {source}");
        self.taken.outcome.tally(
            Code::FallbackUsed,
            &key,
            || pointer,
            |pointer| {
                Fault::new(Code::FallbackUsed, pointer, place)
                    .expected(field.to_owned())
                    .found(source)
            },
        );
    }

    /// Puts the parts of each record (mapping specification §2.6) into its anchor, or into
    /// the first of them where none came.
    fn merge_parts(&mut self) {
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

    /// Warns of values that came in several parts and contradict one another.
    fn contradictions(&mut self, anchor: usize) {
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
            let equal = match field.ty {
                Type::Number { .. } => mine.scaled() == other.scaled(),
                _ => mine == other,
            };
            if other.is_absent() || (!mine.is_absent() && equal) {
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
        let performers = |row: &Row| {
            let (from, count) = row.performers;
            let range = from as usize..from as usize + usize::from(count);
            self.taken
                .performers
                .get(range)
                .unwrap_or_default()
                .to_vec()
        };
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

    /// Completes a record: whose it is, its source, and what is required. `None` where a
    /// fault refuses it.
    fn complete(&mut self, row: &mut Row) -> Option<(u32, u32)> {
        let mut kind = self.kinds.at(usize::from(row.kind)).clone();
        if let Role::Loose(field) | Role::Part(field) = row.role
            && row.claim.is_none()
        {
            let field = match row.role {
                Role::Part(part) => kind.mapping.parts[part].field,
                _ => field,
            };
            self.alone(row, &kind, field);
            return None;
        }
        let device = row.device.and_then(|at| match self.taken.refs.target(at) {
            Target::Device(place) => self.taken.refs.device_part(place),
            _ => None,
        });
        if let Some(rival) = row.rival {
            // Mapping specification §5.1, rule 3.
            let home = !row.encounter && (device.is_some() || row.by_person);
            let other = self.kinds.at(usize::from(rival)).clone();
            if kind.device.is_some() != home && other.device.is_some() == home {
                self.recast(row, &kind, &other);
                kind = other;
            }
        }
        let (consortium, person) = self.person(row)?;
        self.source(row, &kind, device, consortium)?;
        self.fall_back(row, &kind, device.is_some());
        let cells = self.row_cells(row).to_vec();
        let mut complete = true;
        for (field, cell) in kind.fields.iter().zip(&cells) {
            if field.required && cell.is_absent() {
                self.refuse(row, Code::RequiredMissing, "", field.name.clone());
                complete = false;
            }
        }
        if !complete {
            return None;
        }
        if let Some(claim) = row.claim {
            let source = kind
                .source
                .and_then(|f| cells[f].raw())
                .map_or("", |place| self.taken.texts.get(place));
            let same = claim.consortium == consortium
                && claim.person == person
                && claim.seconds == cells[kind.time].value()
                && self.taken.texts.get(i64::from(claim.source)) == source;
            if !same {
                let expected = "the subject, time and source of identifier[record]";
                self.refuse(row, Code::Identity, "", expected);
                return None;
            }
        }
        Some((consortium, person))
    }

    /// A value of one field without a record to join.
    fn alone(&mut self, row: &Row, kind: &Kind, field: usize) {
        let name = &kind.fields[field].name;
        match join_of(kind, field) {
            Join::Guest => {
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

    /// Makes a row one of another kind of the same codes: fields go by their names.
    fn recast(&mut self, row: &mut Row, from: &Kind, to: &Kind) {
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
        row.rival = None;
        row.cells = self.taken.cells.len() as u32;
        self.taken.cells.extend_from_slice(&recast);
    }

    fn person(&mut self, row: &Row) -> Option<(u32, u32)> {
        let target = row.subject.map(|at| self.taken.refs.target(at));
        if let Some(Target::Person(consortium, person)) = target {
            return Some((consortium, person));
        }
        if row.subject.is_some_and(|at| self.is_dangling(at)) {
            let expected = "a Patient that is there";
            self.refuse(row, Code::ParticipantUnknown, ".subject", expected);
            return None;
        }
        // Our own identifier names the person as well.
        if let Some(claim) = row.claim {
            let text = |place: u32| self.taken.texts.get(i64::from(place)).to_owned();
            let is_id = |text: &str, max: usize| {
                exchange::id_fault(text, max, String::new(), row.place).is_none()
            };
            if is_id(&text(claim.consortium), 6) && is_id(&text(claim.person), 20) {
                return Some((claim.consortium, claim.person));
            }
        }
        let expected = "a Patient with an identifier of a consortium";
        self.refuse(row, Code::ParticipantUnknown, ".subject", expected);
        None
    }

    /// The device part, or the laboratory.
    fn source(
        &mut self,
        row: &Row,
        kind: &Kind,
        device: Option<[Cell; 3]>,
        consortium: u32,
    ) -> Option<()> {
        if let Some(fields) = kind.device {
            let Some(part) = device else {
                let expected = "a Device with manufacturer, modelNumber and serialNumber";
                self.refuse(row, Code::DeviceUnidentified, ".device", expected);
                return None;
            };
            let cells = self.row_cells(row);
            for (field, cell) in fields.into_iter().zip(part) {
                cells[field] = cell;
            }
        }
        if let Some(field) = kind.laboratory {
            let (from, count) = row.performers;
            let range = from as usize..from as usize + usize::from(count);
            let performers = self.taken.performers.get(range).unwrap_or_default();
            let named = performers
                .iter()
                .find_map(|&at| match self.taken.refs.target(at) {
                    Target::Laboratory(of, laboratory) if of == consortium => Some(laboratory),
                    _ => None,
                });
            let claimed = row.claim.map(|c| c.source);
            let claimed = claimed.filter(|&s| !self.taken.texts.get(i64::from(s)).is_empty());
            match named.or(claimed) {
                Some(place) => self.row_cells(row)[field] = Cell::plain(i64::from(place)),
                None if kind.fields[field].required => {
                    let expected = "an Organization with an identifier of a laboratory";
                    self.refuse(row, Code::LaboratoryUnknown, ".performer", expected);
                    return None;
                }
                None => {}
            }
        }
        Some(())
    }

    /// The fallbacks of mapping specification §5.2.
    fn fall_back(&mut self, row: &Row, kind: &Kind, has_device: bool) {
        let absent = |this: &mut Self, field: usize| this.row_cells(row)[field].is_absent();
        if absent(self, kind.update) {
            let (millis, source) = match (row.last_updated, self.taken.envelope.timestamp) {
                (Some(millis), _) => (millis, "meta.lastUpdated"),
                (None, Some(millis)) => (millis, "Bundle.timestamp"),
                (None, None) => (self.taken.options.now, "time of receipt"),
            };
            self.row_cells(row)[kind.update] = Cell::plain(millis);
            let name = kind.fields[kind.update].name.clone();
            self.fell_back(row, &name, source);
        }
        let entry = if has_device {
            ("0", "device")
        } else if row.by_person {
            ("1", "performer")
        } else {
            ("0", "default")
        };
        let clock = if row.coincident {
            ("1", "CoincidentTimeStampReference")
        } else {
            ("0", "default")
        };
        for (name, (code, source)) in [("data_input_code", entry), ("origin_of_time_code", clock)] {
            let Some(field) = kind.field(name).filter(|&f| kind.fields[f].required) else {
                continue;
            };
            if absent(self, field)
                && let Some(place) = kind.fields[field].code_place(code)
            {
                self.row_cells(row)[field] = Cell::plain(place as i64);
                self.fell_back(row, name, source);
            }
        }
    }

    /// One submission for each consortium, in which the rules between records are kept, and
    /// the row of each record.
    pub(super) fn submissions(&mut self, done: Vec<Done>) -> Vec<(Submission, Vec<usize>)> {
        let mut consortia: BTreeMap<String, Vec<Done>> = BTreeMap::new();
        let mut names: HashMap<u32, String> = HashMap::new();
        for one in done {
            let texts = &self.taken.texts;
            let name = names
                .entry(one.consortium)
                .or_insert_with(|| texts.get(i64::from(one.consortium)).to_owned());
            match consortia.get_mut(name) {
                Some(list) => list.push(one),
                None => {
                    consortia.insert(name.clone(), vec![one]);
                }
            }
        }
        let several = consortia.len() > 1;
        let mut out = Vec::new();
        for (consortium, done) in consortia {
            let rows = done.iter().map(|one| one.row).collect();
            out.push((self.submission(consortium, &done, several), rows));
        }
        out
    }

    fn submission(&mut self, consortium: String, done: &[Done], several: bool) -> Submission {
        let mut out = Submission::new(self.taken.options.faults_max);
        let version = self.taken.envelope.format_version.as_deref();
        version.unwrap_or("1.0").clone_into(&mut out.format_version);
        out.edition = self.taken.envelope.edition.unwrap_or_default();
        out.origin = self.taken.origin;
        let sent = self
            .taken
            .envelope
            .timestamp
            .filter(|_| !self.taken.options.write);
        out.send_time = sent.unwrap_or(self.taken.options.now);
        out.consortium_id = consortium;
        let mut persons: HashMap<u32, u32, foldhash::fast::RandomState> = HashMap::default();
        let mut cells = Vec::new();
        for one in done {
            let row = self.taken.rows[one.row];
            let kind = self.kinds.at(usize::from(row.kind)).clone();
            let person = *persons.entry(one.person).or_insert_with(|| {
                out.persons
                    .push(self.taken.texts.get(i64::from(one.person)).to_owned());
                out.persons.len() as u32 - 1
            });
            cells.clear();
            cells.extend_from_slice(self.row_cells(&row));
            if several {
                move_texts(&kind, &mut cells, &self.taken.texts, &mut out.texts);
            }
            let place = out.push(person, &kind, &cells);
            out.rows[place].position.index = row.entry;
            out.rows[place].position.place = row.place;
        }
        if !several {
            out.texts = std::mem::take(&mut self.taken.texts);
        }
        exchange::check(self.kinds, &mut out);
        out
    }
}

/// Puts the texts of a row into the texts of its submission.
fn move_texts(kind: &Kind, cells: &mut [Cell], from: &Texts, to: &mut Texts) {
    for (field, cell) in kind.fields.iter().zip(cells) {
        if matches!(field.ty, Type::Text { .. })
            && let Some(place) = cell.raw()
        {
            *cell = Cell::plain(i64::from(to.intern(from.get(place))));
        }
    }
}
