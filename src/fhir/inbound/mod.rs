//! FHIR in: Bundles, NDJSON and single resources become submissions.
//!
//! Resources are taken one at a time and in any order. What stays of each is a compact
//! row (an Observation) or a few names (Patient, Device, DeviceDefinition, Organization);
//! references are followed when everything has come. What was taken then says what it wants
//! of the registries ([`Taken::wanted`]); with those rows, Observations that are one record
//! are put together, the fallbacks of mapping specification §5.2 fill what is required and
//! absent, and the rules of the protocol hold as they do for a submission.
//!
//! What can be converted is; what is ours and refused is an error in the [`Outcome`]; what
//! is not ours is counted there.

mod alone;
mod around;
mod beside;
mod crosswalk;
mod device;
mod document;
mod entries;

mod finish;
mod join;
mod kept;
mod merge;
mod observation;
mod original;
mod outcome;
mod participant;
mod reference;
mod resource;
mod structure;
mod write;

use crate::exchange::{self, Origin};
use crate::fault::{Code, Fault, Severity};
use crate::kind::{Edition, Kinds};
use crate::mapping::{Backward, Reading, Role, Status};
use crate::record::{Cell, Texts};
use crate::tape::{Tape, View};
use crate::time::{self, JST};

use super::check::check_view;
use super::elements;
use super::search::form;
use super::subset;

pub use crosswalk::Known;
pub use document::{Input, read_any};
pub use entries::{Entry, Requests, read_requests};
pub use outcome::{EXPRESSIONS_MAX, Issue, Outcome};
pub use write::{Head, Late, Named, Reference, Written, WrittenRecords, read_resource};

use kept::Kept;
use reference::{Ref, References, Target};

/// How to read.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The most issues that are listed.
    pub faults_max: usize,
    /// The time of receipt, in milliseconds since the epoch.
    pub now: i64,
    /// The most memory that one resource may need, in bytes.
    pub resource_max: usize,
    /// The most Bundles with entries that are read at once, because each is kept by itself.
    pub bundles_max: usize,
    /// Whether the resources are written to a server: then they are sent when they are
    /// received, each has issues of its own, what it refers to must be there, and what is
    /// not ours is refused.
    pub write: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            faults_max: exchange::Options::default().faults_max,
            now: time::now_millis(),
            resource_max: 32 << 20,
            bundles_max: 10_000,
            write: false,
        }
    }
}

/// The most repeated keys that are told of one resource.
const REPEATED_MAX: usize = 20;

/// Where a resource stands.
#[derive(Debug, Clone, Copy)]
struct Spot<'a> {
    /// Element of `Bundle.entry`; `None` for a resource by itself.
    entry: Option<u32>,
    full_url: &'a str,
}

/// The identity that `identifier[record]` names. Names are places in the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Claim {
    consortium: u32,
    person: u32,
    seconds: i64,
    source: u32,
}

/// A reference that must lead to something, and where it stands.
#[derive(Debug, Clone)]
struct Needed {
    entry: u32,
    at: Ref,
    pointer: String,
    place: crate::fault::Place,
}

/// A literal reference with an identifier beside it, both of which must mean the same.
#[derive(Debug, Clone)]
struct Beside {
    /// The Observation that it stands in.
    row: Option<usize>,
    /// Both together, and where the identifier stands.
    needed: Needed,
    /// The value of the identifier.
    value: String,
}

