//! Reads a submission as a stream: compact rows, and every fault with its place.

use std::collections::HashMap;
use std::io::Read;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::{FUTURE_MAX, Position, Row, Submission, pointer};
use crate::decimal;
use crate::fault::{Code, Fault, Place, Severity};
use crate::json::{self, Event, Reader as Json};
use crate::kind::{Edition, Field, Kind, Kinds, Type};
use crate::record::{Cell, Texts};
use crate::time;

/// How to read.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Lenient handling: an unknown field is a warning.
    pub lenient: bool,
    /// The most faults that are listed; further refused records are counted.
    pub faults_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            lenient: false,
            faults_max: 100_000,
        }
    }
}

/// Reads one submission. Faults of the content are in the result; nothing stops at the first.
///
/// # Errors
/// [`json::Error`] when the text is not JSON or the source fails; then nothing is known of it.
pub fn read(kinds: &Kinds, options: Options, source: impl Read) -> json::Result<Submission> {
    let mut json = Json::new(source);
    let first = json.next()?;
    let submission = read_document(kinds, options, &mut json, first)?;
    if json.next()? != Event::End {
        return Err(json::Error::Syntax {
            place: json.place(),
            reason: "text after the submission",
        });
    }
    Ok(submission)
}

/// Reads one submission whose first event was just returned (NDJSON holds many).
pub fn read_document<R: Read>(
    kinds: &Kinds,
    options: Options,
    json: &mut Json<R>,
    first: Event,
) -> json::Result<Submission> {
    let mut reader = Reader {
        kinds,
        options,
        json,
        out: Submission::new(options.faults_max),
        persons: HashMap::default(),
        cells: Vec::new(),
        places: Vec::new(),
        hints: vec![Vec::new(); kinds.len()],
        send_time: None,
        refused: false,
        full: false,
    };
    reader.envelope(first)?;
    let mut out = reader.out;
    super::check(kinds, &mut out);
    Ok(out)
}

struct Reader<'a, R> {
    kinds: &'a Kinds,
    options: Options,
    json: &'a mut Json<R>,
    out: Submission,
    persons: HashMap<String, u32, foldhash::fast::RandomState>,
    /// The record being read, and where each value stands.
    cells: Vec<Cell>,
    places: Vec<Place>,
    /// For each kind the order of the fields in the record before: the next is likely alike.
    hints: Vec<Vec<u8>>,
    send_time: Option<i64>,
    /// Whether a fault refuses the record being read.
    refused: bool,
    /// Whether the limit of faults was reached before it.
    full: bool,
}

