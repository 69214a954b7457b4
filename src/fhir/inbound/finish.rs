//! When everything has come: parts are put together, references followed, fallbacks used,
//! and the records given out as submissions.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use crate::decimal;
use crate::exchange::{self, Submission};
use crate::fault::{Code, Fault};
use crate::kind::{Kind, Kinds, Type};
use crate::mapping::Join;
use crate::mapping::backward::join_of;
use crate::record::{Cell, Texts};

use super::alone::Waiting;
use super::crosswalk::{Known, Reports, Whose};
use super::join::field_of;
use super::reference::{DevicePart, Ref, Target};
use super::{Outcome, Row, Taken};

/// A record that is complete.
pub(super) struct Done {
    pub consortium: u32,
    pub person: u32,
    pub row: usize,
}

/// What was taken, on its way to records.
pub(super) struct Finish<'a> {
    pub kinds: &'a Kinds,
    pub known: Known<'a>,
    pub taken: Taken,
    /// Whom references to Patients mean, as far as they were looked up.
    pub people: HashMap<Ref, Whose>,
    /// Those who performed what DiagnosticReports list.
    pub reports: Reports,
    /// Values whose records may be stored.
    pub late: Vec<Waiting>,
}

impl<'a> Finish<'a> {
    pub fn new(kinds: &'a Kinds, known: Known<'a>, taken: Taken) -> Finish<'a> {
        Finish {
            kinds,
            known,
            taken,
            people: HashMap::new(),
            reports: Reports::default(),
            late: Vec::new(),
        }
    }

    /// The submissions, by consortium, and what there is to say.
    pub fn converted(mut self) -> (Vec<Submission>, Outcome) {
        self.check_identities();
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
    pub fn complete_all(&mut self) -> Vec<Done> {
        self.decide();
        self.join();
        self.reports = self.reports_of_records();
        let mut rows = std::mem::take(&mut self.taken.rows);
        let mut done = Vec::with_capacity(rows.len());
        for (place, row) in rows.iter_mut().enumerate() {
            if row.refused {
                continue;
            }
            self.speak_of(row);
            if let Some((consortium, person)) = self.complete(place as u32, row) {
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

    /// Decides between kinds that share their codes. A value that joins a record of any of
    /// them goes by that.
    fn decide(&mut self) {
        for place in 0..self.taken.rows.len() {
            let mut row = self.taken.rows[place];
            let Some(rival) = row.rival.filter(|_| !row.refused) else {
                continue;
            };
            if self.joins(&row) == Some(Join::Guest) {
                continue;
            }
            let kind = self.kinds.at(usize::from(row.kind)).clone();
            let other = self.kinds.at(usize::from(rival)).clone();
            let home = self.is_home(&row);
            if kind.device.is_some() != home && other.device.is_some() == home {
                self.recast(&mut row, &kind, &other);
            }
            self.taken.rows[place] = row;
        }
    }

    /// The performers of DiagnosticReports by record: a report may list the parts of one.
    fn reports_of_records(&self) -> Reports {
        let mut reports = self.taken.reports_by_row();
        if reports.is_empty() {
            return reports;
        }
        for &(part, record) in &self.taken.joined {
            if let Some(&performers) = reports.get(&(part as u32)) {
                reports.entry(record as u32).or_insert(performers);
            }
        }
        reports
    }

    /// What is said next is about this row.
    pub fn speak_of(&mut self, row: &Row) {
        if self.taken.options.write {
            self.taken.outcome.about(row.entry);
        }
    }

    pub fn row_cells(&mut self, row: &Row) -> &mut [Cell] {
        let from = row.cells as usize;
        let fields = self.kinds.at(usize::from(row.kind)).fields.len();
        &mut self.taken.cells[from..from + fields]
    }

    pub fn pointer(&self, row: &Row, below: &str) -> String {
        self.taken.pointer(row, below)
    }

    pub fn refuse(
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

    /// Completes a record: whose it is, its source, and what is required. `None` where a
    /// fault refuses it.
    fn complete(&mut self, place: u32, row: &mut Row) -> Option<(u32, u32)> {
        let kind = self.kinds.at(usize::from(row.kind)).clone();
        if let Some(field) = field_of(&kind, row.role) {
            let late = self.taken.options.write && join_of(&kind, field) == Join::Guest;
            if late || row.claim.is_none() {
                self.alone(place, row, &kind, field);
                return None;
            }
        }
        self.fits(row, &kind)?;
        let (consortium, person) = self.person(row)?;
        let device = self.taken.device_of(row);
        self.source(place, row, &kind, device, consortium)?;
        self.fall_back(row, &kind, device.is_some_and(|device| device.is_whole()));
        let cells = self.row_cells(row).to_vec();
        let mut complete = true;
        for (at, (field, cell)) in kind.fields.iter().zip(&cells).enumerate() {
            if field.required && cell.is_absent() {
                let below = match field.ty {
                    _ if kind.mapping.main == Some(at) => ".value",
                    Type::Number { .. } => ".component",
                    _ => "",
                };
                self.refuse(row, Code::RequiredMissing, below, field.name.clone());
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

    /// Refuses a record whose device or laboratory is told by texts that break their rules:
    /// none other stands in for it. The text itself was told where it stands.
    fn fits(&mut self, row: &Row, kind: &Kind) -> Option<()> {
        let refs = &self.taken.refs;
        let unfit = |at: Ref| refs.follow(at).1 == Target::Unfit;
        if kind.device.is_some() && row.device.is_some_and(unfit) {
            let expected = "a Device whose manufacturer, modelNumber and serialNumber fit";
            self.refuse(row, Code::DeviceUnidentified, ".device", expected);
            return None;
        }
        let performers = self.taken.performers(row.performers);
        if kind.laboratory.is_some() && performers.iter().any(|&at| unfit(at)) {
            let expected = "an Organization whose identifier fits";
            self.refuse(row, Code::LaboratoryUnknown, ".performer", expected);
            return None;
        }
        Some(())
    }

    pub fn person(&mut self, row: &Row) -> Option<(u32, u32)> {
        if row.subject.is_some_and(|at| self.taken.is_dangling(at)) {
            let expected = "a Patient that is there";
            self.refuse(row, Code::ParticipantUnknown, ".subject", expected);
            return None;
        }
        let whose = row.subject.map(|at| self.whose(at));
        if let Some(Whose::Own(consortium, person)) = whose {
            return Some((consortium, person));
        }
        if let Some(Whose::Registered(consortium, person)) = whose {
            self.fell_back(row, "person_id", "participants.external_identifiers");
            return Some((consortium, person));
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
        let identifier = row.subject.and_then(|at| {
            let mut identifiers = self.taken.refs.identifiers(at);
            identifiers.next().map(str::to_owned)
        });
        let (code, expected) = match (whose, &identifier) {
            (Some(Whose::Several), _) => (
                Code::ParticipantAmbiguous,
                "an identifier of one participant in participants.external_identifiers",
            ),
            (_, Some(_)) => (
                Code::ParticipantUnknown,
                "an identifier of a consortium, or one that participants.external_identifiers has",
            ),
            _ => (
                Code::ParticipantUnknown,
                "a Patient with an identifier of a consortium",
            ),
        };
        let fault = Fault::new(code, self.pointer(row, ".subject"), row.place).expected(expected);
        let found = identifier.unwrap_or_default();
        self.taken.outcome.push(fault.found(&found));
        None
    }

    /// The device part, or the laboratory.
    fn source(
        &mut self,
        place: u32,
        row: &Row,
        kind: &Kind,
        device: Option<DevicePart>,
        consortium: u32,
    ) -> Option<()> {
        if let Some(fields) = kind.device {
            let part = self.device_part(row, kind, device, consortium)?;
            let cells = self.row_cells(row);
            for (field, cell) in fields.into_iter().zip(part) {
                cells[field] = cell;
            }
        }
        if let Some(field) = kind.laboratory {
            match self.laboratory(place, row, consortium) {
                Some((laboratory, elsewhere)) => {
                    // The source of an identifier is any text.
                    let text = self.taken.texts.get(i64::from(laboratory)).to_owned();
                    let max = match kind.fields[field].ty {
                        Type::Text { max, .. } => max,
                        _ => u16::MAX,
                    };
                    match exchange::text_cell(&text, max, &mut self.taken.texts) {
                        Ok(cell) => self.row_cells(row)[field] = cell,
                        Err(codes) => {
                            let code = codes.first().copied().unwrap_or(Code::Digits);
                            let expected = "the number of a laboratory in the identifier";
                            self.refuse(row, code, ".identifier", expected);
                            return None;
                        }
                    }
                    if let Some(source) = elsewhere {
                        self.fell_back(row, &kind.fields[field].name, source);
                    }
                }
                None if kind.fields[field].required => {
                    let expected = "an Organization that is a laboratory of the consortium: by our \
                         identifier, or by institution_code or external_identifiers in laboratories";
                    self.refuse(row, Code::LaboratoryUnknown, ".performer", expected);
                    return None;
                }
                None => {}
            }
        }
        Some(())
    }

    /// Maker, model and serial: of the device that is named, else of the one that stands in.
    fn device_part(
        &mut self,
        row: &Row,
        kind: &Kind,
        device: Option<DevicePart>,
        consortium: u32,
    ) -> Option<[Cell; 3]> {
        let [maker, _, serial] = device.map_or([Cell::ABSENT; 3], |device| device.cells);
        let fields = kind.device.unwrap_or_default();
        match device {
            Some(device) if device.is_whole() => {
                for (field, source) in fields.into_iter().zip(device.elsewhere) {
                    if !source.is_empty() {
                        self.fell_back(row, &kind.fields[field].name, source);
                    }
                }
                return Some(device.cells);
            }
            // Who made it is known, and which one it is: another cannot stand in.
            Some(_) if !maker.is_absent() && !serial.is_absent() => {}
            _ if row.device.is_some_and(|at| self.taken.is_dangling(at)) => {}
            _ => {
                if let Some(part) = self.fallback_device(kind, consortium) {
                    let names = fields.map(|field| kind.fields[field].name.as_str());
                    self.fell_back(row, &names.join(", "), "devices.fallback_for");
                    return Some(part);
                }
            }
        }
        let expected = format!(
            "a Device with manufacturer, modelNumber and serialNumber, \
             or a row of devices with fallback_for {}",
            kind.name
        );
        self.refuse(row, Code::DeviceUnidentified, ".device", expected);
        None
    }

    /// When it was changed last.
    pub fn update_time(&mut self, row: &Row, kind: &Kind) {
        if self.row_cells(row)[kind.update].is_absent() {
            let (millis, source) = match (row.last_updated, self.taken.envelope.timestamp) {
                (Some(millis), _) => (millis, "meta.lastUpdated"),
                (None, Some(millis)) => (millis, "Bundle.timestamp"),
                (None, None) => (self.taken.options.now, "time of receipt"),
            };
            self.row_cells(row)[kind.update] = Cell::plain(millis);
            let name = kind.fields[kind.update].name.clone();
            self.fell_back(row, &name, source);
        }
    }

    /// The fallbacks of mapping specification §5.2.
    fn fall_back(&mut self, row: &Row, kind: &Kind, has_device: bool) {
        self.update_time(row, kind);
        let absent = |this: &mut Self, field: usize| this.row_cells(row)[field].is_absent();
        let entry = if has_device {
            ("0", "device")
        } else if self.is_by_person(row) {
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
        if let Some((field, cell)) = self.derived(row, kind) {
            self.row_cells(row)[field] = cell;
            self.fell_back(row, &kind.fields[field].name, "codes of the method");
        }
        for (i, field) in kind.fields.iter().enumerate() {
            if field.required
                && absent(self, i)
                && let Some(cell) = self.recorded_minutes(row, kind, i)
            {
                self.row_cells(row)[i] = cell;
                self.fell_back(
                    row,
                    &field.name,
                    "activity-recording-times.recorded_minutes",
                );
            }
        }
    }

    /// The minutes that the device model records in a day, for a field that takes them.
    fn recorded_minutes(&mut self, row: &Row, kind: &Kind, field: usize) -> Option<Cell> {
        let accepts = kind.mapping.accepts.fields.get(&field)?;
        let [maker, model, _] = kind.device?;
        if accepts.fallback.as_deref() != Some("recorded-minutes") {
            return None;
        }
        let cells = self.row_cells(row);
        let (maker, model) = (cells[maker].raw()?, cells[model].raw()?);
        let text = |place| self.taken.texts.get(place);
        let times = self.known.lists.recording_time(text(maker), text(model))?;
        let minutes = times.text("recorded_minutes")?;
        match kind.fields[field].ty {
            Type::Number {
                digits, decimals, ..
            } => decimal::scan(minutes, digits, decimals).ok(),
            _ => None,
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
