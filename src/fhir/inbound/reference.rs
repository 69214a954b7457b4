//! Who and what Observations refer to: a compact table of references.
//!
//! A reference is a number as soon as it is met, whether the resource it leads to has come
//! already or comes later; what it leads to is asked at the end. Relative references are
//! completed by the base of the `fullUrl` beside them
//! (<https://hl7.org/fhir/R4/bundle.html#references>).

use std::collections::HashMap;

use crate::record::Cell;

/// The number of a reference.
pub type Ref = u32;

/// Maker, model and serial of a Device, as far as it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DevicePart {
    /// Maker, model and serial.
    pub cells: [Cell; 3],
    /// The elements that told them in place of their own; empty where that was not needed.
    pub elsewhere: [&'static str; 3],
    /// `Device.definition`
    pub definition: Option<Ref>,
}

/// What a reference leads to. Names are places in the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Nothing that has come yet.
    Unknown,
    /// A participant: consortium, person.
    Person(u32, u32),
    /// A laboratory: consortium, `test_lab_id`.
    Laboratory(u32, u32),
    /// A Device: place in the list of devices.
    Device(u32),
    /// A DeviceDefinition: maker, model.
    Model(u32, u32),
    /// A Patient or an Organization by what others call it: place in the list of names.
    Named(u32),
    /// An Encounter, which speaks for the Organization that another reference leads to.
    Via(Ref),
    /// An Observation: its row.
    Row(u32),
    /// A ResearchSubject: the Patient that it is of.
    Enrolled(Ref),
    /// A resource that names something of ours by texts that break the rules of their fields.
    Unfit,
    /// A resource that is none of these.
    Other,
    /// Several resources have this name.
    Several,
}

/// Whether a resource is one that performs, and as what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A Patient or a RelatedPerson.
    Person,
    /// An Organization.
    Organization,
    /// Any other.
    Other,
}

impl Actor {
    /// That of a resource type; `None` where it is not told.
    pub fn of(kind: &str) -> Option<Actor> {
        match kind {
            "" => None,
            "Patient" | "RelatedPerson" => Some(Actor::Person),
            "Organization" => Some(Actor::Organization),
            _ => Some(Actor::Other),
        }
    }
}

/// All references of an input.
#[derive(Debug, Clone, Default)]
pub struct References {
    keys: HashMap<Box<str>, Ref, foldhash::fast::RandomState>,
    entries: Vec<Entry>,
    devices: Vec<DevicePart>,
    device_places: HashMap<DevicePart, u32>,
    /// The identifiers of Patients and Organizations, as `system|value`.
    identifiers: HashMap<Ref, Box<str>, foldhash::fast::RandomState>,
    /// Sets of identifiers, each of one resource.
    names: Vec<Box<[Ref]>>,
    name_places: HashMap<Box<[Ref]>, u32>,
    /// References that a search or a look-up found: `Type/id`.
    found: HashMap<Ref, Box<str>, foldhash::fast::RandomState>,
    scratch: String,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    target: Target,
    /// The reference by type and id alone, which an absolute one may stand for.
    tail: Option<Ref>,
    /// The literal reference, where this is one with an identifier or a type beside it.
    literal: Option<Ref>,
    /// The identifier that stood beside the reference, or by which it searches.
    beside: Option<Ref>,
    /// Whether it leads to one that performs, as far as that is told by its text or type.
    actor: Option<Actor>,
    /// Whether it was met as a relative reference.
    relative: bool,
    /// Whether a resource without an absolute `fullUrl` has this name.
    plain: bool,
    /// Whether it leads to this server, or to nowhere.
    own: bool,
}

/// `Type/id` at the end of a reference, a version left out.
pub fn tail(reference: &str) -> Option<&str> {
    if is_conditional(reference) {
        return None;
    }
    let reference = without_version(reference);
    let (head, id) = reference.rsplit_once('/')?;
    let kind = head.rsplit_once('/').map_or(head, |(_, kind)| kind);
    let is_type = kind.bytes().next().is_some_and(|b| b.is_ascii_uppercase());
    (is_type && !id.is_empty()).then(|| &reference[reference.len() - id.len() - kind.len() - 1..])
}

/// The part of a `fullUrl` before `Type/id`, its slash included; empty for any other.
pub fn base(full_url: &str) -> &str {
    if !full_url.starts_with("http") {
        return "";
    }
    tail(full_url).map_or("", |tail| {
        &full_url[..without_version(full_url).len() - tail.len()]
    })
}