/// The rule that a text breaks, and what it expects.
type Unfit = (Code, &'static str);

/// Where performers begin, and how many they are.
type Performers = (u32, u16);

/// What is kept of an Observation.
#[derive(Debug, Clone, Copy)]
struct Row {
    kind: u16,
    /// The kind that it may be instead.
    rival: Option<u16>,
    role: Role,
    status: Status,
    /// Where its cells begin.
    cells: u32,
    /// Element of `Bundle.entry`.
    entry: u32,
    place: crate::fault::Place,
    subject: Option<Ref>,
    device: Option<Ref>,
    performers: Performers,
    claim: Option<Claim>,
    /// Where what stands beside it is, if anything.
    around: Option<u32>,
    /// `meta.lastUpdated`, where there is no `issued`.
    last_updated: Option<i64>,
    encounter: bool,
    coincident: bool,
    refused: bool,
}

/// What the Bundle around the entries says.
#[derive(Debug, Clone, Default)]
struct Envelope {
    format_version: Option<String>,
    edition: Option<Edition>,
    timestamp: Option<i64>,
}

/// What was taken so far, without what it was read by: it can wait.
#[derive(Clone)]
pub struct Taken {
    options: Options,
    texts: Texts,
    refs: References,
    rows: Vec<Row>,
    cells: Vec<Cell>,
    performers: Vec<Ref>,
    needed: Vec<Needed>,
    beside: Vec<Beside>,
    around: Vec<around::Around>,
    /// Rows, and the Observations that they name as their members.
    members: Vec<(u32, Ref)>,
    /// Observations that a DiagnosticReport lists, and where its performers are.
    reports: Vec<(Ref, Performers)>,
    /// Those who keep the documents that came.
    custodians: Vec<Ref>,
    /// Parts that were put into another row: the part, and that row.
    joined: Vec<(usize, usize)>,
    kept: Vec<Kept>,
    participants: Vec<participant::Participant>,
    written_devices: Vec<device::Device>,
    redirects: Vec<Reference>,
    envelope: Envelope,
    origin: Origin,
    outcome: Outcome,
}

impl Taken {
    /// Whether there is nothing in it but what is to be said.
    fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.reports.is_empty()
            && self.members.is_empty()
            && self.participants.is_empty()
            && self.written_devices.is_empty()
            && self.refs.is_empty()
    }

    /// Nothing was taken.
    pub fn nothing(options: Options) -> Taken {
        Taken {
            options,
            texts: Texts::default(),
            refs: References::default(),
            rows: Vec::new(),
            cells: Vec::new(),
            performers: Vec::new(),
            needed: Vec::new(),
            beside: Vec::new(),
            around: Vec::new(),
            members: Vec::new(),
            reports: Vec::new(),
            custodians: Vec::new(),
            joined: Vec::new(),
            kept: Vec::new(),
            participants: Vec::new(),
            written_devices: Vec::new(),
            redirects: Vec::new(),
            envelope: Envelope::default(),
            origin: Origin::Resources,
            outcome: Outcome::new(options.faults_max),
        }
    }
}

/// Takes resources and gives submissions.
pub struct Inbound<'k> {
    kinds: &'k Kinds,
    backward: Backward<'k>,
    reading: Reading,
    taken: Taken,
    /// Addresses of the entries of the Bundle that is read.
    full_urls: structure::FullUrls,
    /// The requests of a Bundle, so many at most, and how many there are.
    requests: Vec<Entry>,
    requests_max: usize,
    requests_count: usize,
}

impl<'k> Inbound<'k> {
    /// Nothing taken yet.
    pub fn new(kinds: &'k Kinds, options: Options) -> Inbound<'k> {
        Inbound::resume(kinds, Taken::nothing(options))
    }

    /// Takes a resource by itself.
    pub fn resource(&mut self, tape: &Tape) {
        let Some(root) = tape.root() else { return };
        let spot = Spot {
            entry: None,
            full_url: "",
        };
        self.about(spot);
        if self.has_repeated_keys(tape, root, spot) {
            return;
        }
        self.take(root, spot);
    }

    /// Takes an entry of a Bundle.
    pub fn entry(&mut self, tape: &Tape, index: u32) {
        self.taken.origin = Origin::Bundle;
        let Some(root) = tape.root() else { return };
        self.check_entry(tape, root, index);
        if self.taken.options.write {
            self.request(tape, root, index);
            return;
        }
        let Some(resource) = root.get("resource") else {
            return;
        };
        let spot = Spot {
            entry: Some(index),
            full_url: root.text_of("fullUrl").unwrap_or_default(),
        };
        self.about(spot);
        if self.has_repeated_keys(tape, resource, spot) {
            return;
        }
        self.take(resource, spot);
    }

    /// Takes what a Bundle says besides its entries.
    pub fn bundle(&mut self, tape: &Tape) {
        let Some(root) = tape.root() else { return };
        self.check_bundle(tape, root);
        let tag = |name: &str| {
            let system = self.kinds.canonical.code_system(name);
            let tags = root.get("meta").and_then(|m| m.get("tag"));
            tags.into_iter()
                .flat_map(View::items)
                .find(|t| t.text_of("system") == Some(system.as_str()))
                .and_then(|t| t.get("code"))
        };
        if let Some(version) = tag("format-version") {
            let text = version.text();
            let minor = text.strip_prefix("1.").is_some_and(|minor| {
                !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit())
            });
            if minor {
                self.taken.envelope.format_version = Some(text.to_owned());
            } else {
                let mut pointer = "Bundle".to_owned();
                root.path_to(version.node(), &mut pointer);
                let fault = Fault::new(Code::CodeUnknown, pointer, version.place());
                self.taken
                    .outcome
                    .push(fault.expected("1. and a digit").found(text));
            }
        }
        self.taken.envelope.edition = tag("protocol-edition")
            .and_then(|code| Edition::parse(code.text()))
            .or(self.taken.envelope.edition);
        if let Some(timestamp) = root.get("timestamp") {
            match time::parse_fhir(timestamp.text(), JST) {
                Some(at) if at.zoned => self.taken.envelope.timestamp = Some(at.from),
                _ => {
                    let fault =
                        Fault::new(Code::TimeInvalid, "Bundle.timestamp", timestamp.place());
                    let fault = fault.expected("an instant").found(timestamp.text());
                    self.taken.outcome.push(fault);
                }
            }
        }
    }

