//! Reads a submission as a stream: compact rows, and every fault with its place.

mod record;

use std::collections::HashMap;
use std::io::Read;

use super::Submission;
use super::field::id_fault;
use crate::fault::{Code, Fault, Place, Severity, shorten};
use crate::json::{self, Event, Reader as Json};
use crate::kind::Kinds;
use crate::record::Cell;
use crate::time;

/// How to read.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Lenient handling: an unknown field is a warning.
    pub lenient: bool,
    /// The most faults that are listed. Beyond them, a record tells the first of its errors
    /// only; the others are counted.
    pub faults_max: usize,
    /// The most refused records that are kept once the faults are at their limit; further
    /// ones are counted.
    pub refused_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            lenient: false,
            faults_max: 100_000,
            refused_max: 300_000,
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
        warned: false,
        refused_rows: 0,
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
    /// Whether a fault warns of it.
    warned: bool,
    /// How many records are refused so far.
    refused_rows: usize,
    /// Whether the limits of faults and of refused records were reached before it.
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
            let fault = self.mistyped(String::new(), first, "an object")?;
            self.broken(fault);
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
            let fault = self.mistyped(at, event, "a string")?;
            self.broken(fault);
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
                let fault = self.mistyped(at.to_owned(), event, "an array")?;
                self.broken(fault);
                return Ok(());
            }
        }
        let mut index = 0;
        loop {
            match self.json.next()? {
                Event::ArrayEnd => return Ok(()),
                Event::ObjectStart => self.person(index)?,
                other => {
                    let fault = self.mistyped(format!("{at}/{index}"), other, "an object")?;
                    self.fault(fault);
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
                if id_given {
                    problem = Some(Fault::new(Code::DuplicateKey, at, self.json.place()));
                    self.json.skip(event)?;
                    continue;
                }
                match self.person_id(event, at)? {
                    Some(Ok(place)) => person = Some(place),
                    Some(Err(fault)) => problem = Some(fault),
                    None => continue,
                }
                id_given = true;
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

    /// The place of the person of a `person_id`, or what is wrong with it; nothing for null.
    fn person_id(&mut self, event: Event, at: String) -> json::Result<Option<Result<u32, Fault>>> {
        let place = self.json.place();
        match event {
            Event::Null => Ok(None),
            Event::String => {
                let id = self.json.text();
                Ok(Some(match id_fault(id, 20, at, place) {
                    Some(fault) => Err(fault.found(id)),
                    None => Ok(self.person_place()),
                }))
            }
            _ => {
                let fault = self.mistyped(at, event, "a string")?;
                Ok(Some(Err(fault)))
            }
        }
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
                            let fault = self.mistyped(at, other, "an object")?;
                            self.fault(fault);
                        }
                    }
                    element = element.saturating_add(1);
                }
            }
            other => {
                let at = format!("/person_information/{person}/{section}");
                let fault = self.mistyped(at, other, "an object")?;
                self.fault(fault);
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
                    let at = format!("{}/{}", at(), kind.array);
                    let fault = self.mistyped(at, other, "an array")?;
                    self.fault(fault);
                }
            }
        }
        Ok(())
    }

    /// An unknown member of an object outside a record; its value is read past.
    fn unknown(&mut self, at: &str) -> json::Result<()> {
        let name = self.json.text().to_owned();
        let event = self.json.next()?;
        let fault = self.unknown_fault(format!("{at}/{}", pointer_part(&name)), &name);
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

    /// The fault of a value of another type, which is read past.
    fn mistyped(
        &mut self,
        at: String,
        event: Event,
        expected: &'static str,
    ) -> json::Result<Fault> {
        let fault = Fault::new(Code::Type, at, self.json.place()).expected(expected);
        let fault = fault.found(&json::described(event, self.json.text()));
        self.json.skip(event)?;
        Ok(fault)
    }

    /// A fault of a person or section: tells, and lets lenient handling go on.
    fn fault(&mut self, fault: Fault) {
        if self.out.envelope.len() < self.options.faults_max {
            self.out.envelope.push(fault);
        } else {
            self.out.leave_out(&fault);
        }
    }

    /// A fault of the envelope: nothing of the submission can be stored.
    fn broken(&mut self, fault: Fault) {
        self.out.broken = true;
        self.fault(fault);
    }
}

/// A member's name, which may be anything, as a part of a JSON pointer.
fn pointer_part(name: &str) -> String {
    json::pointer_part(&shorten(name))
}
