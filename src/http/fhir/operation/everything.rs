//! `Patient/[id]/$everything`
//! (<https://hl7.org/fhir/R4/patient-operation-everything.html>).

use axum::http::StatusCode;
use axum::response::Response;

use crate::fhir::everything::{self, Asked};
use crate::fhir::instance::Origin;
use crate::fhir::parameters::Arguments;
use crate::fhir::resource::{Resource, by_name};
use crate::fhir::search::form::{self, Pair};
use crate::fhir::search::{Invalid, cursor};
use crate::fhir::searchset::Head;
use crate::fhir::subset::Subset;
use crate::http::error::{Result, wrong_cursor};
use crate::http::fhir::call::{Call, no_such};
use crate::http::fhir::entries::{self, Entries, INCLUDE, MATCH};
use crate::http::fhir::history::since;
use crate::http::fhir::search::link;

/// Resources on a page where nobody asks for a number, and at most.
const PAGE: usize = 5000;

/// Answers with everything about a Patient.
pub async fn everything(
    call: &Call,
    patient: &'static Resource,
    id: &str,
    arguments: &Arguments,
) -> Result<Response> {
    let subset = Subset::asked(&arguments.parts)?;
    let asked = asked(arguments)?;
    let used = used(arguments, call)?;
    let address = format!("{}/{}/{id}/$everything", call.base, patient.name());
    let search = format!("{address}?{used}");
    let cursor = arguments.cursor.as_deref();
    let after = match cursor {
        Some(text) => {
            let (_, numbers) = cursor::decode(&search, text).ok_or_else(wrong_cursor)?;
            Some(numbers)
        }
        None => None,
    };
    let access = call.app.access();
    let from = Origin {
        store: call.app.store(),
        access: &access,
    };
    let page = everything::page(from, &call.scope(), patient, id, &asked, after).await?;
    let page = page.ok_or_else(|| no_such(patient.name()))?;
    let mut links = vec![("self", link(&address, &used, cursor))];
    if let Some(place) = page.next {
        let cursor = cursor::encode(&search, false, &place);
        links.push(("next", link(&address, &used, Some(&cursor))));
    }
    let head = Head {
        bundle_type: "searchset",
        total: None,
        links: &links,
    };
    let mut out = Entries::new(call, &head, &subset);
    for (_, found) in &page.members {
        out.found(found, MATCH).await?;
    }
    for found in &page.referred {
        out.found(found, INCLUDE).await?;
    }
    out.told(&entries::ignored(&arguments.ignored, call.lang));
    call.answer(StatusCode::OK, out.done())
}

fn asked(arguments: &Arguments) -> Result<Asked> {
    let mut observed = Vec::new();
    for (name, prefix) in [("start", "ge"), ("end", "le")] {
        if let Some(day) = arguments.one(name)? {
            if !is_date(day) {
                return Err(Invalid::new(
                    name,
                    "a date is expected, such as 2016-09-01",
                    "2016-09-01 のような日付を指定してください",
                )
                .into());
            }
            observed.push(Pair::new("date", &format!("{prefix}{day}")));
        }
    }
    let mut stored = Vec::new();
    if let Some(text) = arguments.one("_since")? {
        since(text)?;
        stored.push(Pair::new(
            "_lastUpdated",
            &format!("ge{}", text.replace(' ', "+")),
        ));
    }
    let mut types = Vec::new();
    for name in arguments.texts("_type")?.iter().flat_map(|t| t.split(',')) {
        let resource = by_name(name.trim()).ok_or_else(|| {
            let name = crate::fault::shorten(name);
            Invalid::new(
                "_type",
                format!("{name:?} is no resource type of this server"),
                format!("「{name}」というリソースタイプはありません"),
            )
        })?;
        types.push(resource.name());
    }
    Ok(Asked {
        observed,
        stored,
        types,
        limit: arguments.positive("_count")?.unwrap_or(PAGE).min(PAGE),
    })
}

/// A date as precise as it is: year, month, day, or a time.
fn is_date(text: &str) -> bool {
    crate::time::parse_fhir(text, crate::time::JST).is_some()
}

/// What was used, encoded for links. Links are followed by GET, whatever this call was.
fn used(arguments: &Arguments, call: &Call) -> Result<String> {
    let mut out = String::new();
    let mut add = |name: &str, value: &str| {
        out.push_str(if out.is_empty() { "" } else { "&" });
        form::encode(name, &mut out);
        out.push('=');
        form::encode(value, &mut out);
    };
    for name in ["start", "end", "_since", "_type"] {
        for value in arguments.texts(name)? {
            add(name, value);
        }
    }
    if let Some(count) = arguments.positive("_count")? {
        add("_count", &count.min(PAGE).to_string());
    }
    let mut written = form::pairs(&call.query)?;
    written.retain(|pair| matches!(pair.name.as_str(), "_format" | "_pretty"));
    for pair in arguments.parts.iter().chain(&written) {
        add(&pair.name, &pair.value()?);
    }
    Ok(out)
}
