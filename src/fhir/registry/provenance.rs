//! The Provenance of a write: which client, when, which records.

use serde_json::{Value, json};

use super::{Element, Meta, reference};
use crate::fhir::canonical::Canonical;
use crate::fhir::id;

const DATA_OPERATION: &str = "http://terminology.hl7.org/CodeSystem/v3-DataOperation";
const PARTICIPANT_TYPE: &str = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Records were created (and perhaps others updated).
    Create,
    /// Records were updated.
    Update,
    /// A record was deleted.
    Delete,
}

/// What a Provenance tells, besides its targets.
#[derive(Debug, Clone, Copy)]
pub struct Provenance<'a> {
    /// The logical id ([`id::provenance`]).
    pub id: &'a str,
    /// When the sender sent it: an instant, `2016-10-05T12:00:05.000+09:00`.
    pub occurred: &'a str,
    /// When it was stored: an instant.
    pub recorded: &'a str,
    /// What the write did.
    pub activity: Activity,
    /// The name of the client.
    pub client: &'a str,
    /// The consortium on whose behalf it was sent, where it is of one.
    pub consortium_id: Option<&'a str>,
    /// The transmission (`{consortium_id}:{send_time}`) of a submission; a write over FHIR
    /// has none.
    pub transmission: Option<&'a str>,
}

/// The Provenance of a write to `targets`: references, `Observation/{id}`.
pub fn provenance(
    base: &Canonical,
    told: &Provenance<'_>,
    targets: impl IntoIterator<Item = impl AsRef<str>>,
    meta: Option<&Meta>,
) -> Value {
    let mut out = Element::resource("Provenance", told.id, meta, None);
    let targets = targets.into_iter();
    out.put_all(
        "target",
        targets
            .map(|target| json!({ "reference": target.as_ref() }))
            .collect(),
    );
    out.put("occurredDateTime", told.occurred);
    out.put("recorded", told.recorded);
    let (code, display) = match told.activity {
        Activity::Create => ("CREATE", "create"),
        Activity::Update => ("UPDATE", "revise"),
        Activity::Delete => ("DELETE", "delete"),
    };
    out.put(
        "activity",
        json!({ "coding": [{ "system": DATA_OPERATION, "code": code, "display": display }] }),
    );
    let mut agent = Element::new();
    agent.put(
        "type",
        json!({ "coding": [
            { "system": PARTICIPANT_TYPE, "code": "assembler", "display": "Assembler" }
        ] }),
    );
    agent.put("who", json!({ "display": told.client }));
    let consortium = told.consortium_id.map(id::consortium);
    let consortium = consortium.map(|id| reference("Organization", &id));
    agent.put_some("onBehalfOf", consortium);
    out.put_all("agent", vec![agent.done()]);
    let source = told.transmission.map(|transmission| {
        json!([{
            "role": "source",
            "what": { "identifier": {
                "system": base.sid("transmission"), "value": transmission
            } },
        }])
    });
    out.put_some("entity", source);
    out.done()
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_golden;
    use super::*;

    #[test]
    fn a_submission_has_a_provenance() {
        let told = Provenance {
            id: "submission-1",
            occurred: "2016-10-05T12:00:05.000+09:00",
            recorded: "2016-10-05T12:00:05.123+09:00",
            activity: Activity::Create,
            client: "consortium-a",
            consortium_id: Some("A00001"),
            transmission: Some("A00001:20161005120005123"),
        };
        let targets = [
            "dafb7e2b-f480-5a1c-ba9a-5403452388e9",
            "896c4c51-c4ac-545d-96c7-8c93101fb42d",
            "99fbfcb3-398b-5b1a-a40f-b0243f5e1169",
            "8557c0a2-9675-5906-984e-4ea5746d36c0",
            "bf96cbd1-bd13-5d0d-bb2e-e3cffd7b5681",
        ];
        let targets = targets.map(|id| format!("Observation/{id}"));
        assert_golden(
            &provenance(&Canonical::default(), &told, targets, None),
            include_str!("../../../tests/golden/registry/Provenance.json"),
        );
        let written_over_fhir = Provenance {
            transmission: None,
            activity: Activity::Update,
            ..told
        };
        let made = provenance(
            &Canonical::default(),
            &written_over_fhir,
            ["Patient/x"],
            None,
        );
        assert_eq!(made.get("entity"), None);
        assert_eq!(made["activity"]["coding"][0]["display"], "revise");
    }
}
