//! Backward: a FHIR resource is read against the same tree that forward fills.
//!
//! In: an Observation as a [`View`]. Out: a [`Reading`]: the cells of a record, the
//! references that tell whose record it is, and [`Note`]s of what is wrong or was
//! changed. Elements of arrays are found by what they are (system and code, url, type),
//! never by where they stand. Constants are write-only: a foreign resource need not have
//! them. What the template could not have written is residue.
//!
//! Which record kind it is: by our category, else by its codes (mapping specification
//! §5.1). What the resource itself does not tell (participant, device, laboratory, the
//! fallbacks of §5.2) is the work of [`crate::fhir::inbound`].

mod codes;
mod components;
mod derived;
mod effective;
mod quantity;
mod rule;
mod walk;

use std::borrow::Cow;

use crate::fault::{Code, Severity};
use crate::kind::{Kind, Kinds, Systems};
use crate::mapping::Join;
use crate::record::{Cell, Texts};
use crate::tape::View;

use codes::{Classified, Meaning, classify};

pub use codes::CodeIndex;
pub use derived::Derived;
pub(crate) use quantity::converts_exactly;
pub use rule::{Matcher, compile};

/// The most notes about one Observation.
const NOTES_MAX: usize = 100;
/// The most performers of one Observation that are looked at; the others are residue.
pub(crate) const PERFORMERS_MAX: usize = 16;

/// How an Observation carries its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// The whole record, or the anchor of the split shape.
    #[default]
    Panel,
    /// A part of the split shape: place in [`crate::mapping::Mapping::parts`].
    Part(usize),
    /// The value of one field, by a code of that field.
    Loose(usize),
}

/// `Observation.status`, where it is a final one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// `final`
    #[default]
    Final,
    /// `amended`
    Amended,
    /// `corrected`
    Corrected,
}

/// Something to tell about an element of the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// The element, as a node of the tape.
    pub node: u32,
    /// What is missing below that element: `.subject`; empty where the element itself is meant.
    pub below: &'static str,
    /// What was expected.
    pub expected: Cow<'static, str>,
    /// What was found.
    pub found: String,
}

impl Note {
    /// A note about an element.
    pub fn new(code: Code, element: View) -> Note {
        Note {
            code,
            severity: code.severity(),
            node: element.node(),
            below: "",
            expected: Cow::Borrowed(""),
            found: String::new(),
        }
    }

    /// The same, saying what was expected.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<Cow<'static, str>>) -> Note {
        self.expected = expected.into();
        self
    }

    /// The same, quoting what was found.
    #[must_use]
    pub fn found(mut self, found: &str) -> Note {
        self.found = crate::fault::shorten(found);
        self
    }

    /// The same, about an element that is not there.
    #[must_use]
    pub fn below(mut self, below: &'static str) -> Note {
        self.below = below;
        self
    }
}

/// What was read of one Observation. Its buffers are used again.
#[derive(Debug, Default)]
pub struct Reading {
    /// Place of the record kind.
    pub kind: usize,
    /// The kind of the same codes that it may be instead, until the device is known
    /// (mapping specification §5.1, rule 3).
    pub rival: Option<usize>,
    /// How it carries its record.
    pub role: Role,
    /// The cells of the record; those of the device part and of the laboratory are absent.
    pub cells: Vec<Cell>,
    /// The node that each cell was read from; 0 for none.
    pub nodes: Vec<u32>,
    /// What the protocol cannot say, outermost elements only.
    pub residue: Vec<u32>,
    /// What is kept by value but written otherwise: a time in another zone, another unit.
    pub variants: Vec<u32>,
    /// Quantities of which another number is kept than the one that was written.
    pub converted: Vec<u32>,
    /// Components told by codes that the template does not write, each with its place there.
    pub components: Vec<(u32, usize)>,
    /// Faults and notices.
    pub notes: Vec<Note>,
    /// `status`
    pub status: Status,
    /// `subject`
    pub subject: Option<u32>,
    /// `device`
    pub device: Option<u32>,
    /// Every `performer`.
    pub performers: Vec<u32>,
    /// The value of `identifier[record]`.
    pub record: Option<u32>,
    /// `meta.lastUpdated`
    pub last_updated: Option<u32>,
    /// Whether there is an encounter.
    pub encounter: bool,
    /// Whether a PHD coincident time stamp is referred to.
    pub coincident: bool,
    /// What derived codings say.
    derived: Vec<Derived>,
    /// Whether a code was used that counts only for a whole day.
    whole_day: bool,
    /// Units of the main value: an entry of `by code`.
    by_code: Option<u8>,
    /// Fields read from a component, and those read by another quantity's code.
    seen: u64,
    substituted: u64,
}

impl Reading {
    fn begin(&mut self) {
        let Reading {
            cells,
            nodes,
            residue,
            variants,
            converted,
            components,
            notes,
            performers,
            derived,
            ..
        } = std::mem::take(self);
        *self = Reading {
            cells,
            nodes,
            residue,
            variants,
            converted,
            components,
            notes,
            performers,
            derived,
            ..Reading::default()
        };
        self.cells.clear();
        self.nodes.clear();
        self.residue.clear();
        self.variants.clear();
        self.converted.clear();
        self.components.clear();
        self.notes.clear();
        self.performers.clear();
        self.derived.clear();
    }

