//! Observations as they were written, until it is known what of them is beyond their record.
//!
//! Where the reader met nothing but what the record holds, nothing is kept and this costs
//! nothing. Else the resource waits as JSON; at the end it is compared with what its record
//! renders ([`crate::fhir::residue`]). An Observation that became a part of a record is
//! compared with that part, and what it says of its value goes to the component; what several
//! say of one record comes together ([`Finish::residue`], [`super::beside`]).

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::finish::{Done, Finish};
use super::join::field_of;
use super::original::{canonical_systems, with_coding, with_own_units};
use super::reference::{self, Ref, Target};
use super::{Inbound, Spot};
use crate::fault::{Code, Fault, Place, Severity};
use crate::fhir::{id, residue, search};
use crate::kind::{Kind, Kinds};
use crate::mapping::backward::Backward;
use crate::mapping::{Context, Hole, Program, Reading, Registered, forward};
use crate::record::Record;
use crate::store::Residue;
use crate::tape::View;
use crate::time::{self, JST};

/// An Observation that says more than its record.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    /// The row of the record that it belongs to.
    pub row: usize,
    /// Its own row, which may have been put into that.
    own: usize,
    /// The field whose value it is; `None` for one that is a record.
    part: Option<String>,
    /// What relative references in it belong to.
    base: String,
    pub value: Value,
    /// Its performers that may be laboratories: place in the array, and reference.
    performers: Vec<(usize, Ref)>,
}

/// Elements of an Observation that is a part which belong to its component.
const OF_COMPONENT: [&str; 4] = [
    "code",
    "interpretation",
    "referenceRange",
    "dataAbsentReason",
];

impl Inbound<'_> {
    /// Keeps the resource that the next row is read from.
    pub(super) fn keep(
        &mut self,
        resource: View,
        spot: Spot,
        reading: &Reading,
        performers: Vec<(usize, Ref)>,
    ) {
        let mut bytes = Vec::new();
        resource.write(&mut bytes);
        let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else {
            return;
        };
        let pointer = |node: u32| {
            let mut pointer = String::new();
            resource.path_to(node, &mut pointer);
            pointer.replace(['.', '['], "/").replace(']', "")
        };
        for &node in &reading.converted {
            self.keep_original(&mut value, &pointer(node));
        }
        let kind = self.kinds.at(reading.kind);
        for &(node, place) in &reading.components {
            let coding = Backward::component_coding(kind, reading.role, place);
            let component = value.pointer_mut(&pointer(node));
            if let (Some(coding), Some(component)) = (coding, component) {
                with_coding(component, coding);
            }
        }
        canonical_systems(self.kinds, &mut value);
        let row = self.taken.rows.len();
        self.taken.kept.push(Kept {
            row,
            own: row,
            part: field_of(kind, reading.role).map(|field| kind.fields[field].name.clone()),
            base: reference::base(spot.full_url).to_owned(),
            value,
            performers,
        });
    }

    /// Whether an Observation is kept: it is written to a server, and says more than its
    /// record.
    pub(super) fn keeps(&self, resource: View, reading: &Reading) -> bool {
        let says_more = !reading.residue.is_empty()
            || !reading.variants.is_empty()
            || !reading.converted.is_empty()
            || resource.get("contained").is_some()
            // The performer, and so whether the record says it, is not yet known.
            || reading.performers.iter().any(|&node| {
                let written = resource.at(node).text_of("reference");
                written.is_some_and(|written| reference::type_of(written).is_empty())
            })
            // Which kind it is, and so what its record holds, is not yet known.
            || reading.rival.is_some();
        self.taken.options.write && says_more
    }
}

