//! `Observation/$lastn` (<https://hl7.org/fhir/R4/observation-operation-lastn.html>).

use axum::http::StatusCode;
use axum::response::Response;

use crate::fhir::instance::Origin;
use crate::fhir::lastn;
use crate::fhir::parameters::Arguments;
use crate::fhir::resource::Resource;
use crate::fhir::search::form::Pair;
use crate::fhir::search::{Criterion, Ignored, Invalid, Modifier, Search};
use crate::fhir::searchset::Head;
use crate::fhir::subset::Subset;
use crate::http::error::Result;
use crate::http::fhir::call::Call;
use crate::http::fhir::entries::{self, Entries, MATCH};
use crate::http::fhir::search::{link, refused};

/// The parameters that name the person.
const SUBJECT: [&str; 2] = ["patient", "subject"];

/// Parameters of a search that say nothing to this operation.
const UNUSED: [&str; 5] = ["_include", "_revinclude", "_total", "_count", "_sort"];

/// Answers with the newest Observations of each code.
pub async fn lastn(
    call: &Call,
    observation: &'static Resource,
    arguments: Arguments,
) -> Result<Response> {
    let (unused, asked): (Vec<Pair>, Vec<Pair>) = arguments
        .search
        .iter()
        .cloned()
        .partition(|pair| UNUSED.contains(&pair.name.split(':').next().unwrap_or_default()));
    let limits = call.app.settings().limits();
    let mut search = Search::read(observation.searchable, &asked, limits)?;
    for pair in unused {
        search.ignored.push(Ignored {
            name: pair.name,
            en: "is not used by $lastn, which gives the newest of each code".into(),
            ja: "は $lastn では使われません（コードごとの最新のものを返します）".into(),
        });
    }
    if call.is_strict() && !search.ignored.is_empty() {
        return Err(refused(&search));
    }
    let mut filters = search.criteria.iter().filter_map(Criterion::filter);
    let one_subject = filters.any(|filter| {
        let name = filter.name.split([':', '.']).next().unwrap_or_default();
        SUBJECT.contains(&name)
            && filter.values.len() == 1
            && filter.modifier != Some(Modifier::Missing)
    });
    if !one_subject {
        return Err(Invalid::new(
            "patient",
            "one person is expected: patient or subject, such as patient=Patient/[id]",
            "patient か subject で一人を指定してください（例: patient=Patient/[id]）",
        )
        .into());
    }
    let max = arguments.positive("max")?;
    let subset = Subset::of(&search);
    let access = call.app.access();
    let from = Origin {
        store: call.app.store(),
        access: &access,
    };
    let groups = lastn::groups(from, &call.scope(), &search, max.unwrap_or(1)).await?;
    let mut used = search.used.clone();
    if let Some(max) = max {
        used.push_str(&format!("&max={max}"));
    }
    let address = format!("{}/{}/$lastn", call.base, observation.name());
    let head = Head {
        bundle_type: "searchset",
        total: None,
        links: &[("self", link(&address, &used, None))],
    };
    let mut out = Entries::new(call, &head, &subset);
    for group in &groups {
        out.records(group, MATCH).await?;
    }
    let passed_over = [search.ignored, arguments.ignored].concat();
    out.told(&entries::ignored(&passed_over, call.lang));
    call.answer(StatusCode::OK, out.done())
}