/// The resource type that the text of a reference names; empty where it names none.
pub fn type_of(reference: &str) -> &str {
    if let Some((path, _)) = reference.split_once('?') {
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_type = name.starts_with(|first: char| first.is_ascii_uppercase());
        return if is_type { name } else { "" };
    }
    let tail = tail(reference).and_then(|tail| tail.split('/').next());
    tail.unwrap_or_default()
}

/// Whether a reference names its target by a search: `Patient?identifier=…`.
pub fn is_conditional(reference: &str) -> bool {
    let kind = reference.split('?').next().unwrap_or_default();
    kind.len() < reference.len() && kind.bytes().all(|b| b.is_ascii_alphabetic())
}

/// The version that a reference names, as it stands at its end.
pub fn version_of(reference: &str) -> Option<&str> {
    match is_conditional(reference) {
        true => None,
        false => reference.find("/_history/").map(|at| &reference[at..]),
    }
}

fn without_version(reference: &str) -> &str {
    match reference.find("/_history/") {
        Some(at) => &reference[..at],
        None => reference,
    }
}

impl References {
    /// Whether nothing was referred to.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn intern(&mut self, key: &str) -> Ref {
        if let Some(&at) = self.keys.get(key) {
            return at;
        }
        let at = self.entries.len() as Ref;
        self.entries.push(Entry {
            target: Target::Unknown,
            tail: None,
            literal: None,
            beside: None,
            actor: None,
            relative: false,
            plain: false,
            own: false,
        });
        self.keys.insert(key.into(), at);
        at
    }

    /// The number of a literal reference that stands in a resource under `base`.
    pub fn literal(&mut self, base: &str, reference: &str) -> Ref {
        if is_conditional(reference) {
            let at = self.intern(reference);
            let entry = &mut self.entries[at as usize];
            entry.relative = true;
            entry.actor = Actor::of(type_of(reference));
            return at;
        }
        let reference = without_version(reference);
        let absolute = reference.contains(':') || reference.starts_with('#');
        if absolute || base.is_empty() {
            let at = self.intern(reference);
            return self.with_tail(at, reference, !absolute);
        }
        let mut key = std::mem::take(&mut self.scratch);
        key.clear();
        key.push_str(base);
        key.push_str(reference);
        let at = self.intern(&key);
        let at = self.with_tail(at, reference, true);
        self.scratch = key;
        at
    }

    fn with_tail(&mut self, at: Ref, reference: &str, relative: bool) -> Ref {
        self.entries[at as usize].relative |= relative;
        if self.entries[at as usize].actor.is_none() {
            self.entries[at as usize].actor = Actor::of(type_of(reference));
        }
        if self.entries[at as usize].tail.is_none()
            && let Some(tail) = tail(reference)
        {
            let tail = self.intern(tail);
            self.entries[at as usize].tail = Some(tail);
        }
        at
    }

    /// The number of a logical reference: a type, or none where it is not told, and an
    /// identifier of it.
    pub fn logical(&mut self, kind: &str, system: &str, value: &str) -> Ref {
        let at = self.intern(&format!("{kind} {system}|{value}"));
        self.entries[at as usize].actor = Actor::of(kind);
        // What the registries know is split at the first bar.
        if matches!(kind, "" | "Patient" | "Organization") && !system.contains('|') {
            let identifier = || format!("{system}|{value}").into();
            self.identifiers.entry(at).or_insert_with(identifier);
        }
        at
    }

    /// The number of a literal reference with what stands beside it: an identifier, which
    /// counts where the reference leads to nothing, and a type.
    pub fn beside(&mut self, literal: Ref, identifier: Option<Ref>, kind: &str) -> Ref {
        let actor = self.entries[literal as usize].actor.or(Actor::of(kind));
        if identifier.is_none() && actor == self.entries[literal as usize].actor {
            return literal;
        }
        let at = self.intern(&format!("{literal} beside {identifier:?} {actor:?}"));
        let entry = &mut self.entries[at as usize];
        entry.literal = Some(literal);
        entry.beside = identifier;
        entry.actor = actor;
        at
    }

    /// Notes the identifier by which a conditional reference searches.
    pub fn searches(&mut self, at: Ref, identifier: Ref) {
        self.entries[at as usize].beside = Some(identifier);
    }

    /// The literal reference alone.
    pub fn literal_of(&self, at: Ref) -> Ref {
        let entry = self.entries.get(at as usize);
        entry.and_then(|entry| entry.literal).unwrap_or(at)
    }

    /// Whether it leads to one that performs, as far as that is told.
    pub fn actor(&self, at: Ref) -> Option<Actor> {
        let (last, target) = self.follow(at);
        let by_target = match target {
            Target::Person(..) => Some(Actor::Person),
            Target::Laboratory(..) => Some(Actor::Organization),
            Target::Device(_) | Target::Model(..) | Target::Row(_) | Target::Enrolled(_) => {
                Some(Actor::Other)
            }
            _ => None,
        };
        let told = |at: Ref| {
            let entry = self.entries.get(self.literal_of(at) as usize)?;
            let tail = entry.tail.and_then(|tail| self.entries.get(tail as usize));
            entry.actor.or(tail.and_then(|tail| tail.actor))
        };
        let beside = || self.entries.get(at as usize).and_then(|e| e.actor);
        by_target.or_else(|| told(last)).or_else(beside)
    }

    /// The target of a resource that only others' identifiers name.
    pub fn named(&mut self, identifiers: Vec<Ref>) -> Target {
        let identifiers = identifiers.into_boxed_slice();
        let place = self.names.len() as u32;
        let place = *self.name_places.entry(identifiers.clone()).or_insert(place);
        if place as usize == self.names.len() {
            self.names.push(identifiers);
        }
        Target::Named(place)
    }

    /// What a reference leads to: through an Encounter, and by the identifier beside a
    /// reference that leads to nothing; with the reference that was followed last.
    pub fn follow(&self, mut at: Ref) -> (Ref, Target) {
        // An Encounter, its reference, the identifier beside that.
        for _ in 0..3 {
            let target = self.target(at);
            let beside = self.entries.get(at as usize).and_then(|entry| entry.beside);
            at = match (target, beside) {
                (Target::Via(organization), _) => organization,
                (Target::Unknown, Some(beside)) => beside,
                _ => return (at, target),
            };
        }
        (at, self.target(at))
    }

    /// The identifiers, as `system|value`, by which the registries may know what a reference
    /// leads to.
    pub fn identifiers(&self, at: Ref) -> impl Iterator<Item = &str> {
        let (at, target) = self.follow(at);
        let own = match target {
            Target::Named(place) => self.names.get(place as usize).map(|names| &**names),
            _ => None,
        };
        let itself = (target == Target::Unknown).then_some(at);
        let all = own.into_iter().flatten().copied().chain(itself);
        all.filter_map(|at| self.identifiers.get(&at).map(|text| &**text))
    }

    /// A number that leads to the target and to nothing else.
    pub fn direct(&mut self, kind: &str, target: Target) -> Ref {
        let at = self.intern(&format!("{kind} {target:?}"));
        self.entries[at as usize].target = target;
        self.entries[at as usize].actor = Actor::of(kind);
        at
    }

    /// Says where references to a resource lead.
    pub fn define(&mut self, full_url: &str, kind: &str, id: &str, target: Target) {
        let base = base(full_url);
        if !full_url.is_empty() {
            let at = self.intern(without_version(full_url));
            self.set(at, target);
            self.entries[at as usize].actor = Actor::of(kind);
        }
        if !id.is_empty() {
            let at = self.intern(&format!("{kind}/{id}"));
            self.set(at, target);
            self.entries[at as usize].actor = Actor::of(kind);
            self.entries[at as usize].plain |= base.is_empty();
        }
    }

    /// Says where logical references to a resource lead.
    pub fn define_logical(&mut self, kind: &str, system: &str, value: &str, target: Target) {
        // A reference need not tell the type beside the identifier.
        for told in [kind, ""] {
            let at = self.logical(told, system, value);
            self.set(at, target);
            self.entries[at as usize].actor = Actor::of(kind);
        }
    }

    fn set(&mut self, at: Ref, target: Target) {
        let entry = &mut self.entries[at as usize];
        entry.target = match entry.target {
            Target::Unknown => target,
            former if former == target => former,
            _ => Target::Several,
        };
    }

    /// What a reference leads to.
    pub fn target(&self, at: Ref) -> Target {
        let Some(entry) = self.entries.get(at as usize) else {
            return Target::Unknown;
        };
        if entry.target != Target::Unknown {
            return entry.target;
        }
        if let Some(literal) = entry.literal {
            return self.target(literal);
        }
        // An absolute reference does not mean a resource that has another absolute name.
        match entry.tail.and_then(|tail| self.entries.get(tail as usize)) {
            Some(tail) if entry.relative || tail.plain => tail.target,
            _ => Target::Unknown,
        }
    }

    /// All names, with their numbers.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, Ref)> {
        self.keys.iter().map(|(key, &at)| (&**key, at))
    }

    /// Whether it was met as a relative reference.
    pub(super) fn is_relative(&self, at: Ref) -> bool {
        self.entries.get(at as usize).is_some_and(|e| e.relative)
    }

    /// Notes that it leads to this server, or to nowhere.
    pub(super) fn own(&mut self, at: Ref) {
        if let Some(entry) = self.entries.get_mut(at as usize) {
            entry.own = true;
        }
    }

    /// Whether it leads to this server, or to nowhere.
    pub(super) fn is_own(&self, at: Ref) -> bool {
        self.entries
            .get(self.literal_of(at) as usize)
            .is_some_and(|e| e.own)
    }

    /// Notes the `Type/id` that a reference was found to mean.
    pub(super) fn find(&mut self, at: Ref, resource: String) {
        self.found.insert(at, resource.into());
    }

    /// The `Type/id` that a reference was found to mean.
    pub(super) fn found(&self, at: Ref) -> Option<&str> {
        self.found.get(&at).map(|text| &**text)
    }

    /// The identifier beside a literal reference.
    pub(super) fn identifier_beside(&self, at: Ref) -> Option<(Ref, Ref)> {
        let entry = self.entries.get(at as usize)?;
        Some((entry.literal?, entry.beside?))
    }

    /// Says what a reference leads to, whatever else was said.
    pub(super) fn settle(&mut self, at: Ref, target: Target) {
        if let Some(entry) = self.entries.get_mut(at as usize) {
            entry.target = target;
        }
    }

    /// The target of a Device.
    pub fn device(&mut self, part: DevicePart) -> Target {
        let place = self.devices.len() as u32;
        let place = *self.device_places.entry(part).or_insert(place);
        if place as usize == self.devices.len() {
            self.devices.push(part);
        }
        Target::Device(place)
    }

    /// Maker, model and serial of a device, with what its definition adds, as far as they
    /// are known.
    pub fn device_part(&self, place: u32) -> Option<DevicePart> {
        let mut part = *self.devices.get(place as usize)?;
        if let Some(definition) = part.definition
            && let Target::Model(maker, model) = self.target(definition)
        {
            for (i, place) in [maker, model].into_iter().enumerate() {
                if part.cells[i].is_absent() {
                    part.cells[i] = Cell::plain(i64::from(place));
                    part.elsewhere[i] = "Device.definition";
                }
            }
        }
        Some(part)
    }
}