impl Finish<'_> {
    /// Makes references of what is kept lead where they lead here, and what was put into
    /// another row belong to that. `late` are the rows that wait for a stored record, each
    /// with its consortium.
    pub(super) fn settle_kept(&mut self, done: &[Done], late: &[(usize, u32)]) {
        let mut kept = std::mem::take(&mut self.taken.kept);
        if kept.is_empty() {
            return;
        }
        let joined: HashMap<usize, usize> = self.taken.joined.iter().copied().collect();
        let whole = |row: usize| {
            let mut row = row;
            // A part may become one of a record that is a part itself.
            for _ in 0..joined.len() {
                match joined.get(&row) {
                    Some(&next) => row = next,
                    None => break,
                }
            }
            row
        };
        let of: HashMap<usize, &Done> = done.iter().map(|one| (one.row, one)).collect();
        let record_of = |row: u32| of.get(&whole(row as usize)).copied();
        let consortia = done.iter().map(|one| (one.row, one.consortium));
        let consortia: HashMap<usize, u32> = consortia.chain(late.iter().copied()).collect();
        for one in &mut kept {
            one.row = whole(one.row);
            let Some(&consortium) = consortia.get(&one.row) else {
                continue;
            };
            for &(place, at) in &one.performers {
                let laboratory = self.laboratory_at(at, consortium);
                let performer = one.value["performer"].get_mut(place);
                let performer = performer.and_then(Value::as_object_mut);
                let (Some((laboratory, _)), Some(members)) = (laboratory, performer) else {
                    continue;
                };
                let text = |place: u32| self.taken.texts.get(i64::from(place));
                let id = id::laboratory(text(consortium), text(laboratory));
                lead(self.kinds, members, format!("Organization/{id}"));
            }
            let base = std::mem::take(&mut one.base);
            self.settle_below(&base, &mut one.value, &record_of);
        }
        // What is a record comes before what is a part of it.
        kept.sort_by_key(|one| (one.row, one.part.is_some()));
        self.taken.kept = kept;
    }

    fn observation_id(&self, done: &Done) -> String {
        let row = &self.taken.rows[done.row];
        let kind = self.kinds.at(usize::from(row.kind));
        let text = |place: u32| self.taken.texts.get(i64::from(place));
        let record = Record {
            kind,
            consortium_id: text(done.consortium),
            person_id: text(done.person),
            cells: &self.taken.cells[row.cells as usize..][..kind.fields.len()],
            texts: &self.taken.texts,
        };
        format!("Observation/{}", forward::key(&record, kind).encode())
    }

    fn settle_below<'d>(
        &mut self,
        base: &str,
        value: &mut Value,
        record_of: &impl Fn(u32) -> Option<&'d Done>,
    ) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(written)) = members.get_mut("reference")
                    && !written.starts_with('#')
                {
                    let at = self.taken.refs.literal(base, written);
                    if let Some(mut own) = self.own_reference(at, record_of) {
                        // A reference to a version means that version.
                        if let Some(version) = reference::version_of(written) {
                            own.push_str(version);
                        }
                        *written = own;
                    }
                }
                for (_, value) in members {
                    self.settle_below(base, value, record_of);
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.settle_below(base, item, record_of);
                }
            }
            _ => {}
        }
    }

    /// A reference as this server writes it; `None` where it leads to nothing of ours.
    fn own_reference<'d>(
        &mut self,
        at: Ref,
        record_of: &impl Fn(u32) -> Option<&'d Done>,
    ) -> Option<String> {
        if let Some(found) = self.taken.refs.found(at) {
            return Some(found.to_owned());
        }
        let target = self.taken.refs.target(at);
        let enrolled = match target {
            Target::Enrolled(individual) => self.whose(individual).person(),
            _ => None,
        };
        let text = |place: u32| self.taken.texts.get(i64::from(place));
        Some(match target {
            Target::Enrolled(_) => {
                let (consortium, person) = enrolled?;
                let id = id::participant(text(consortium), text(person));
                format!("ResearchSubject/{id}")
            }
            Target::Person(consortium, person) => {
                let id = id::participant(text(consortium), text(person));
                format!("Patient/{id}")
            }
            Target::Laboratory(consortium, laboratory) => {
                let id = id::laboratory(text(consortium), text(laboratory));
                format!("Organization/{id}")
            }
            Target::Device(place) => {
                let part = self.taken.refs.device_part(place)?;
                if !part.is_whole() {
                    return None;
                }
                let cells = part.cells;
                let [maker, model, serial] = cells.map(|cell| self.taken.texts.get(cell.value()));
                format!("Device/{}", id::device(maker, model, serial))
            }
            Target::Row(row) => self.observation_id(record_of(row)?),
            _ => return None,
        })
    }

    /// What was kept of a row.
    pub(super) fn kept_of(&self, row: usize) -> &[Kept] {
        // They stand in the order of their rows.
        let all = &self.taken.kept;
        let from = all.partition_point(|kept| kept.row < row);
        let until = all.partition_point(|kept| kept.row <= row);
        &all[from..until]
    }

    /// What was written of the record of a row beyond its fields, and what there is to say of
    /// the rows that are part of it.
    pub(super) fn residue(
        &self,
        row: usize,
        record: &Record,
    ) -> (Option<Residue>, Vec<(usize, Fault)>) {
        let (kept, mut faults) = (self.kept_of(row), Vec::new());
        if kept.is_empty() {
            return (None, faults);
        }
        let (program, lists) = (&record.kind.mapping.panel.program, self.known.lists);
        let Some(rendered) = render(record, program, None, lists) else {
            return (None, faults);
        };
        let mut whole = rendered.clone();
        for one in kept {
            let lost = put(self.kinds, record, lists, &rendered, &mut whole, one.said());
            let own = &self.taken.rows[one.own];
            let fault = |name: String| not_kept(self.pointer(own, ""), &name, own.place);
            faults.extend(lost.into_iter().map(|name| (one.own, fault(name))));
        }
        (
            difference(self.kinds, record.kind, &rendered, &whole),
            faults,
        )
    }
}

