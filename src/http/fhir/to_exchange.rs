//! `$to-exchange`: a Bundle, a resource or NDJSON in, submissions out; nothing is stored.

use std::io::Read;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::call::Call;
use super::to_fhir::FAULTS_MAX;
use crate::exchange::{self, Submission};
use crate::fault::{Code, Fault};
use crate::fhir::base64;
use crate::fhir::inbound::{self, Known, Options, Outcome};
use crate::fhir::outcome::{Issue, outcome};
use crate::http::body::{self, Body};
use crate::http::error::{self, Kind, Problem, Result};
use crate::http::negotiate::{self, FHIR_JSON, JSON, TEXT_JSON};
use crate::kind::{Edition, Kinds};

const NDJSON: [&str; 2] = ["application/fhir+ndjson", "application/ndjson"];

/// Converts resources. What can be converted is; nothing at all, or any refusal in strict
/// handling, is 422.
pub async fn to_exchange(call: Call, body: Body) -> Result<Response> {
    let media = [FHIR_JSON, JSON, TEXT_JSON, NDJSON[0], NDJSON[1]];
    negotiate::content_type(&call.headers, &media)?;
    let kinds = call.app.kinds().clone();
    let read = move |source: &mut dyn Read, length| {
        let options = Options {
            faults_max: body::faults_max(FAULTS_MAX, length),
            bundles_max: Options::default()
                .bundles_max
                .min(100 + length as usize / 512),
            ..Options::default()
        };
        inbound::read_any(&kinds, options, source)
    };
    let input = call.parse(body, read).await??;
    let kinds = call.app.kinds().clone();
    let access = call.app.access();
    let lists = call.app.store();
    let lists = lists.wanted(&access, &input.wanted(&kinds)).await?;
    let convert = move || input.finish(&kinds, Known::of(&lists));
    let (mut submissions, said) = tokio::task::spawn_blocking(convert).await?;
    submissions.retain(|s| s.rows.iter().any(|row| !row.refused));
    if submissions.is_empty() {
        if said.issues.is_empty() && said.untold == 0 {
            return Err(Problem::new(Kind::Refused).detail(
                "there is no resource in it to convert",
                "変換するリソースがありません",
            ));
        }
        // Not FHIR at all, which is another mistake than FHIR that a rule refuses.
        let is_shape = |f: &Fault| f.code == Code::Type && f.pointer.is_empty();
        if said.untold == 0 && said.issues.iter().all(|met| is_shape(&met.fault)) {
            let faults = said.issues.into_iter().map(|met| met.fault).collect();
            return Err(Problem::faults(Kind::Malformed, faults));
        }
    }
    let told = told(&said, &call);
    if submissions.is_empty() || (call.is_strict() && said.has_errors()) {
        return call.answer_value(StatusCode::UNPROCESSABLE_ENTITY, &told);
    }
    let kinds = call.app.kinds();
    let mut parameters = Vec::new();
    for submission in &submissions {
        let binary = binary(kinds, submission).map_err(Problem::internal)?;
        parameters.push(json!({ "name": "submission", "resource": binary }));
    }
    parameters.push(json!({ "name": "outcome", "resource": told }));
    let answer = json!({ "resourceType": "Parameters", "parameter": parameters });
    call.answer_value(StatusCode::OK, &answer)
}

fn binary(kinds: &Kinds, submission: &Submission) -> std::io::Result<Value> {
    let text = exchange::write(Vec::new(), kinds, submission, Edition::default())?;
    Ok(json!({
        "resourceType": "Binary",
        "contentType": "application/json",
        "data": base64::encode(&text),
    }))
}

/// Everything that there is to say about what came in.
fn told(said: &Outcome, call: &Call) -> Value {
    let mut issues: Vec<Issue> = said.issues.iter().map(|met| met.told(call.lang)).collect();
    if said.untold > 0 {
        issues.push(error::unlisted(said.untold, call.lang));
    }
    outcome(&issues, &call.app.kinds().canonical, call.lang)
}
