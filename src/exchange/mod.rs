//! The protocol side: submissions in and out.
//!
//! [`read`] turns the JSON of a submission into compact rows and collects every
//! fault with its pointer, line and column; [`Writer`] writes the normal form;
//! [`schema`] is the JSON Schema that the mappings give (protocol specification
//! §1–§3, §6).

mod check;
mod field;
mod reader;
pub mod schema;
mod writer;

use std::fmt::Write as _;

use crate::fault::{Fault, Place, Severity};
use crate::kind::{Edition, Kind, Kinds, LOCATED};
use crate::record::{Cell, Record, Texts};

pub use check::check;
pub(crate) use field::{expectation, id_fault, implausible, out_of_order, text_cell};
pub use reader::{Options, read, read_document};
pub use writer::{Envelope, Writer, write, write_record};

/// How far `observation_time` may lie after `send_time`, in milliseconds: one day.
pub const FUTURE_MAX: i64 = 86_400_000;

/// Where a record stands in its submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Element of `person_information`.
    pub person: u32,
    /// Element of the section where it came as an array.
    pub element: Option<u16>,
    /// Element of the kind's array.
    pub index: u32,
    /// Place of the record's first byte.
    pub place: Place,
}

/// Where records came from, which decides how faults point at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// A submission: JSON pointers.
    #[default]
    Exchange,
    /// A Bundle, `index` being the place of the entry: FHIRPath.
    Bundle,
    /// Resources by themselves, told apart by their lines: FHIRPath.
    Resources,
}

/// One record of a submission.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Place in [`Submission::persons`]; `None` where the person has no usable id.
    pub person: Option<u32>,
    /// Place of the kind in [`Kinds`].
    pub kind: u16,
    /// Where its cells begin.
    cells: u32,
    /// Whether a fault refuses it.
    pub refused: bool,
    /// Whether a fault warns of it.
    pub warned: bool,
    /// Whether it is a repetition, in the same submission, of a record with the same content.
    pub repeated: bool,
    /// Where it stood.
    pub position: Position,
}

/// A submission as compact rows.
#[derive(Debug)]
pub struct Submission {
    /// `format_version`.
    pub format_version: String,
    /// The edition whose field names it has.
    pub edition: Edition,
    /// Where the records came from.
    pub origin: Origin,
    /// `send_time`, in milliseconds since the epoch.
    pub send_time: i64,
    /// `consortium_id`.
    pub consortium_id: String,
    /// The `person_id`s, each once.
    pub persons: Vec<String>,
    /// The records, in the order in which they came.
    pub rows: Vec<Row>,
    /// The texts that cells name.
    pub texts: Texts,
    /// Faults of single records: place in `rows`, fault. In the order of the rows.
    pub faults: Vec<(u32, Fault)>,
    /// Faults of the envelope, of persons and of sections.
    pub envelope: Vec<Fault>,
    /// Whether the envelope is so broken that nothing can be stored in any handling.
    pub broken: bool,
    /// Refused records beyond the limits of faults and of refused records: counted, not kept.
    pub unlisted: u64,
    /// Faults beyond the limit: counted, not told.
    pub untold: u64,
    /// Whether one of those was an error.
    untold_error: bool,
    /// Where `consortium_id` stands.
    pub consortium_place: Place,
    faults_max: usize,
    cells: Vec<Cell>,
    /// For each row that came from a text, where the values of [`Kind::located`] stand.
    places: Vec<[Place; LOCATED]>,
}

impl Default for Submission {
    fn default() -> Self {
        Submission::new(Options::default().faults_max)
    }
}

impl Submission {
    /// An empty submission that tells at most `faults_max` faults.
    pub fn new(faults_max: usize) -> Submission {
        Submission {
            format_version: String::new(),
            edition: Edition::default(),
            origin: Origin::default(),
            send_time: 0,
            consortium_id: String::new(),
            persons: Vec::new(),
            rows: Vec::new(),
            texts: Texts::default(),
            faults: Vec::new(),
            envelope: Vec::new(),
            broken: false,
            unlisted: 0,
            untold: 0,
            untold_error: false,
            consortium_place: Place::default(),
            faults_max,
            cells: Vec::new(),
            places: Vec::new(),
        }
    }