    fn has_repeated_keys(&mut self, tape: &Tape, resource: View, spot: Spot) -> bool {
        let mut any = false;
        // Each expression costs a walk: a few of them say enough of one resource.
        for value in tape.repeated().take(REPEATED_MAX) {
            let pointer = expression(resource, spot, value.node(), "");
            self.taken
                .outcome
                .push(Fault::new(Code::DuplicateKey, pointer, value.place()));
            any = true;
        }
        any
    }

    /// What is said next is about the resource that stands there.
    fn about(&mut self, spot: Spot) {
        if self.taken.options.write {
            self.taken.outcome.about(spot.entry.unwrap_or(0));
        }
    }

    fn take(&mut self, resource: View, spot: Spot) {
        if self.taken.options.write
            && let Some(tag) = subset::tag_of(resource)
        {
            let pointer = expression(resource, spot, tag.node(), "");
            let fault = Fault::new(Code::Subsetted, pointer, tag.place());
            self.taken.outcome.push(fault.found("SUBSETTED"));
            return;
        }
        match resource.text_of("resourceType") {
            Some("Observation") => {
                if self.has_structure(resource, spot) {
                    self.observation(resource, spot);
                }
            }
            Some(kind @ ("Patient" | "Device" | "DeviceDefinition" | "Organization")) => {
                if self.has_structure(resource, spot) {
                    let target = self.define(kind, resource, spot);
                    match kind {
                        "Patient" if self.taken.options.write => self.patient(resource, spot),
                        "Device" if self.taken.options.write => {
                            self.device(resource, spot, target);
                        }
                        _ => {}
                    }
                }
            }
            Some("ResearchSubject") if self.taken.options.write => {
                if self.has_structure(resource, spot) {
                    self.research_subject(resource, spot);
                }
            }
            // Ours as well, but nothing that a submission says.
            Some("ResearchStudy" | "ResearchSubject") => {}
            Some(kind) => {
                self.inform(kind, resource, spot);
                self.not_ours(Code::NotExpressible, kind, resource, spot);
            }
            None => {
                let pointer = expression(resource, spot, resource.node(), "");
                let fault = Fault::new(Code::Type, pointer, resource.place());
                self.taken
                    .outcome
                    .push(fault.expected("a resource with its resourceType"));
            }
        }
    }

    fn not_ours(&mut self, code: Code, name: &str, resource: View, spot: Spot) {
        if self.taken.options.write {
            let pointer = expression(resource, spot, resource.node(), ".code");
            self.taken
                .outcome
                .push(Fault::new(code, pointer, resource.place()).found(name));
            return;
        }
        self.taken.outcome.tally_not_ours(
            code,
            name,
            || expression(resource, spot, resource.node(), ""),
            |pointer| {
                Fault::new(code, pointer, resource.place())
                    .found(name)
                    .severity(Severity::Information)
            },
        );
    }

    /// Whether a resource has the structure of R4; tells where it has not.
    fn has_structure(&mut self, resource: View, spot: Spot) -> bool {
        match check_view(resource) {
            Ok(()) => true,
            Err(misfit) => {
                let pointer = expression(resource, spot, misfit.node, "");
                let place = resource.at(misfit.node).place();
                let fault = Fault::new(misfit.code, pointer, place);
                let fault = fault.expected(misfit.expected).found(&misfit.found);
                self.taken.outcome.push(fault);
                false
            }
        }
    }

