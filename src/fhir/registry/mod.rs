//! The FHIR resources that the registries and the device parts of records become (mapping
//! specification §3), and the Provenance of a write.
//!
//! Pure functions from rows to resources, members in the order of R4's element tables. Ids
//! are computed ([`crate::fhir::id`]), so a resource made by the converter has the id it has
//! on a server. What a row lacks is left out; nothing is invented.
//!
//! | list | resources |
//! |---|---|
//! | `consortia` | [`organization_consortium`], [`research_study`], [`consortium_group`] |
//! | `participants` | [`patient`], [`research_subject`] |
//! | `laboratories` | [`organization_laboratory`] |
//! | `devices`, `activity-recording-times` | [`device_definition`] |
//! | (the device part of a record) | [`device`] |
//! | (the stages of HbA1c) | [`stage_group`] |

use serde_json::{Map, Value, json};

mod device;
mod group;
mod organization;
mod participant;
mod provenance;

pub use device::{device, device_definition, device_nomenclature};
pub use group::{
    TREATED_BY, consortium_group, consortium_group_id, consortium_of_group, stage_group,
};
pub use organization::{
    organization_consortium, organization_consortium_minimal, organization_laboratory,
    organization_laboratory_minimal, research_study,
};
pub use participant::{patient, patient_minimal, research_subject};
pub use provenance::{Activity, Provenance, provenance};

use crate::registry::{Row, split_identifier};

/// What a server knows about a stored resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// `meta.versionId`
    pub version: u32,
    /// `meta.lastUpdated`: an instant, `2016-09-01T12:00:01.250+09:00`.
    pub last_updated: String,
}

/// A resource (or an element) in the making. Members are written in the order they are put.
struct Element(Map<String, Value>);

impl Element {
    /// An element without members.
    fn new() -> Element {
        Element(Map::new())
    }

    /// A resource with its `id` and `meta`; without anything to say, `meta` is left out.
    fn resource(kind: &str, id: &str, meta: Option<&Meta>, profile: Option<String>) -> Element {
        let mut own = Element::new();
        if let Some(meta) = meta {
            own.put("versionId", meta.version.to_string());
            own.put("lastUpdated", meta.last_updated.as_str());
        }
        own.put_some("profile", profile.map(|url| vec![url]));
        let mut out = Element::new();
        out.put("resourceType", kind);
        out.put("id", id);
        out.put_some("meta", own.some());
        out
    }

    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn put_some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// Puts an array unless it is empty.
    fn put_all(&mut self, name: &str, values: Vec<Value>) {
        if !values.is_empty() {
            self.put(name, values);
        }
    }

    /// The element, unless it is empty.
    fn some(self) -> Option<Value> {
        (!self.0.is_empty()).then_some(Value::Object(self.0))
    }

    fn done(self) -> Value {
        Value::Object(self.0)
    }
}

/// `{ "reference": "{kind}/{id}" }`
fn reference(kind: &str, id: &str) -> Value {
    json!({ "reference": format!("{kind}/{id}") })
}

/// `{ "system": …, "value": … }`
fn identifier(system: &str, value: &str) -> Value {
    json!({ "system": system, "value": value })
}

/// The row's identifiers from other systems.
fn external_identifiers(row: &Row) -> impl Iterator<Item = Value> + '_ {
    row.items("external_identifiers")
        .iter()
        .filter_map(|text| split_identifier(text))
        .map(|(system, value)| identifier(system, value))
}

/// The period between two fields of a row; `None` where it has neither.
fn period(row: &Row, start: &str, end: &str) -> Option<Value> {
    let mut period = Element::new();
    period.put_some("start", row.text(start).map(date));
    period.put_some("end", row.text(end).map(date));
    period.some()
}

/// `yyyyMMdd` or `yyyyMM` as a FHIR date.
fn date(digits: &str) -> String {
    let part = |range| digits.get(range).filter(|part: &&str| !part.is_empty());
    let parts = [part(0..4), part(4..6), part(6..8)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("-")
}

/// A field of the row's key; every row has it.
fn key<'a>(row: &'a Row, field: &str) -> &'a str {
    row.text(field).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{List, Options, read_json};

    /// A row from its JSON.
    pub(super) fn row(list: &'static List, json: &Value) -> Row {
        let text = format!("[{json}]");
        let read = read_json(list, text.as_bytes(), &Options::default()).unwrap();
        assert_eq!(read.faults.kept(), []);
        read.rows.into_iter().next().unwrap()
    }

    /// Compares members, their order and the digits of numbers with an instance that HL7's
    /// validator finds no error in.
    pub(super) fn assert_golden(made: &Value, golden: &str) {
        let golden: Value = serde_json::from_str(golden).unwrap();
        let text = |value| serde_json::to_string_pretty(value).unwrap();
        assert_eq!(text(made), text(&golden));
    }

    #[test]
    fn dates_are_as_precise_as_what_was_written() {
        assert_eq!(date("20160901"), "2016-09-01");
        assert_eq!(date("196104"), "1961-04");
    }

    #[test]
    fn the_server_s_meta_comes_before_the_profile() {
        let meta = Meta {
            version: 3,
            last_updated: "2016-09-01T12:00:01.250+09:00".into(),
        };
        let made = Element::resource("Patient", "x", Some(&meta), Some("P".into())).done();
        assert_eq!(
            made.to_string(),
            r#"{"resourceType":"Patient","id":"x","meta":{"versionId":"3","lastUpdated":"2016-09-01T12:00:01.250+09:00","profile":["P"]}}"#
        );
        let made = Element::resource("Device", "x", None, None).done();
        assert_eq!(made.to_string(), r#"{"resourceType":"Device","id":"x"}"#);
    }
}
