//! What the search parameters of resources that come from registry rows mean for the rows.

use super::token::{System, Token};
use super::{Filter, Invalid, Scope};
use crate::fhir::id::{self, Hash96};
use crate::fhir::resource::Source;
use crate::registry::{CONSORTIA, LABORATORIES, PARTICIPANTS};
use crate::store::RowTest;

/// What a filter means for rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowMeaning {
    /// Rows that pass any of these tests.
    Tests(Vec<RowTest>),
    /// Deliveries with these ids: of the write, and hash of the participant.
    Deliveries(Vec<(String, Hash96)>),
}

/// `_id`
pub fn id(_: &Scope, source: &Source, filter: &Filter) -> Result<RowMeaning, Invalid> {
    let tokens = filter.tokens()?;
    let ids = tokens.iter().filter_map(|token| match token.system {
        System::Any => token.code.as_deref(),
        _ => None,
    });
    Ok(match source {
        Source::Delivery => RowMeaning::Deliveries(ids.filter_map(delivery).collect()),
        _ => {
            let hashes = ids.filter_map(id::decode_hash);
            RowMeaning::Tests(hashes.map(RowTest::Hash).collect())
        }
    })
}

/// The write and the participant that the id of a Provenance names.
pub fn delivery(id: &str) -> Option<(String, Hash96)> {
    let (write, participant) = id.split_once('.')?;
    Some((write.to_owned(), id::decode_hash(participant)?))
}

/// `_lastUpdated`
pub fn last_updated(scope: &Scope, _: &Source, filter: &Filter) -> Result<RowMeaning, Invalid> {
    let tests = filter.dates(scope)?;
    let ranges = tests.into_iter().flat_map(|t| t.of_instant(scope.now));
    let tests = ranges.map(|(from, until)| RowTest::Updated(from, until));
    Ok(RowMeaning::Tests(tests.collect()))
}

/// `identifier`
pub fn identifier(scope: &Scope, source: &Source, filter: &Filter) -> Result<RowMeaning, Invalid> {
    let external = filter.parameter.definition != "ResearchSubject-identifier";
    let mut tests = Vec::new();
    for token in filter.tokens()? {
        match source {
            Source::Row(row) if row.list == &PARTICIPANTS => {
                tests.extend(person_tests(scope, &token, external));
            }
            Source::Row(row) if row.list == &CONSORTIA => {
                let own = scope.kinds.canonical.sid("consortium");
                if token.takes_system(&own) {
                    tests.push(fields("consortium_id", &token));
                }
            }
            Source::Row(row) if row.list == &LABORATORIES => {
                tests.extend(of_consortium(scope, &token, "test-lab", "test_lab_id"));
            }
            Source::Row(_) | Source::Record | Source::Delivery => {}
            Source::Model => tests.extend(parts(scope, &token, "device-model", |p| match p {
                [maker, model] => Some(id::hash96("device-model", &[maker, model])),
                _ => None,
            })),
            Source::Device => tests.extend(parts(scope, &token, "device", |p| match p {
                [maker, model, serial] => Some(id::hash96("device", &[maker, model, serial])),
                _ => None,
            })),
        }
    }
    Ok(RowMeaning::Tests(tests))
}

/// The tests of participants that an identifier means: the consortium's own and, where
/// asked for, those that others gave.
pub fn person_tests(scope: &Scope, token: &Token, external: bool) -> Vec<RowTest> {
    let mut tests = of_consortium(scope, token, "person", "person_id");
    tests.retain(|test| external || matches!(test, RowTest::Fields(_)));
    tests
}

/// An identifier that is unique within a consortium, whose system names it; or one that
/// others gave.
fn of_consortium(scope: &Scope, token: &Token, what: &str, field: &'static str) -> Vec<RowTest> {
    let system = match &token.system {
        System::Absent => return Vec::new(),
        System::Any => None,
        System::Is(system) => Some(system.as_str()),
    };
    let consortium = system.map(|s| scope.kinds.canonical.consortium_of(s, what));
    let mut tests = Vec::new();
    if let None | Some(Some(_)) = consortium {
        let mut own = Vec::new();
        own.extend(
            consortium
                .flatten()
                .map(|c| ("consortium_id", c.to_owned())),
        );
        own.extend(token.code.clone().map(|code| (field, code)));
        tests.push(RowTest::Fields(own));
    }
    if let None | Some(None) = consortium {
        tests.push(RowTest::External {
            system: system.map(str::to_owned),
            value: token.code.clone(),
        });
    }
    tests
}

fn fields(field: &'static str, token: &Token) -> RowTest {
    RowTest::Fields(
        token
            .code
            .iter()
            .map(|code| (field, code.clone()))
            .collect(),
    )
}

/// An identifier of joined parts that lead to a hash.
fn parts(
    scope: &Scope,
    token: &Token,
    sid: &str,
    hash: impl Fn(&[&str]) -> Option<Hash96>,
) -> Option<RowTest> {
    if !token.takes_system(&scope.kinds.canonical.sid(sid)) {
        return None;
    }
    let Some(joined) = &token.code else {
        return Some(RowTest::Fields(Vec::new()));
    };
    let split = id::split(joined);
    let parts: Vec<&str> = split.iter().map(String::as_str).collect();
    // Only what this program writes is such an identifier.
    (id::join(&parts) == *joined).then(|| hash(&parts).map(RowTest::Hash))?
}
