//! The CapabilityStatement, from the tables that route requests and read searches
//! (<https://hl7.org/fhir/R4/capabilitystatement.html>).

use serde_json::{Map, Value, json};

use super::compartment::{COMPARTMENTS, Compartment};
use super::operation::{OPERATIONS, Operation};
use super::resource::{Interaction, RESOURCES, Resource, SystemInteraction};
use super::search::Parameter;
use crate::kind::Kinds;
use crate::mapping::Node;

/// What is asked for (<https://hl7.org/fhir/R4/http.html#capabilities>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All of it.
    Full,
    /// The resources whose definition is normative in R4.
    Normative,
    /// TerminologyCapabilities.
    Terminology,
}

impl Mode {
    /// `full`, `normative` or `terminology`.
    pub fn parse(text: &str) -> Option<Mode> {
        match text {
            "full" => Some(Mode::Full),
            "normative" => Some(Mode::Normative),
            "terminology" => Some(Mode::Terminology),
            _ => None,
        }
    }
}

/// The types among ours that are normative in R4.
const NORMATIVE: [&str; 2] = ["Observation", "Patient"];

/// What is said of the running server.
#[derive(Debug, Clone, Copy)]
pub struct Server<'a> {
    /// The address of its resources, `https://host/fhir`.
    pub base: &'a str,
    /// Since when it says so: a FHIR dateTime.
    pub date: &'a str,
}

/// The statement of a server with these record kinds.
pub fn statement(kinds: &Kinds, server: Server, mode: Mode) -> Value {
    let mut out = head(server, mode);
    if mode == Mode::Terminology {
        return Value::Object(out);
    }
    let resources: Vec<Value> = RESOURCES
        .iter()
        .filter(|r| mode == Mode::Full || NORMATIVE.contains(&r.name()))
        .map(|r| resource(kinds, r))
        .collect();
    out.insert("fhirVersion".into(), "4.0.1".into());
    out.insert(
        "format".into(),
        json!(["application/fhir+json", "application/json", "text/json"]),
    );
    out.insert("patchFormat".into(), json!(["application/json-patch+json"]));
    let mut rest = Map::new();
    rest.insert("mode".into(), "server".into());
    rest.insert("documentation".into(), DOCUMENTATION.into());
    rest.insert("resource".into(), resources.into());
    if mode == Mode::Full {
        let interactions = SystemInteraction::ALL.iter();
        let interactions =
            interactions.map(|i| json!({ "code": i.code(), "documentation": i.about() }));
        rest.insert("interaction".into(), interactions.collect());
        let operations = OPERATIONS.iter().filter(|o| o.system);
        rest.insert(
            "operation".into(),
            operations.map(|o| operation(kinds, o)).collect(),
        );
        let compartments = COMPARTMENTS.iter().filter(|c| c.members().next().is_some());
        let compartments: Vec<String> = compartments.map(Compartment::definition).collect();
        rest.insert("compartment".into(), compartments.into());
    }
    out.insert("rest".into(), json!([rest]));
    Value::Object(out)
}

const DOCUMENTATION: &str = "Dates and times in searches that have no zone are read in Asia/Tokyo. \
    An unknown parameter is ignored and told in an OperationOutcome entry, or refused with \
    Prefer: handling=strict; so are _filter and _sort by a parameter that a type does not name. \
    Bundle.total is given with _total, _summary=count and _count=0. _count goes up to 1000. A plus sign \
    in a query is a space but in an offset of a time and in a media type.";