/// The keys of one object, to find repeated ones.
#[derive(Default)]
struct Seen(Vec<&'static str>);

impl Seen {
    fn again(&mut self, key: &'static str) -> bool {
        let again = self.0.contains(&key);
        self.0.push(key);
        again
    }
}

impl<R: Read> Reader<'_, R> {
    fn envelope(&mut self, first: Event) -> json::Result<()> {
        let place = self.json.place();
        if first != Event::ObjectStart {
            self.json.skip(first)?;
            self.broken(Fault::new(Code::Type, "", place).expected("an object"));
            return Ok(());
        }
        const FIELDS: [&str; 4] = [
            "format_version",
            "send_time",
            "consortium_id",
            "person_information",
        ];
        let mut seen = Seen::default();
        let mut given = [false; 4];
        while self.json.next()? == Event::Key {
            let Some(at) = FIELDS.iter().position(|f| *f == self.json.text()) else {
                self.unknown("")?;
                continue;
            };
            let name = FIELDS[at];
            let event = self.json.next()?;
            if seen.again(name) {
                let fault = Fault::new(Code::DuplicateKey, format!("/{name}"), self.json.place());
                self.broken(fault);
                self.json.skip(event)?;
                continue;
            }
            given[at] = event != Event::Null;
            match name {
                "person_information" => self.person_information(event)?,
                _ if event == Event::Null => {}
                _ => self.envelope_field(name, event)?,
            }
        }
        for (name, _) in FIELDS.iter().zip(given).filter(|(_, given)| !given) {
            self.broken(Fault::new(Code::RequiredMissing, format!("/{name}"), place));
        }
        Ok(())
    }

    fn envelope_field(&mut self, name: &'static str, event: Event) -> json::Result<()> {
        let place = self.json.place();
        let at = format!("/{name}");
        if event != Event::String {
            self.json.skip(event)?;
            self.broken(Fault::new(Code::Type, at, place).expected("a string"));
            return Ok(());
        }
        let text = self.json.text();
        let fault = match name {
            "format_version" => {
                let minor = text.strip_prefix("1.").is_some_and(|minor| {
                    !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit())
                });
                self.out.format_version = text.to_owned();
                (!minor)
                    .then(|| Fault::new(Code::CodeUnknown, at, place).expected("1. and a digit"))
            }
            "send_time" => match time::parse17(text) {
                Some(millis) => {
                    self.out.send_time = millis;
                    self.send_time = Some(millis);
                    None
                }
                None => Some(
                    Fault::new(Code::TimeInvalid, at, place).expected("yyyyMMddHHmmssSSS in JST"),
                ),
            },
            _ => {
                let fault = id_fault(text, 6, at, place);
                if fault.is_none() {
                    self.out.consortium_id = text.to_owned();
                    self.out.consortium_place = place;
                }
                fault
            }
        };
        if let Some(fault) = fault {
            let fault = fault.found(self.json.text());
            self.broken(fault);
        }
        Ok(())
    }

    fn person_information(&mut self, event: Event) -> json::Result<()> {
        let at = "/person_information";
        match event {
            Event::Null => return Ok(()),
            Event::ArrayStart => {}
            _ => {
                let place = self.json.place();
                self.json.skip(event)?;
                self.broken(Fault::new(Code::Type, at, place).expected("an array"));
                return Ok(());
            }
        }
        let mut index = 0;
        loop {
            match self.json.next()? {
                Event::ArrayEnd => return Ok(()),
                Event::ObjectStart => self.person(index)?,
                other => {
                    let fault = Fault::new(Code::Type, format!("{at}/{index}"), self.json.place());
                    self.json.skip(other)?;
                    self.fault(fault.expected("an object"));
                }
            }
            index += 1;
        }
    }

    fn person(&mut self, index: u32) -> json::Result<()> {
        let place = self.json.place();
        let kinds = self.kinds;
        let first_row = self.out.rows.len();
        let mut id_given = false;
        let mut person = None;
        let mut problem = None;
        let mut seen: Vec<usize> = Vec::new();
        while self.json.next()? == Event::Key {
            let name = self.json.text();
            if name == "person_id" {
                let event = self.json.next()?;
                let at = format!("/person_information/{index}/person_id");
                let value_place = self.json.place();
                if id_given {
                    self.json.skip(event)?;
                    problem = Some(Fault::new(Code::DuplicateKey, at, value_place));
                    continue;
                }
                match event {
                    Event::Null => {}
                    Event::String => {
                        id_given = true;
                        let id = self.json.text();
                        match id_fault(id, 20, at, value_place) {
                            Some(fault) => problem = Some(fault.found(id)),
                            None => person = Some(self.person_place()),
                        }
                    }
                    _ => {
                        id_given = true;
                        self.json.skip(event)?;
                        problem =
                            Some(Fault::new(Code::Type, at, value_place).expected("a string"));
                    }
                }
                continue;
            }
            let Some(section) = kinds.sections.iter().position(|s| s == name) else {
                self.unknown(&format!("/person_information/{index}"))?;
                continue;
            };
            let event = self.json.next()?;
            if seen.contains(&section) {
                let at = format!("/person_information/{index}/{}", kinds.sections[section]);
                self.fault(Fault::new(Code::DuplicateKey, at, self.json.place()));
                self.json.skip(event)?;
                continue;
            }
            seen.push(section);
            self.section(index, &kinds.sections[section], event)?;
        }
        if !id_given && problem.is_none() {
            let at = format!("/person_information/{index}/person_id");
            problem = Some(Fault::new(Code::RequiredMissing, at, place));
        }
        for row in &mut self.out.rows[first_row..] {
            row.person = person;
        }
        if let Some(fault) = problem {
            for row in first_row..self.out.rows.len() {
                self.out.rows[row].person = None;
                if !self.out.rows[row].refused {
                    self.out.refuse(row, fault.clone());
                }
            }
            self.fault(fault);
        }
        Ok(())
    }

    /// The place of the person whose id was just read.
    fn person_place(&mut self) -> u32 {
        let id = self.json.text();
        if let Some(&place) = self.persons.get(id) {
            return place;
        }
        let place = self.out.persons.len() as u32;
        self.out.persons.push(id.to_owned());
        self.persons.insert(id.to_owned(), place);
        place
    }

    /// A section: an object, or an array of objects that are merged.
    fn section(&mut self, person: u32, section: &str, event: Event) -> json::Result<()> {
        match event {
            Event::Null => Ok(()),
            Event::ObjectStart => self.section_object(person, section, None),
            Event::ArrayStart => {
                let mut element = 0u16;
                loop {
                    match self.json.next()? {
                        Event::ArrayEnd => return Ok(()),
                        Event::ObjectStart => {
                            self.section_object(person, section, Some(element))?;
                        }
                        other => {
                            let at = format!("/person_information/{person}/{section}/{element}");
                            let fault = Fault::new(Code::Type, at, self.json.place());
                            self.json.skip(other)?;
                            self.fault(fault.expected("an object"));
                        }
                    }
                    element = element.saturating_add(1);
                }
            }
            other => {
                let at = format!("/person_information/{person}/{section}");
                let fault = Fault::new(Code::Type, at, self.json.place());
                self.json.skip(other)?;
                self.fault(fault.expected("an object"));
                Ok(())
            }
        }
    }

    fn section_object(
        &mut self,
        person: u32,
        section: &str,
        element: Option<u16>,
    ) -> json::Result<()> {
        let kinds = self.kinds;
        let at = || match element {
            Some(e) => format!("/person_information/{person}/{section}/{e}"),
            None => format!("/person_information/{person}/{section}"),
        };
        let mut seen: Vec<usize> = Vec::new();
        while self.json.next()? == Event::Key {
            let Some(kind) = kinds.at_path(section, self.json.text()) else {
                self.unknown(&at())?;
                continue;
            };
            let event = self.json.next()?;
            let place = self.json.place();
            if seen.contains(&kind.place) {
                self.fault(Fault::new(
                    Code::DuplicateKey,
                    format!("{}/{}", at(), kind.array),
                    place,
                ));
                self.json.skip(event)?;
                continue;
            }
            seen.push(kind.place);
            match event {
                Event::Null => {}
                Event::ArrayStart => self.records(kind, person, element)?,
                other => {
                    self.json.skip(other)?;
                    let fault = Fault::new(Code::Type, format!("{}/{}", at(), kind.array), place);
                    self.fault(fault.expected("an array"));
                }
            }
        }
        Ok(())
    }

    fn records(&mut self, kind: &Kind, person: u32, element: Option<u16>) -> json::Result<()> {
        let mut index = 0;
        loop {
            let event = self.json.next()?;
            if event == Event::ArrayEnd {
                return Ok(());
            }
            let position = Position {
                person,
                element,
                index,
                place: self.json.place(),
            };
            self.cells.clear();
            self.cells.resize(kind.fields.len(), Cell::ABSENT);
            self.full = self.out.faults.len() >= self.options.faults_max;
            let row = self.out.rows.len();
            self.refused = false;
            if event == Event::ObjectStart {
                self.record(kind, &position, row)?;
            } else {
                self.json.skip(event)?;
                self.places.clear();
                self.places.resize(kind.fields.len(), position.place);
                let fault = Fault::new(Code::Type, pointer(kind, &position), position.place);
                self.tell(row, fault.expected("an object"));
            }
            let refused = self.refused;
            if refused && self.full {
                self.out.unlisted += 1;
            } else {
                let places = kind.located();
                let places = places.map(|f| f.map_or(position.place, |f| self.places[f]));
                self.out.places.push(places);
                let cells = u32::try_from(self.out.cells.len()).unwrap_or(u32::MAX);
                self.out.cells.extend_from_slice(&self.cells);
                self.out.rows.push(Row {
                    person: None,
                    kind: kind.place as u16,
                    cells,
                    refused,
                    repeated: false,
                    position,
                });
            }
            index += 1;
        }
    }

    fn record(&mut self, kind: &Kind, position: &Position, row: usize) -> json::Result<()> {
        self.places.clear();
        self.places.resize(kind.fields.len(), position.place);
        let mut seen: u64 = 0;
        let mut given: u64 = 0;
        let mut turn = 0;
        while self.json.next()? == Event::Key {
            let hint = self.hints[kind.place].get(turn).map(|&i| usize::from(i));
            let name = self.json.text();
            let (at, alias) = match hint {
                Some(i) if kind.fields[i].name == name => (i, false),
                _ => match kind.names.get(name) {
                    Some(&(i, alias)) => {
                        if kind.fields[i].name_2016.as_deref() == Some(name) {
                            self.out.edition = Edition::E2016;
                        }
                        let hints = &mut self.hints[kind.place];
                        hints.truncate(turn);
                        hints.push(i as u8);
                        (i, alias)
                    }
                    None => {
                        self.unknown_in_record(kind, position, row)?;
                        continue;
                    }
                },
            };
            turn += 1;
            let field = &kind.fields[at];
            let written = alias.then(|| self.json.text().to_owned());
            let event = self.json.next()?;
            let place = self.json.place();
            if let Some(written) = written {
                let at = record_pointer(kind, position, &written);
                let fault = Fault::new(Code::AliasUsed, at, place);
                self.tell(row, fault.expected(field.name.clone()).found(&written));
            }
            if seen & 1 << at != 0 {
                let at = record_pointer(kind, position, &field.name);
                self.tell(row, Fault::new(Code::DuplicateKey, at, place));
                self.json.skip(event)?;
                continue;
            }
            seen |= 1 << at;
            if event == Event::Null {
                continue;
            }
            given |= 1 << at;
            self.places[at] = place;
            match value(field, event, self.json.text(), &mut self.out.texts) {
                Ok(cell) => self.cells[at] = cell,
                Err(codes) => {
                    let pointer = record_pointer(kind, position, &field.name);
                    for code in codes {
                        let fault = Fault::new(code, pointer.clone(), place)
                            .expected(expectation(field, code))
                            .found(found(event, self.json.text()));
                        self.tell(row, fault);
                    }
                    self.json.skip(event)?;
                }
            }
        }
        for (i, field) in kind.fields.iter().enumerate() {
            if field.required && given & 1 << i == 0 {
                let at = record_pointer(kind, position, &field.name);
                let fault = Fault::new(Code::RequiredMissing, at, position.place);
                self.tell(row, fault.expected(type_name(field)));
            }
        }
        self.rules(kind, position, row);
        Ok(())
    }

    /// The rules of a whole record: `send_time`, plausible values (protocol specification §6).
    fn rules(&mut self, kind: &Kind, position: &Position, row: usize) {
        let mut faults = Vec::new();
        let mut push = |at: usize, code: Code, expected: String, found: String| {
            let pointer = record_pointer(kind, position, &kind.fields[at].name);
            let fault = Fault::new(code, pointer, self.places[at]);
            faults.push(fault.expected(expected).found(&found));
        };
        let time = self.cells[kind.time];
        if let Some(sent) = self.send_time
            && !time.is_absent()
            && time.value() * 1000 > sent + FUTURE_MAX
        {
            let found = time::text(|o| time::write14(o, time.value()));
            push(
                kind.time,
                Code::FutureTime,
                "no later than a day after send_time".into(),
                found,
            );
        }
        implausible(kind, &self.cells, push);
        for fault in faults {
            self.tell(row, fault);
        }
    }

    fn unknown_in_record(&mut self, kind: &Kind, at: &Position, row: usize) -> json::Result<()> {
        let name = self.json.text().to_owned();
        let event = self.json.next()?;
        let fault = self.unknown_fault(record_pointer(kind, at, &escape(&name)), &name);
        self.json.skip(event)?;
        self.tell(row, fault);
        Ok(())
    }

    /// A fault of the record being read, which gets this place in the rows. Beyond the limit
    /// it is counted: by itself, or with all of its record where the limit was reached before.
    fn tell(&mut self, row: usize, fault: Fault) {
        self.refused |= fault.is_error();
        if self.out.faults.len() < self.options.faults_max {
            self.out.faults.push((row as u32, fault));
        } else {
            self.out.untold += u64::from(fault.is_error() && !self.full);
        }
    }

    /// An unknown member of an object outside a record; its value is read past.
    fn unknown(&mut self, at: &str) -> json::Result<()> {
        let name = self.json.text().to_owned();
        let event = self.json.next()?;
        let fault = self.unknown_fault(format!("{at}/{}", escape(&name)), &name);
        self.json.skip(event)?;
        self.fault(fault);
        Ok(())
    }

    fn unknown_fault(&self, pointer: String, name: &str) -> Fault {
        let severity = if self.options.lenient {
            Severity::Warning
        } else {
            Severity::Error
        };
        Fault::new(Code::UnknownField, pointer, self.json.place())
            .found(name)
            .severity(severity)
    }

    /// A fault of a person or section: tells, and lets lenient handling go on.
    fn fault(&mut self, fault: Fault) {
        if self.out.envelope.len() < self.options.faults_max {
            self.out.envelope.push(fault);
        } else if fault.is_error() {
            self.out.unlisted += 1;
        }
    }

    /// A fault of the envelope: nothing of the submission can be stored.
    fn broken(&mut self, fault: Fault) {
        self.out.broken = true;
        self.fault(fault);
    }
}