impl Kept {
    fn said(&self) -> (Option<&str>, &Value) {
        (self.part.as_deref(), &self.value)
    }
}

/// Says that an element has no place beside the record that its Observation is part of.
pub(super) fn not_kept(mut pointer: String, path: &str, place: Place) -> Fault {
    // What a part says of its value stands at the component.
    let path = path.strip_prefix("component.").unwrap_or(path);
    pointer.push('.');
    pointer.push_str(path);
    Fault::new(Code::NotExpressible, pointer, place)
        .expected("no other of the record that it is part of; it is not kept")
        .severity(Severity::Warning)
}

/// Puts what was written to a record as it renders and what else was written of it; the paths
/// of what found no place.
pub(super) fn put(
    kinds: &Kinds,
    record: &Record,
    registry: &dyn Registered,
    rendered: &Value,
    whole: &mut Value,
    (part, written): (Option<&str>, &Value),
) -> Vec<String> {
    let mut value = written.clone();
    for name in ["subject", "device"] {
        let own = rendered.get(name).and_then(|r| r["reference"].as_str());
        let members = value.get_mut(name).and_then(Value::as_object_mut);
        if let (Some(own), Some(members)) = (own, members) {
            lead(kinds, members, own.to_owned());
        }
    }
    without_own(&mut value, rendered);
    let form = match part {
        None => {
            with_own_units(kinds, rendered, &mut value);
            residue::of(rendered, &value)
        }
        Some(field) => of_part(kinds, record, registry, rendered, field, value),
    };
    form.map_or_else(Vec::new, |form| residue::add(whole, &form))
}

/// Takes away what the server says itself, whatever was written: the id, the version, the
/// status that a version shows; the time of issue, unless it is another form of the same. A
/// time has the type that the record gives it.
fn without_own(written: &mut Value, rendered: &Value) {
    let instant = |of: &Value| Some(time::parse_fhir(of["issued"].as_str()?, JST)?.from);
    let same_issue = instant(written) == instant(rendered);
    let Some(members) = written.as_object_mut() else {
        return;
    };
    members.retain(|name, _| match name.as_str() {
        "id" | "status" => false,
        "issued" => same_issue,
        _ => true,
    });
    if let Some(meta) = members.get_mut("meta").and_then(Value::as_object_mut) {
        meta.retain(|name, _| !matches!(name.as_str(), "versionId" | "lastUpdated"));
    }
    if let Some(start) = members.get("effectivePeriod").and_then(only_instant) {
        members.insert("effectiveDateTime".into(), start);
        members.shift_remove("effectivePeriod");
    }
}

/// The time that a Period of no length is: R4's vital signs are at a dateTime (vs-1), and it
/// says no more than that.
fn only_instant(period: &Value) -> Option<Value> {
    let at = |name: &str| Some(time::parse_fhir(period[name].as_str()?, JST)?.from);
    let says_more = period.as_object()?.len() > 2;
    let same = at("start")? == at("end")?;
    (same && !says_more).then(|| period["start"].clone())
}

/// What of a resource its record does not render.
pub(super) fn difference(
    kinds: &Kinds,
    kind: &Kind,
    rendered: &Value,
    whole: &Value,
) -> Option<Residue> {
    let form = residue::of(rendered, whole)?;
    let (content, aside) = residue::apart(form);
    let text = |form: Option<Value>| form.map_or_else(String::new, |form| form.to_string());
    Some(Residue {
        content: text(content),
        aside: text(aside),
        values: search::residue::values(kinds, kind, rendered, whole),
        quantities: search::residue::quantities(kinds, rendered, whole),
    })
}