fn head(server: Server, mode: Mode) -> Map<String, Value> {
    let name = match mode {
        Mode::Terminology => "TerminologyCapabilities",
        _ => "CapabilityStatement",
    };
    let head = json!({
        "resourceType": name,
        "status": "active",
        "date": server.date,
        "kind": "instance",
        "software": { "name": "kenko-fhir", "version": env!("CARGO_PKG_VERSION") },
        "implementation": {
            "description": "Bridge between Japan's health information exchange protocol and HL7 FHIR R4",
            "url": server.base,
        },
    });
    match head {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn resource(kinds: &Kinds, resource: &Resource) -> Value {
    let codes = resource.interactions.iter().filter_map(|i| i.code());
    let codes: Vec<Value> = codes.map(|code| json!({ "code": code })).collect();
    let mut out = Map::new();
    out.insert("type".into(), resource.name().into());
    let profiles = profiles(kinds, resource);
    if !profiles.is_empty() {
        out.insert("supportedProfile".into(), profiles.into());
    }
    out.insert("documentation".into(), about(kinds, resource).into());
    out.insert("interaction".into(), codes.into());
    out.insert("versioning".into(), "versioned".into());
    out.insert("readHistory".into(), resource.keeps_versions().into());
    let has = |interaction| resource.has(interaction);
    if has(Interaction::Update) {
        out.insert("updateCreate".into(), true.into());
    }
    if has(Interaction::Create) || has(Interaction::ConditionalCreate) {
        out.insert("conditionalCreate".into(), true.into());
    }
    out.insert("conditionalRead".into(), "full-support".into());
    if has(Interaction::Update) {
        out.insert("conditionalUpdate".into(), true.into());
    }
    if has(Interaction::Delete) {
        out.insert("conditionalDelete".into(), "single".into());
    }
    out.insert("referencePolicy".into(), json!(["literal", "local"]));
    for (name, values) in [
        ("searchInclude", includes(resource)),
        ("searchRevInclude", reverse_includes(resource)),
    ] {
        if !values.is_empty() {
            out.insert(name.into(), values.into());
        }
    }
    let parameters = resource.searchable.parameters.iter();
    out.insert("searchParam".into(), parameters.map(parameter).collect());
    let operations: Vec<Value> = Operation::of(resource)
        .map(|o| operation(kinds, o))
        .collect();
    if !operations.is_empty() {
        out.insert("operation".into(), operations.into());
    }
    Value::Object(out)
}

/// The references that an `_include` can follow.
pub fn includes(resource: &Resource) -> Vec<String> {
    let references = resource.searchable.parameters.iter();
    let references = references.filter(|p| !p.links.is_empty());
    let mut out: Vec<String> = references
        .map(|p| format!("{}:{}", resource.name(), p.name))
        .collect();
    if !out.is_empty() {
        out.insert(0, "*".into());
    }
    out
}

/// The references to a resource that a `_revinclude` can follow.
pub fn reverse_includes(resource: &Resource) -> Vec<String> {
    let mut out = Vec::new();
    for source in RESOURCES {
        let leads = |p: &&Parameter| {
            let mut links = p.links.iter();
            links.any(|link| std::ptr::eq(link.resource, resource.searchable))
        };
        let references = source.searchable.parameters.iter().filter(leads);
        out.extend(references.map(|p| format!("{}:{}", source.name(), p.name)));
    }
    out
}

fn operation(kinds: &Kinds, operation: &Operation) -> Value {
    json!({
        "name": operation.name,
        "definition": operation.definition(&kinds.canonical),
        "documentation": operation.about,
    })
}

fn parameter(parameter: &Parameter) -> Value {
    let mut out = Map::new();
    out.insert("name".into(), parameter.name.into());
    let definition = format!(
        "http://hl7.org/fhir/SearchParameter/{}",
        parameter.definition
    );
    out.insert("definition".into(), definition.into());
    out.insert("type".into(), parameter.ty.as_str().into());
    let mut told = format!("Reads {}.", parameter.reads);
    let modifiers = parameter.modifier_names();
    if !modifiers.is_empty() {
        told.push_str(" Modifiers: :");
        told.push_str(&modifiers.join(", :"));
        told.push('.');
    }
    let targets: Vec<&str> = parameter
        .links
        .iter()
        .map(|link| link.resource.resource_type)
        .collect();
    if !targets.is_empty() {
        told.push_str(&format!(" Chains to {}.", targets.join(", ")));
    }
    out.insert("documentation".into(), told.into());
    Value::Object(out)
}

/// What the instances are; of Observation also the record kinds with their codes.
fn about(kinds: &Kinds, resource: &Resource) -> String {
    let mut out = resource.about.to_owned();
    if resource.name() == "Observation" {
        let listed = kinds.iter().map(|kind| {
            let codings = kind.mapping.code_codings();
            let code = codings.first().map_or("", |(_, code)| code);
            format!("{} ({code}, {})", kind.name, kind.title.en)
        });
        let listed: Vec<String> = listed.collect();
        out.push_str(&format!(" Record kinds: {}.", listed.join(", ")));
    }
    let keys = resource.searchable.sort_keys();
    if !keys.is_empty() {
        out.push_str(&format!(" _sort by: {}.", keys.join(", ")));
    }
    out
}

/// The profiles that instances claim: for Observation those of the record kinds.
pub fn profiles(kinds: &Kinds, resource: &Resource) -> Vec<String> {
    let mut out: Vec<String> = resource.profiles.iter().map(|p| (*p).to_owned()).collect();
    if resource.name() == "Observation" {
        let claimed = kinds.iter().flat_map(|kind| {
            let profile = kind
                .mapping
                .panel
                .root
                .get("meta")
                .and_then(|m| m.get("profile"));
            profile.map_or(&[][..], Node::items)
        });
        out.extend(claimed.filter_map(Node::constant).map(str::to_owned));
        out.sort_unstable();
        out.dedup();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Server = Server {
        base: "http://h/fhir",
        date: "2026-08-01",
    };

    #[test]
    fn every_mode_has_the_structure_of_r4() {
        let kinds = Kinds::embedded().unwrap();
        for mode in [Mode::Full, Mode::Normative, Mode::Terminology] {
            let made = statement(&kinds, SERVER, mode);
            assert_eq!(crate::fhir::check::check(&made), Ok(()), "{mode:?}");
        }
        let full = statement(&kinds, SERVER, Mode::Full);
        assert!(full.to_string().len() < 60_000);
        let normative = statement(&kinds, SERVER, Mode::Normative);
        assert_eq!(
            normative["rest"][0]["resource"].as_array().unwrap().len(),
            2
        );
    }

    #[test]
    fn the_profiles_of_the_kinds_are_claimed_once() {
        let kinds = Kinds::embedded().unwrap();
        let observation = crate::fhir::resource::by_name("Observation").unwrap();
        let profiles = profiles(&kinds, observation);
        assert!(profiles.contains(&"http://hl7.org/fhir/StructureDefinition/bp".to_owned()));
    }
}
