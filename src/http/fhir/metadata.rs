//! capabilities (<https://hl7.org/fhir/R4/http.html#capabilities>).

use std::sync::LazyLock;

use axum::http::StatusCode;
use axum::http::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use axum::response::{IntoResponse, Response};

use super::call::{Call, has_etag};
use crate::fhir::capability::{self, Mode, Server};
use crate::fhir::id;
use crate::fhir::search::{Invalid, form};
use crate::http::error::{Problem, Result};
use crate::time;

/// Since when this program says what it says: its start.
static SINCE: LazyLock<String> =
    LazyLock::new(|| time::text(|out| time::write_instant(out, time::now_millis())));

/// Answers with the CapabilityStatement.
pub async fn capabilities(call: Call) -> Result<Response> {
    let mut mode = Mode::Full;
    for pair in form::pairs(&call.query)? {
        if pair.name == "mode" {
            mode = Mode::parse(&pair.value()?).ok_or_else(wrong_mode)?;
        }
    }
    let statement = |date| {
        let server = Server {
            base: &call.base,
            date,
        };
        capability::statement(call.app.kinds(), server, mode)
    };
    // The tag tells what is said, not since when.
    let hash = id::hash96("capability", &[&statement("").to_string()]);
    let etag = format!("W/\"{}\"", id::encode_hash(&hash));
    let mut response = if has_etag(&call.headers, IF_NONE_MATCH, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        call.answer_value(StatusCode::OK, &statement(SINCE.as_str()))?
    };
    let value = HeaderValue::from_str(&etag).map_err(Problem::internal)?;
    response.headers_mut().insert(ETAG, value);
    Ok(response)
}

fn wrong_mode() -> Invalid {
    Invalid::new(
        "mode",
        "full, normative or terminology is expected",
        "full、normative、terminology のいずれかを指定してください",
    )
}