impl DevicePart {
    /// A device whose parts are all known.
    pub fn known(cells: [Cell; 3]) -> DevicePart {
        DevicePart {
            cells,
            elsewhere: [""; 3],
            definition: None,
        }
    }

    /// Whether maker, model and serial are all known.
    pub fn is_whole(&self) -> bool {
        !self.cells.iter().any(|cell| cell.is_absent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Target = Target::Person(1, 1);
    const B: Target = Target::Person(1, 2);

    #[test]
    fn relative_references_belong_to_the_base_beside_them() {
        let mut refs = References::default();
        let a = refs.literal("http://a/fhir/", "Patient/1");
        let b = refs.literal("http://b/fhir/", "Patient/1/_history/3");
        assert_eq!(refs.target(a), Target::Unknown);
        refs.define("http://a/fhir/Patient/1", "Patient", "1", A);
        refs.define("http://b/fhir/Patient/1", "Patient", "1", B);
        assert_eq!((refs.target(a), refs.target(b)), (A, B));
        let elsewhere = refs.literal("http://c/fhir/", "Patient/1");
        assert_eq!(refs.target(elsewhere), Target::Several);
    }

    #[test]
    fn an_absolute_reference_leads_to_a_resource_that_has_no_other_url() {
        let mut refs = References::default();
        refs.define("", "Patient", "1", A);
        let at = refs.literal("", "http://a/fhir/Patient/1");
        assert_eq!(refs.target(at), A);
        let mut refs = References::default();
        refs.define("http://b/fhir/Patient/1", "Patient", "1", A);
        let at = refs.literal("", "http://a/fhir/Patient/1");
        assert_eq!(refs.target(at), Target::Unknown);
    }

    #[test]
    fn a_uuid_leads_to_its_entry() {
        let mut refs = References::default();
        let at = refs.literal("", "urn:uuid:0");
        refs.define("urn:uuid:0", "Patient", "", A);
        assert_eq!(refs.target(at), A);
    }

    #[test]
    fn bases_and_tails() {
        assert_eq!(base("http://a/fhir/Observation/x"), "http://a/fhir/");
        assert_eq!(base("urn:uuid:0"), "");
        assert_eq!(
            tail("http://a/fhir/Patient/1/_history/2"),
            Some("Patient/1")
        );
        assert_eq!(tail("#p"), None);
        assert_eq!(tail("urn:uuid:0"), None);
    }
}