    /// The cells of a row.
    pub fn cells<'a>(&'a self, kinds: &Kinds, row: &Row) -> &'a [Cell] {
        let from = row.cells as usize;
        &self.cells[from..from + kinds.at(usize::from(row.kind)).fields.len()]
    }

    /// A row as a record. Rows without a person give an empty `person_id`.
    pub fn record<'a>(&'a self, kinds: &'a Kinds, row: &Row) -> Record<'a> {
        Record {
            kind: kinds.at(usize::from(row.kind)),
            consortium_id: &self.consortium_id,
            person_id: row.person.map_or("", |p| &self.persons[p as usize]),
            cells: self.cells(kinds, row),
            texts: &self.texts,
        }
    }

    /// Adds a record that did not come from a text; gives its place in `rows`.
    pub fn push(&mut self, person: u32, kind: &Kind, cells: &[Cell]) -> usize {
        let at = u32::try_from(self.cells.len()).unwrap_or(u32::MAX);
        self.cells.extend_from_slice(cells);
        self.rows.push(Row {
            person: Some(person),
            kind: kind.place as u16,
            cells: at,
            refused: false,
            warned: false,
            repeated: false,
            position: Position::default(),
        });
        self.rows.len() - 1
    }

    /// The place of a person, added where new. (Reader and FHIR in keep their own index
    /// for many persons.)
    pub fn person(&mut self, person_id: &str) -> u32 {
        let at = self
            .persons
            .iter()
            .rposition(|p| p == person_id)
            .unwrap_or_else(|| {
                self.persons.push(person_id.to_owned());
                self.persons.len() - 1
            });
        at as u32
    }

    /// JSON pointer (or FHIRPath) of a row.
    pub fn pointer(&self, kinds: &Kinds, row: &Row) -> String {
        match self.origin {
            Origin::Exchange => pointer(kinds.at(usize::from(row.kind)), &row.position),
            Origin::Bundle => format!("Bundle.entry[{}].resource", row.position.index),
            Origin::Resources => "Observation".to_owned(),
        }
    }

    /// JSON pointer (or FHIRPath) of a row's `observation_time`.
    pub fn time_pointer(&self, kinds: &Kinds, row: &Row) -> String {
        let mut out = self.pointer(kinds, row);
        if self.origin == Origin::Exchange {
            let kind = kinds.at(usize::from(row.kind));
            out.push('/');
            out.push_str(&kind.fields[kind.time].name);
        } else {
            out.push_str(".effective");
        }
        out
    }

    /// All faults that refuse something, and the warnings: envelope first, then by record.
    pub fn all_faults(&self) -> impl Iterator<Item = &Fault> {
        self.envelope
            .iter()
            .chain(self.faults.iter().map(|(_, f)| f))
    }

    /// Whether anything is refused.
    pub fn has_errors(&self) -> bool {
        self.broken
            || self.unlisted > 0
            || self.untold_error
            || self.all_faults().any(Fault::is_error)
    }

    /// Where a value of a row stands: of the fields that are judged after reading (by
    /// `send_time`, by the registries) the value's own place, else that of the record.
    pub fn place(&self, kinds: &Kinds, row: usize, field: usize) -> Place {
        let of = &self.rows[row];
        let located = kinds.at(usize::from(of.kind)).located();
        let slot = located.iter().position(|&f| f == Some(field));
        slot.and_then(|slot| self.places.get(row).map(|places| places[slot]))
            .unwrap_or(of.position.place)
    }

    /// Adds a fault of a row; an error refuses it. Beyond the limit it is only counted, unless
    /// it is the first error of the row: every refused row tells why.
    pub fn refuse(&mut self, row: usize, fault: Fault) {
        let of = &mut self.rows[row];
        let first = fault.is_error() && !of.refused;
        of.refused |= fault.is_error();
        of.warned |= fault.severity == Severity::Warning;
        self.tell(row, fault, first);
    }

    /// Lists faults of rows, for all of which there is room.
    pub(crate) fn list(&mut self, faults: Vec<(u32, Fault)>) {
        for (row, fault) in &faults {
            let of = &mut self.rows[*row as usize];
            of.refused |= fault.is_error();
            of.warned |= fault.severity == Severity::Warning;
        }
        self.faults.extend(faults);
        self.sort_faults();
    }

    /// Lists a fault of a row while there is room, or `anyway`; else counts it.
    fn tell(&mut self, row: usize, fault: Fault, anyway: bool) {
        if anyway || self.faults.len() < self.faults_max {
            self.faults.push((row as u32, fault));
        } else {
            self.leave_out(&fault);
        }
    }

    /// Counts a fault that is not listed.
    fn leave_out(&mut self, fault: &Fault) {
        self.untold += 1;
        self.untold_error |= fault.is_error();
    }

    /// The most faults that are listed.
    pub fn faults_max(&self) -> usize {
        self.faults_max
    }

    /// The faults of each row in turn, of which there may be none; the faults must be sorted.
    pub fn faults_by_row(&self) -> impl Iterator<Item = (&Row, &[(u32, Fault)])> {
        let mut rest = self.faults.as_slice();
        self.rows.iter().enumerate().map(move |(i, row)| {
            let end = rest.iter().take_while(|(of, _)| *of as usize <= i).count();
            let (own, after) = rest.split_at(end);
            rest = after;
            (row, own)
        })
    }

    /// Puts the faults in the order of the rows; to be called when no more are added.
    pub fn sort_faults(&mut self) {
        self.faults.sort_by_key(|(row, _)| *row);
    }

    /// The rows that are neither refused nor repeated, in the order of the normal form:
    /// by person id, then kind, `observation_time` and source (mapping specification §2.12).
    pub fn canonical_order(&self, kinds: &Kinds) -> Vec<u32> {
        let mut rank: Vec<u32> = (0..self.persons.len() as u32).collect();
        rank.sort_by(|&a, &b| self.persons[a as usize].cmp(&self.persons[b as usize]));
        let mut place = vec![0u32; self.persons.len()];
        for (i, &person) in rank.iter().enumerate() {
            place[person as usize] = i as u32;
        }
        let mut order: Vec<(u32, u16, i64, u32)> = self
            .rows
            .iter()
            .enumerate()
            .filter(|(_, row)| !row.refused && !row.repeated)
            .filter_map(|(i, row)| {
                let time = self.record(kinds, row).seconds();
                Some((place[row.person? as usize], row.kind, time, i as u32))
            })
            .collect();
        order.sort_unstable_by(|a, b| {
            (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)).then_with(|| {
                let source = |i: u32| self.record(kinds, &self.rows[i as usize]).source();
                source(a.3).cmp(source(b.3)).then(a.3.cmp(&b.3))
            })
        });
        order.into_iter().map(|o| o.3).collect()
    }
}

/// JSON pointer of a record at a position.
pub fn pointer(kind: &Kind, at: &Position) -> String {
    let mut out = format!("/person_information/{}/{}", at.person, kind.section);
    if let Some(element) = at.element {
        let _ = write!(out, "/{element}");
    }
    let _ = write!(out, "/{}/{}", kind.array, at.index);
    out
}
