//! `$meta` (<https://hl7.org/fhir/R4/resource-operation-meta.html>).

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::told;
use crate::fhir::labels;
use crate::fhir::operation::Place;
use crate::fhir::parameters::Arguments;
use crate::fhir::resource::RESOURCES;
use crate::http::error::Result;
use crate::http::fhir::call::Call;
use crate::http::fhir::read;

/// Answers with the labels of a resource, of a type, or of all.
pub async fn meta(call: &Call, place: Place, id: &str, arguments: &Arguments) -> Result<Response> {
    let kinds = call.app.kinds();
    let labels = match place {
        Place::System => labels::of_types(kinds, RESOURCES.iter()),
        Place::Type(resource) => labels::of_types(kinds, std::iter::once(resource)),
        Place::Instance(resource) => {
            let mut current = read::current(resource, call, id).await?;
            current.body["meta"].take()
        }
    };
    let mut parameters = Vec::new();
    // FHIR has no empty objects: no parameter says that there are none.
    if labels.as_object().is_some_and(|labels| !labels.is_empty()) {
        parameters.push(json!({ "name": "return", "valueMeta": labels }));
    }
    parameters.extend(told(call, arguments));
    let answer = json!({ "resourceType": "Parameters", "parameter": parameters });
    call.answer_value(StatusCode::OK, &answer)
}