/// The value of a field as a cell.
///
/// # Errors
/// Every rule that it breaks.
pub(crate) fn value(
    field: &Field,
    event: Event,
    text: &str,
    texts: &mut Texts,
) -> Result<Cell, Vec<Code>> {
    match (field.ty, event) {
        (
            Type::Number {
                digits, decimals, ..
            },
            Event::Number,
        ) => decimal::scan(text, digits, decimals),
        (Type::Time14, Event::String) => time::parse14(text)
            .map(Cell::plain)
            .ok_or_else(|| vec![Code::TimeInvalid]),
        (Type::Time17, Event::String) => time::parse17(text)
            .map(Cell::plain)
            .ok_or_else(|| vec![Code::TimeInvalid]),
        (Type::Code, Event::String) => field
            .code_place(text)
            .map(|i| Cell::plain(i as i64))
            .ok_or_else(|| vec![Code::CodeUnknown]),
        (Type::Text { max }, Event::String) => text_cell(text, max, texts),
        _ => Err(vec![Code::Type]),
    }
}

/// A text as a cell: NFC, 1 to `max` characters, no control characters.
pub(crate) fn text_cell(text: &str, max: u16, texts: &mut Texts) -> Result<Cell, Vec<Code>> {
    let mut faults = Vec::new();
    let normal;
    let text = if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        text
    } else {
        normal = text.nfc().collect::<String>();
        &normal
    };
    if text.chars().any(char::is_control) {
        faults.push(Code::Type);
    }
    if text.is_empty() || text.chars().count() > usize::from(max) {
        faults.push(Code::Digits);
    }
    if faults.is_empty() {
        Ok(Cell::plain(i64::from(texts.intern(text))))
    } else {
        Err(faults)
    }
}

