//! `Patient/$match` (<https://hl7.org/fhir/R4/patient-operation-match.html>).

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::fhir::instance::Origin;
use crate::fhir::matching::{self, Grade};
use crate::fhir::parameters::Arguments;
use crate::fhir::resource::Resource;
use crate::fhir::searchset::Head;
use crate::fhir::subset::Subset;
use crate::http::error::{Problem, Result};
use crate::http::fhir::call::Call;
use crate::http::fhir::entries::{self, Entries};
use crate::http::fhir::search::link;
use crate::http::fhir::written;

/// Patients where nobody asks for a number, and at most.
const COUNT: usize = 50;
const GRADE: &str = "http://hl7.org/fhir/StructureDefinition/match-grade";

/// Answers with the Patients that the one given may be.
pub async fn matching(
    call: &Call,
    patient: &'static Resource,
    arguments: &Arguments,
) -> Result<Response> {
    let sought = arguments.resource("resource").unwrap_or(&Value::Null);
    let name = sought["resourceType"].as_str().unwrap_or_default();
    if name != patient.name() {
        return Err(written::other_type(patient, name));
    }
    if let Err(misfit) = crate::fhir::check::check(sought) {
        let at = crate::fault::Place::default();
        let fault = crate::fault::Fault::new(misfit.code, misfit.path, at);
        let faults = vec![fault.expected(misfit.expected).found(&misfit.found)];
        return Err(Problem::faults(crate::http::error::Kind::Malformed, faults));
    }
    let count = arguments.positive("count")?.unwrap_or(COUNT).min(COUNT);
    let certain = arguments.flag("onlyCertainMatches")?;
    let subset = Subset::asked(&arguments.parts)?;
    let access = call.app.access();
    let from = Origin {
        store: call.app.store(),
        access: &access,
    };
    let mut found = matching::find(from, &call.scope(), patient, sought).await?;
    if certain {
        found.retain(|candidate| candidate.grade == Grade::Certain);
        // Of several none is certain.
        if found.len() > 1 {
            found.clear();
        }
    }
    found.truncate(count);
    let address = format!("{}/{}/$match", call.base, patient.name());
    let head = Head {
        bundle_type: "searchset",
        total: Some(found.len() as u64),
        links: &[("self", link(&address, "", None))],
    };
    let mut out = Entries::new(call, &head, &subset);
    for candidate in &found {
        let search = json!({
            "extension": [{ "url": GRADE, "valueCode": candidate.grade.code() }],
            "mode": "match",
            "score": candidate.score,
        });
        out.scored(&candidate.patient, &search)?;
    }
    out.told(&entries::ignored(&arguments.ignored, call.lang));
    call.answer(StatusCode::OK, out.done())
}