/// Makes a reference lead here. One that leads nowhere else than into the resource, or to
/// another server, is kept beside it.
fn lead(kinds: &Kinds, members: &mut Map<String, Value>, own: String) {
    let written = members.insert("reference".into(), own.clone().into());
    let Some(Value::String(written)) = written else {
        // It was told by an identifier, which stays beside it.
        return;
    };
    if written != own && (written.starts_with('#') || written.starts_with("http")) {
        // A contained resource must be referred to (invariant dom-3).
        let url = kinds.canonical.extension(WRITTEN_REFERENCE);
        let extension = json!({ "url": url, "valueReference": { "reference": written } });
        members.insert("extension".into(), json!([extension]));
    }
}

/// The extension with a reference to a contained resource.
const WRITTEN_REFERENCE: &str = "written-reference";

/// A record as it will be rendered, without what the server adds.
pub(super) fn render(
    record: &Record,
    program: &Program,
    item: Option<&str>,
    registry: &dyn Registered,
) -> Option<Value> {
    let kind = record.kind;
    let person = id::participant(record.consortium_id, record.person_id);
    let device = kind.device.map(|fields| {
        let [maker, model, serial] = fields.map(|field| record.text(field));
        format!("Device/{}", id::device(maker, model, serial))
    });
    let laboratory = kind
        .laboratory
        .map(|field| record.text(field))
        .filter(|laboratory| !laboratory.is_empty())
        .map(|laboratory| id::laboratory(record.consortium_id, laboratory))
        .map(|id| format!("Organization/{id}"));
    let context = Context {
        key: &forward::key(record, kind),
        meta: None,
        status: "final",
        subject: &format!("Patient/{person}"),
        device: device.as_deref().unwrap_or_default(),
        laboratory: laboratory.as_deref().unwrap_or_default(),
        registry,
        item,
    };
    let mut bytes = Vec::new();
    program.write(&mut bytes, record, &context);
    serde_json::from_slice(&bytes).ok()
}

/// What an Observation says that became a part of a record, as a form of the whole.
fn of_part(
    kinds: &Kinds,
    record: &Record,
    registry: &dyn Registered,
    rendered: &Value,
    name: &str,
    mut written: Value,
) -> Option<Value> {
    let kind = record.kind;
    let field = kind.field(name)?;
    let part = kind.mapping.parts.iter().find(|part| part.field == field);
    let own = part.and_then(|part| render(record, &part.shape.program, Some(name), registry));
    let component = component_of(kind, rendered, field)?;
    let own = own.unwrap_or_else(|| {
        let mut own = rendered.clone();
        if let (Some(members), Some(of)) = (own.as_object_mut(), component.as_object()) {
            members.shift_remove("component");
            members.extend(of.clone());
        }
        own
    });
    with_own_units(kinds, &own, &mut written);
    if let Some(meta) = written.get_mut("meta").and_then(Value::as_object_mut) {
        // Profiles of the part are not those of the whole.
        meta.shift_remove("profile");
    }
    let mut of_component = Map::new();
    if let Some(original) = original_value(&mut written) {
        let about = component["valueQuantity"]["value"].clone();
        let form = json!({ "=": [original], "while": [about] });
        of_component.insert("extension".into(), form);
    }
    let form = residue::of(&own, &written).unwrap_or_default();
    let mut members = form["o"].as_object().cloned().unwrap_or_default();
    let names: Vec<String> = members.keys().cloned().collect();
    for name in names {
        if OF_COMPONENT.contains(&name.as_str()) || name.starts_with("value") {
            of_component.extend(members.shift_remove(&name).map(|form| (name, form)));
        }
    }
    if !of_component.is_empty() {
        let pair = json!([residue::key(component), { "o": of_component }]);
        members.insert("component".into(), json!({ "a": [pair] }));
    }
    Some(json!({ "o": members }))
}

/// Takes the extension away that holds the quantity as it was written.
fn original_value(written: &mut Value) -> Option<Value> {
    let extensions = written.get_mut("extension")?.as_array_mut()?;
    let at = extensions.iter().position(residue::is_original_value)?;
    Some(extensions.remove(at))
}

/// The component of a field in a rendered Observation.
fn component_of<'v>(kind: &Kind, rendered: &'v Value, field: usize) -> Option<&'v Value> {
    let components = kind.mapping.panel.root.get("component")?.items();
    let template = components
        .iter()
        .find(|node| node.contains(Hole::Field(field)))?;
    let codings = kind.mapping.concept_codings(template.get("code")?);
    let (system, code) = codings.first()?;
    let is_it = |coding: &Value| {
        coding["system"].as_str() == Some(system) && coding["code"].as_str() == Some(code)
    };
    let mut rendered = rendered["component"].as_array()?.iter();
    rendered.find(|component| {
        let codings = component["code"]["coding"].as_array();
        codings.into_iter().flatten().any(is_it)
    })
}