    /// Adds a note. Of one Observation only so many are kept, an error among them if there
    /// is one.
    fn note(&mut self, note: Note) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(note);
        } else if note.severity == Severity::Error && !self.is_refused() {
            self.notes.pop();
            self.notes.push(note);
        }
    }

    /// Whether a fault refuses the Observation.
    pub fn is_refused(&self) -> bool {
        self.notes.iter().any(|n| n.severity == Severity::Error)
    }
}

/// What became of an Observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is of a record kind; faults may refuse it all the same.
    Ours,
    /// No record kind lists its codes.
    NotOurs,
}

/// Reads Observations against the mappings.
#[derive(Debug)]
pub struct Backward<'k> {
    kinds: &'k Kinds,
    record_kind: String,
    measurement: String,
}

impl<'k> Backward<'k> {
    /// A reader for `kinds`.
    pub fn new(kinds: &'k Kinds) -> Backward<'k> {
        Backward {
            kinds,
            record_kind: kinds.canonical.code_system("record-kind"),
            measurement: kinds.canonical.sid("measurement"),
        }
    }

    /// Reads one Observation.
    pub fn read(&self, resource: View, texts: &mut Texts, out: &mut Reading) -> Verdict {
        out.begin();
        let category = resource.get("category");
        let named = category
            .into_iter()
            .flat_map(View::items)
            .find_map(|category| {
                let mut codings = category.get("coding")?.items();
                codings.find(|c| c.text_of("system") == Some(self.record_kind.as_str()))
            });
        let found = match named {
            Some(coding) => self.by_category(resource, coding, out),
            None => self.by_code(resource, out),
        };
        match found {
            Some(true) => {
                let kind = self.kinds.at(out.kind).clone();
                walk::observation(self, &kind, resource, texts, out);
                Verdict::Ours
            }
            Some(false) => Verdict::Ours,
            None => Verdict::NotOurs,
        }
    }

    /// The kind that our category names, and what the code says within it. False where a
    /// note tells why it goes no further.
    fn by_category(&self, resource: View, coding: View, out: &mut Reading) -> Option<bool> {
        let name = coding.text_of("code").unwrap_or_default();
        let Some(kind) = self.kinds.get(name) else {
            let note = Note::new(Code::CodeUnsupported, coding);
            out.notes.push(note.expected("a record kind").found(name));
            return Some(false);
        };
        out.kind = kind.place;
        let identifiers = resource.get("identifier");
        let measurement = identifiers
            .into_iter()
            .flat_map(View::items)
            .find(|i| i.text_of("system") == Some(self.measurement.as_str()));
        if let Some(identifier) = measurement {
            let value = identifier.text_of("value").unwrap_or_default();
            let item = value.rsplit(':').next().unwrap_or_default();
            let field = kind.field(item);
            match kind
                .mapping
                .parts
                .iter()
                .position(|p| Some(p.field) == field)
            {
                Some(part) => out.role = Role::Part(part),
                None if field.is_some() && field == kind.mapping.main => {}
                None => {
                    let note = Note::new(Code::CodeUnknown, identifier);
                    out.notes
                        .push(note.expected("an item of the record").found(item));
                    return Some(false);
                }
            }
        }
        let Some(code) = resource.get("code") else {
            let note = Note::new(Code::RequiredMissing, resource).below(".code");
            out.notes.push(note);
            return Some(false);
        };
        if walk::is_own_code(self, kind, out.role, code) {
            return Some(true);
        }
        let classified = classify(
            &self.kinds.codes,
            &self.kinds.systems,
            code,
            Some(kind.place as u16),
        );
        match classified {
            Classified::Of(of) => match of.first() {
                Some(&(_, meaning)) => Some(self.role(kind, meaning, resource, code, out)),
                None => Some(self.unsupported(code, out)),
            },
            Classified::Ambiguous => Some(self.ambiguous(code, out)),
            Classified::Refused | Classified::Unknown => Some(self.unsupported(code, out)),
        }
    }

    /// The kind whose codes it has.
    fn by_code(&self, resource: View, out: &mut Reading) -> Option<bool> {
        let code = resource.get("code")?;
        let of = match classify(&self.kinds.codes, &self.kinds.systems, code, None) {
            Classified::Of(of) => of,
            Classified::Ambiguous => return Some(self.ambiguous(code, out)),
            Classified::Refused => return Some(self.unsupported(code, out)),
            Classified::Unknown => return None,
        };
        let home = expects_device(resource);
        let is_home = |place: u16| self.kinds.at(usize::from(place)).device.is_some();
        let chosen = of
            .iter()
            .find(|(place, _)| is_home(*place) == home)
            .or(of.first())?;
        out.kind = usize::from(chosen.0);
        out.rival = of
            .iter()
            .map(|(place, _)| usize::from(*place))
            .find(|&place| place != out.kind);
        let kind = self.kinds.at(out.kind).clone();
        Some(self.role(&kind, chosen.1, resource, code, out))
    }

    /// What a meaning makes of the Observation; false where a note refuses it.
    fn role(
        &self,
        kind: &Kind,
        meaning: Meaning,
        resource: View,
        code: View,
        out: &mut Reading,
    ) -> bool {
        let accepts = &kind.mapping.accepts;
        let field = match meaning {
            Meaning::Main(by_code) => {
                if out.role != Role::Panel {
                    return self.unsupported(code, out);
                }
                out.by_code = by_code;
                out.whole_day = code
                    .get("coding")
                    .into_iter()
                    .flat_map(View::items)
                    .any(|c| {
                        let (system, code) = (c.text_of("system"), c.text_of("code"));
                        let system = self.kinds.systems.canonical(system.unwrap_or_default());
                        let mut whole_day = accepts.code.whole_day.iter();
                        whole_day.any(|p| p.matches(system, code.unwrap_or_default()))
                    });
                return true;
            }
            Meaning::Field(field, by_code) => {
                out.by_code = by_code;
                usize::from(field)
            }
            Meaning::OnlyWith(field, entry) => {
                let field = usize::from(field);
                let of_field = accepts.fields.get(&field);
                let entry = of_field.and_then(|f| f.only_with.get(usize::from(entry)));
                if !entry.is_some_and(|e| walk::has_component(self, resource, e)) {
                    return self.unsupported(code, out);
                }
                field
            }
            Meaning::Refused => return self.unsupported(code, out),
        };
        if let Role::Part(part) = out.role {
            return kind.mapping.parts[part].field == field || self.unsupported(code, out);
        }
        let part = kind.mapping.parts.iter().position(|p| p.field == field);
        out.role = part.map_or(Role::Loose(field), Role::Part);
        true
    }

    /// The first coding that the template of a kind writes in a component.
    pub fn component_coding(kind: &Kind, role: Role, place: usize) -> Option<(&str, &str)> {
        walk::component_coding(kind, role, place)
    }

    /// Whether a coding means another quantity than the field that it is brought to.
    pub fn is_other_quantity(&self, system: &str, code: &str) -> bool {
        let system = self.kinds.systems.canonical(system);
        self.kinds.codes.is_converted(system, code)
    }

    fn unsupported(&self, code: View, out: &mut Reading) -> bool {
        out.notes
            .push(Note::new(Code::CodeUnsupported, code).found(&name_of(code)));
        false
    }

    fn ambiguous(&self, code: View, out: &mut Reading) -> bool {
        out.notes
            .push(Note::new(Code::CodeAmbiguous, code).found(&names_of(code)));
        false
    }
}

/// Whether an Observation without our category looks measured at home: it has no
/// encounter, and names a device or was taken by a person.
fn expects_device(resource: View) -> bool {
    if resource.get("encounter").is_some() {
        return false;
    }
    let performers = resource.get("performer");
    resource.get("device").is_some()
        || performers
            .into_iter()
            .flat_map(View::items)
            .take(PERFORMERS_MAX)
            .any(|p| is_person(resource, p))
}

/// Whether a performer looks like the Patient or a RelatedPerson, by what stands here. What it
/// is, is known when its reference leads somewhere.
fn is_person(resource: View, performer: View) -> bool {
    let reference = performer.text_of("reference").unwrap_or_default();
    let subject = resource.get("subject").and_then(|s| s.text_of("reference"));
    let named = |kind: &str| {
        performer.text_of("type") == Some(kind)
            || reference
                .rsplit_once('/')
                .is_some_and(|(head, _)| head.rsplit('/').next() == Some(kind))
    };
    (!reference.is_empty() && subject == Some(reference))
        || named("Patient")
        || named("RelatedPerson")
}

/// What a code is called in messages: its first coding as `system|code`, else its text.
pub fn name_of(concept: View) -> String {
    let first = concept
        .get("coding")
        .into_iter()
        .flat_map(View::items)
        .next();
    match first {
        Some(coding) => format!(
            "{}|{}",
            coding.text_of("system").unwrap_or_default(),
            coding.text_of("code").unwrap_or_default()
        ),
        None => concept.text_of("text").unwrap_or_default().to_owned(),
    }
}

fn names_of(concept: View) -> String {
    let codings = concept.get("coding").into_iter().flat_map(View::items);
    let codes: Vec<&str> = codings.filter_map(|c| c.text_of("code")).collect();
    codes.join(", ")
}

/// Which of several readings a code says that stands for a field by itself.
pub fn reading_of(systems: &Systems, kind: &Kind, field: usize, code: View) -> Option<u8> {
    let readings = &kind.mapping.accepts.fields.get(&field)?.readings;
    let mut codings = code.get("coding")?.items();
    let place = codings.find_map(|coding| {
        let system = systems.canonical(coding.text_of("system")?);
        let code = coding.text_of("code")?;
        readings.iter().position(|r| r.matches(system, code))
    });
    place.map(|place| place as u8)
}

/// How a value that came alone finds its record.
pub fn join_of(kind: &Kind, field: usize) -> Join {
    let accepts = kind.mapping.accepts.fields.get(&field);
    accepts.map_or(Join::default(), |a| a.join)
}