    /// A reference of a resource as a number, in whichever form it stands: literal, versioned,
    /// absolute, contained, `urn:uuid`, logical, conditional. `kind` is the type that is
    /// expected there; empty where it may be any.
    fn refer(&mut self, kind: &str, resource: View, view: View, spot: Spot) -> Option<Ref> {
        let told = view.text_of("type").unwrap_or_default();
        let told = told.rsplit('/').next().unwrap_or_default();
        let reference = view.text_of("reference");
        let logical = match (told, reference) {
            ("", Some(reference)) => reference::type_of(reference),
            (told, _) => told,
        };
        let logical = if logical.is_empty() { kind } else { logical };
        let identifier = view.get("identifier");
        let beside = identifier.and_then(|at| self.identified(logical, resource, at, spot));
        let Some(reference) = reference else {
            // A performer may tell its type and nothing else.
            let typed = (kind.is_empty() && !told.is_empty())
                .then(|| self.taken.refs.direct(told, Target::Other));
            return beside.or(typed);
        };
        let at = match reference.strip_prefix('#') {
            Some(id) => self.contained(id, resource, spot),
            None => None,
        };
        let at = at.unwrap_or_else(|| {
            let base = reference::base(spot.full_url);
            self.taken.refs.literal(base, reference)
        });
        self.search_of(at, reference);
        let both = self.taken.refs.beside(at, beside, told);
        if let Some(identifier) = identifier.filter(|_| beside.is_some()) {
            let is_row = resource.text_of("resourceType") == Some("Observation");
            self.taken.beside.push(Beside {
                row: is_row.then_some(self.taken.rows.len()),
                needed: Needed {
                    entry: spot.entry.unwrap_or(0),
                    at: both,
                    pointer: expression(resource, spot, identifier.node(), ""),
                    place: identifier.place(),
                },
                value: identifier.text_of("value").unwrap_or_default().to_owned(),
            });
        }
        Some(both)
    }

    /// The contained resource that a reference leads to.
    fn contained(&mut self, id: &str, resource: View, spot: Spot) -> Option<Ref> {
        let contained = resource.get("contained");
        let mut contained = contained.into_iter().flat_map(View::items);
        let found = contained.find(|c| c.text_of("id") == Some(id))?;
        let kind = found.text_of("resourceType").unwrap_or_default();
        let target = self.target_of(kind, found, resource, spot);
        Some(self.taken.refs.direct(kind, target))
    }

    /// The number of an identifier that stands for a resource.
    fn identified(
        &mut self,
        kind: &str,
        resource: View,
        identifier: View,
        spot: Spot,
    ) -> Option<Ref> {
        let (system, value) = (identifier.text_of("system")?, identifier.text_of("value")?);
        Some(match self.target_of_identifier(kind, system, value) {
            Ok((_, Target::Unknown)) => self.taken.refs.logical(kind, system, value),
            Ok((kind, target)) => self.taken.refs.direct(kind, target),
            Err(unfit) => {
                let at = identifier.get("value").unwrap_or(identifier);
                self.unfit(unfit, resource, spot, at);
                self.taken.refs.direct(kind, Target::Unfit)
            }
        })
    }

    /// Where nothing is looked up, a conditional reference by an identifier means what has it.
    fn search_of(&mut self, at: Ref, reference: &str) {
        if self.taken.options.write || !reference::is_conditional(reference) {
            return;
        }
        let Some((kind, query)) = reference.split_once('?') else {
            return;
        };
        let pairs = form::pairs(query).unwrap_or_default();
        let [pair] = pairs.as_slice() else { return };
        let Ok(token) = pair.value() else { return };
        let Some((system, value)) = token.split_once('|').filter(|_| pair.name == "identifier")
        else {
            return;
        };
        let identifier = match self.target_of_identifier(kind, system, value) {
            Ok((kind, target)) if target != Target::Unknown => self.taken.refs.direct(kind, target),
            _ => self.taken.refs.logical(kind, system, value),
        };
        self.taken.refs.searches(at, identifier);
    }

    /// Tells that a text which names something of ours breaks a rule of its field.
    fn unfit(&mut self, (code, expected): Unfit, resource: View, spot: Spot, at: View) {
        let pointer = expression(resource, spot, at.node(), "");
        let fault = Fault::new(code, pointer, at.place());
        self.taken
            .outcome
            .push(fault.expected(expected).found(at.text()));
    }
}

/// The FHIRPath expression of an element.
fn expression(resource: View, spot: Spot, node: u32, below: &str) -> String {
    let out = match spot.entry {
        Some(entry) => format!("Bundle.entry[{entry}].resource"),
        None => crate::fault::shorten(resource.text_of("resourceType").unwrap_or_default()),
    };
    let mut path = String::new();
    resource.path_to(node, &mut path);
    path.push_str(below);
    out + &elements::fhir_path(&path)
}

#[cfg(test)]
mod tests;
