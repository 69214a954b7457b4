//! What the search parameters of resources that come from registry rows mean for the rows.

use super::token::{System, Token};
use super::{Filter, Invalid, Scope};
use crate::fhir::id::{self, Hash96, ObservationKey};
use crate::fhir::registry::consortium_of_group;
use crate::fhir::resource::Source;
use crate::registry::{CONSORTIA, LABORATORIES, PARTICIPANTS};
use crate::store::Test;

/// The test of the rows of a source whose resources have one of these logical ids.
pub fn has_ids<'a>(source: &Source, ids: impl IntoIterator<Item = &'a str>) -> Test {
    let ids = ids.into_iter();
    match source {
        Source::Record => Test::Keys(ids.filter_map(ObservationKey::decode).collect()),
        Source::Delivery => Test::Delivery(ids.filter_map(delivery).collect()),
        Source::Group => {
            let (mut consortia, mut stages) = (Vec::new(), Vec::new());
            for id in ids {
                match consortium_of_group(id) {
                    Some(consortium) => consortia.push(consortium.to_owned()),
                    None => stages.push(id.to_owned()),
                }
            }
            let tests = [("consortium_id", consortia), ("stage", stages)];
            let tests = tests.into_iter().filter(|(_, values)| !values.is_empty());
            Test::any(tests.map(|(column, values)| Test::column(column, values)))
        }
        _ => Test::Hash(ids.filter_map(id::decode_hash).collect()),
    }
}

/// `_id`
pub fn id(_: &Scope, source: &Source, filter: &Filter) -> Result<Test, Invalid> {
    filter.judge(
        || Test::ALWAYS,
        || {
            let tokens = filter.tokens()?;
            let ids = tokens.iter().filter_map(|token| match token.system {
                // An id has no system.
                System::Any | System::Absent => token.code.as_deref(),
                System::Is(_) => None,
            });
            Ok(has_ids(source, ids))
        },
    )
}

/// The write and the participant, if any, that the id of a Provenance names.
fn delivery(id: &str) -> Option<(String, Option<Hash96>)> {
    let Some((write, participant)) = id.split_once('.') else {
        return Some((id.to_owned(), None));
    };
    Some((write.to_owned(), Some(id::decode_hash(participant)?)))
}

/// `_lastUpdated`
pub fn last_updated(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    filter.judge(
        || Test::ALWAYS,
        || {
            let tests = filter.dates(scope)?;
            let ranges = tests.into_iter().flat_map(|t| t.of_instant(scope.now));
            Ok(Test::Updated(ranges.collect()))
        },
    )
}

/// `identifier`
///
/// # Errors
/// [`Invalid`] for a value that is no token.
pub fn identifier(scope: &Scope, source: &Source, filter: &Filter) -> Result<Test, Invalid> {
    given(scope, source, filter, true)
}

/// `identifier` of a resource that carries only what the consortium gave.
///
/// # Errors
/// [`Invalid`] for a value that is no token.
pub fn own_identifier(scope: &Scope, source: &Source, filter: &Filter) -> Result<Test, Invalid> {
    given(scope, source, filter, false)
}

fn given(scope: &Scope, source: &Source, filter: &Filter, external: bool) -> Result<Test, Invalid> {
    filter.judge(
        || Test::ALWAYS,
        || {
            let tokens = filter.tokens()?;
            let tests = tokens
                .iter()
                .map(|token| identified(scope, source, token, external));
            Ok(Test::any(tests))
        },
    )
}

/// The rows with an identifier that a token means; `external` where those count that others
/// gave.
fn identified(scope: &Scope, source: &Source, token: &Token, external: bool) -> Test {
    match source {
        Source::Row(row) if row.list == &PARTICIPANTS => {
            of_consortium(scope, token, ("person", "person_id"), external)
        }
        Source::Row(row) if row.list == &CONSORTIA => {
            match token.takes_system(&scope.kinds.canonical.sid("consortium")) {
                true => has("consortium_id", token),
                false => Test::NEVER,
            }
        }
        Source::Row(row) if row.list == &LABORATORIES => {
            of_consortium(scope, token, ("test-lab", "test_lab_id"), external)
        }
        Source::Row(_) | Source::Record | Source::Delivery | Source::Group => Test::NEVER,
        Source::Model => parts(scope, token, "device-model", 2),
        Source::Device => {
            let system = match &token.system {
                System::Any => None,
                System::Absent => Some(String::new()),
                System::Is(system) => Some(system.clone()),
            };
            let others = Test::External(vec![(system, token.code.clone())]);
            Test::any([parts(scope, token, "device", 3), others])
        }
    }
}

/// An identifier that is unique within a consortium, whose system names it; or one that
/// others gave.
fn of_consortium(
    scope: &Scope,
    token: &Token,
    (what, field): (&str, &'static str),
    external: bool,
) -> Test {
    let system = match &token.system {
        System::Absent => return Test::NEVER,
        System::Any => None,
        System::Is(system) => Some(system.as_str()),
    };
    let own = match system {
        None => has(field, token),
        Some(system) => match scope.kinds.canonical.consortium_of(system, what) {
            Some(consortium) => Test::all([
                Test::column("consortium_id", [consortium.to_owned()]),
                has(field, token),
            ]),
            None => Test::NEVER,
        },
    };
    let others = Test::External(vec![(system.map(str::to_owned), token.code.clone())]);
    Test::any([own, Test::all([Test::Constant(external), others])])
}

fn has(field: &'static str, token: &Token) -> Test {
    match &token.code {
        Some(code) => Test::column(field, [code.clone()]),
        None => Test::ALWAYS,
    }
}

/// An identifier of so many joined parts, which lead to a hash.
fn parts(scope: &Scope, token: &Token, name: &str, number: usize) -> Test {
    if !token.takes_system(&scope.kinds.canonical.sid(name)) {
        return Test::NEVER;
    }
    let Some(joined) = &token.code else {
        return Test::ALWAYS;
    };
    let split = id::split(joined);
    let parts: Vec<&str> = split.iter().map(String::as_str).collect();
    // Only what this program writes is such an identifier.
    match id::join(&parts) == *joined && parts.len() == number {
        true => Test::Hash(vec![id::hash96(name, &parts)]),
        false => Test::NEVER,
    }
}