/// Tells which values of a record are out of the ordinary: field, code, what is expected,
/// what was found (protocol specification §6).
pub(crate) fn implausible(
    kind: &Kind,
    cells: &[Cell],
    mut tell: impl FnMut(usize, Code, String, String),
) {
    for (i, field) in kind.fields.iter().enumerate() {
        let (Some((low, high)), cell) = (field.plausible, cells[i]) else {
            continue;
        };
        if !cell.is_absent() && !(low..=high).contains(&cell.scaled()) {
            let (from, to) = &field.plausible_text;
            let expected = format!("{from} to {to} {}", field.unit);
            tell(i, Code::Implausible, expected, number(field, cell));
        }
    }
    out_of_order(kind, cells, tell);
}

/// Tells which values contradict one another, as [`implausible`] does.
pub(crate) fn out_of_order(
    kind: &Kind,
    cells: &[Cell],
    mut tell: impl FnMut(usize, Code, String, String),
) {
    let above = kind.above.iter().map(|&pair| (pair, true));
    let not_above = kind.not_above.iter().map(|&pair| (pair, false));
    for ((a, b), strictly) in above.chain(not_above) {
        let (first, second) = (cells[a], cells[b]);
        if first.is_absent() || second.is_absent() {
            continue;
        }
        let (field, other) = (&kind.fields[a], &kind.fields[b].name);
        let relation = if strictly { "above" } else { "not above" };
        if (first.scaled() > second.scaled()) != strictly {
            let expected = format!("{} {relation} {other}", field.name);
            tell(a, Code::Implausible, expected, number(field, first));
        }
    }
}

/// What is wrong with an id of ASCII letters and digits.
pub(crate) fn id_fault(text: &str, max: usize, pointer: String, place: Place) -> Option<Fault> {
    if text.is_empty() || text.chars().count() > max {
        let expected = format!("1 to {max} letters and digits");
        Some(Fault::new(Code::Digits, pointer, place).expected(expected))
    } else if !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        Some(Fault::new(Code::Type, pointer, place).expected("ASCII letters and digits"))
    } else {
        None
    }
}

fn record_pointer(kind: &Kind, at: &Position, field: &str) -> String {
    format!("{}/{field}", pointer(kind, at))
}

/// A member's name as a part of a JSON pointer.
fn escape(name: &str) -> String {
    crate::fault::shorten(name)
        .replace('~', "~0")
        .replace('/', "~1")
}

fn found(event: Event, text: &str) -> &str {
    match event {
        Event::ObjectStart => "an object",
        Event::ArrayStart => "an array",
        _ => text,
    }
}

/// A number cell as it is written.
pub(crate) fn number(field: &Field, cell: Cell) -> String {
    time::text(|out| decimal::write(out, cell, field.ty.decimals()))
}

/// What a field takes, in a few words.
pub(crate) fn type_name(field: &Field) -> String {
    match field.ty {
        Type::Time14 => "yyyyMMddHHmmss in JST".into(),
        Type::Time17 => "yyyyMMddHHmmssSSS in JST".into(),
        Type::Number { integer: true, .. } => "an integer".into(),
        Type::Number { .. } => "a number".into(),
        Type::Text { .. } => "a string".into(),
        Type::Code => format!("one of {}", codes(field)),
    }
}

fn codes(field: &Field) -> String {
    field
        .codes
        .iter()
        .map(|c| c.code.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// What the rule behind a code expects of a field.
pub(crate) fn expectation(field: &Field, code: Code) -> String {
    match (code, field.ty) {
        (Code::Type, Type::Text { .. }) => "a string without control characters".into(),
        (Code::Type, Type::Code) => "a string".into(),
        (Code::Digits, Type::Text { max }) => format!("1 to {max} characters"),
        (Code::Digits, Type::Number { digits, .. }) => format!("at most {digits} characters"),
        (Code::Decimals, Type::Number { integer: true, .. }) => {
            "an integer without exponent".into()
        }
        (Code::Decimals, Type::Number { decimals, .. }) => format!("at most {decimals} decimals"),
        (Code::Range, _) => "0 or more".into(),
        _ => type_name(field),
    }
}
