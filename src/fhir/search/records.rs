//! What the search parameters of Observation mean for records.

use super::parameter::Means;
use super::reference::Target;
use super::rows::{self, RowMeaning};
use super::token::{System, Token};
use super::{Filter, Invalid, Scope, Search};
use crate::fhir::id::{self, Hash96, ObservationKey};
use crate::fhir::resource::{PARTICIPANT, Source};
use crate::kind::Kind;
use crate::mapping::{Hole, Node};
use crate::registry::List;
use crate::store::{Access, FieldTest, Predicate, RecordKey, RecordQuery, Result as Stored, Store};
use crate::time;

/// What a filter means for records.
pub type Meaning = Predicate;

/// So many people at most are looked up one by one; more are a condition on all records.
const PEOPLE_MAX: usize = 16;

/// The query that a search means.
///
/// # Errors
/// [`Invalid`] for a value that is wrong.
pub fn compile(search: &Search, scope: &Scope) -> Result<RecordQuery, Invalid> {
    let mut kinds: Vec<usize> = (0..scope.kinds.len()).collect();
    let mut predicates = Vec::with_capacity(search.filters.len());
    for filter in &search.filters {
        let Means::Records(means) = filter.parameter.means else {
            continue;
        };
        let predicate = means(scope, filter)?;
        if let Predicate::OfKind(these) = &predicate {
            kinds.retain(|kind| these.iter().any(|(place, _)| place == kind));
            // Which kinds can match is said by the list of kinds.
            if these.iter().all(|(_, tests)| tests.is_empty()) {
                continue;
            }
        }
        predicates.push(predicate);
    }
    Ok(RecordQuery {
        kinds,
        predicates,
        order: search.order,
        after: None,
        limit: search.count,
    })
}

/// Looks up the people that a query tells by what their registry rows say.
///
/// # Errors
/// Those of the store.
pub async fn resolve(query: &mut RecordQuery, store: &Store, access: &Access) -> Stored<()> {
    for predicate in &mut query.predicates {
        let Predicate::Those(tests) = predicate else {
            continue;
        };
        let hashes = store
            .participant_hashes(access, tests, PEOPLE_MAX + 1)
            .await?;
        if hashes.len() <= PEOPLE_MAX {
            *predicate = Predicate::Participants(hashes);
        }
    }
    Ok(())
}

/// The numbers of a cursor that stands at a record.
pub fn place(key: RecordKey) -> [i64; 5] {
    [key.participant, key.kind, key.time, key.source, key.write]
}

/// The record at which a cursor stands.
pub fn key([participant, kind, time, source, write]: [i64; 5]) -> RecordKey {
    RecordKey {
        participant,
        kind,
        time,
        source,
        write,
    }
}

/// `_id`
pub fn id(_: &Scope, filter: &Filter) -> Result<Meaning, Invalid> {
    let tokens = filter.tokens()?;
    let keys = tokens.iter().filter_map(|token| match token.system {
        System::Any => ObservationKey::decode(token.code.as_deref()?),
        _ => None,
    });
    Ok(Predicate::Keys(keys.collect()))
}

/// `identifier`: the record's identity.
pub fn identifier(scope: &Scope, filter: &Filter) -> Result<Meaning, Invalid> {
    let own = scope.kinds.canonical.sid("record");
    let mut keys = Vec::new();
    for token in filter.tokens()? {
        if !token.takes_system(&own) {
            continue;
        }
        match &token.code {
            Some(identity) => keys.extend(key_of(scope, identity)),
            // Every Observation has an identifier of this system.
            None => return Ok(of_kinds(scope, |_| Some(Vec::new()))),
        }
    }
    Ok(Predicate::Keys(keys))
}

/// What the id of the record with this identity says.
fn key_of(scope: &Scope, identity: &str) -> Option<ObservationKey> {
    let parts = id::split(identity);
    let [consortium, person, kind, at, source] = parts.as_slice() else {
        return None;
    };
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    // Only what this program writes is an identity.
    if id::join(&parts) != identity {
        return None;
    }
    Some(ObservationKey {
        participant: id::participant_hash(consortium, person),
        kind: scope.kinds.get(kind)?.hash,
        seconds: time::parse14(at)?,
        source: id::source_hash(source),
    })
}

/// `date`
pub fn date(scope: &Scope, filter: &Filter) -> Result<Meaning, Invalid> {
    let tests = filter.dates(scope)?;
    let tests = tests.into_iter().map(|t| t.of_time(scope.now));
    Ok(Predicate::Time(tests.collect()))
}

/// `_lastUpdated`
pub fn last_updated(scope: &Scope, filter: &Filter) -> Result<Meaning, Invalid> {
    let tests = filter.dates(scope)?;
    let ranges = tests.into_iter().flat_map(|t| t.of_instant(scope.now));
    Ok(Predicate::Updated(ranges.collect()))
}

/// `code`
pub fn code(scope: &Scope, filter: &Filter) -> Result<Meaning, Invalid> {
    let tokens = canonical_tokens(scope, filter)?;
    Ok(of_kinds(scope, |kind| {
        let code = kind.mapping.panel.root.get("code");
        coded(kind, code.into_iter(), &tokens)
    }))
}

/// `category`
pub fn category(scope: &Scope, filter: &Filter) -> Result<Meaning, Invalid> {
    let tokens = canonical_tokens(scope, filter)?;
    Ok(of_kinds(scope, |kind| {
        let category = kind.mapping.panel.root.get("category");
        coded(kind, category.map_or(&[][..], Node::items).iter(), &tokens)
    }))
}

/// `patient`, `subject`: a reference, an identifier of the Patient, or a chain.
pub fn patient(scope: &Scope, filter: &Filter) -> Result<Meaning, Invalid> {
    if let Some(chained) = &filter.chain {
        return those(scope, chained);
    }
    if filter.modifier.as_deref() == Some("identifier") {
        let tokens = filter.tokens()?;
        let tests = tokens
            .iter()
            .flat_map(|t| rows::person_tests(scope, t, true));
        return Ok(Predicate::Those(tests.collect()));
    }
    let targets = filter.read(|name, value| Target::read(name, value, scope.base))?;
    let hashes = targets
        .iter()
        .filter_map(|target| id::decode_hash(target.id_of("Patient")?));
    let mut people: Vec<Hash96> = hashes.collect();
    people.sort_unstable();
    people.dedup();
    Ok(Predicate::Participants(people))
}

fn those(scope: &Scope, chained: &Filter) -> Result<Meaning, Invalid> {
    let Means::Rows(means) = chained.parameter.means else {
        return Ok(Predicate::Those(Vec::new()));
    };
    let source = Source::Row(PARTICIPANT);
    Ok(Predicate::Those(match means(scope, &source, chained)? {
        RowMeaning::Tests(tests) => tests,
        RowMeaning::Deliveries(_) => Vec::new(),
    }))
}

/// The tokens with their systems as we write them.
fn canonical_tokens(scope: &Scope, filter: &Filter) -> Result<Vec<Token>, Invalid> {
    let mut tokens = filter.tokens()?;
    for token in &mut tokens {
        if let System::Is(system) = &mut token.system {
            *system = scope.kinds.systems.canonical(system).to_owned();
        }
    }
    Ok(tokens)
}

/// The kinds for which `test` gives something: without tests all of their records match,
/// else those that pass any of them.
fn of_kinds(scope: &Scope, test: impl Fn(&Kind) -> Option<Vec<FieldTest>>) -> Meaning {
    let kinds = scope.kinds.iter();
    Predicate::OfKind(
        kinds
            .filter_map(|kind| Some((kind.place, test(kind)?)))
            .collect(),
    )
}

/// Which records of a kind have a coding that a token means, in any of these concepts.
fn coded<'a>(
    kind: &Kind,
    concepts: impl Iterator<Item = &'a Node>,
    tokens: &[Token],
) -> Option<Vec<FieldTest>> {
    let mut tests = Vec::new();
    for coding in concepts.flat_map(|c| c.get("coding").map_or(&[][..], Node::items)) {
        let system = coding
            .get("system")
            .and_then(Node::constant)
            .unwrap_or_default();
        for token in tokens.iter().filter(|t| t.takes_system(system)) {
            match coding.get("code") {
                Some(Node::Const(code)) if token.takes_code(&code.text) => return Some(Vec::new()),
                Some(Node::Hole(Hole::Derived(i))) => tests.extend(derived(kind, *i, token)),
                _ => {}
            }
        }
    }
    (!tests.is_empty()).then_some(tests)
}

/// The test of records whose derived value a token means.
fn derived(kind: &Kind, i: usize, token: &Token) -> Option<FieldTest> {
    let derived = &kind.mapping.derived[i];
    let list = List::by_name(&derived.list)?;
    let values = derived.values.iter();
    let values: Vec<String> = values
        .filter(|(_, written)| token.takes_code(written))
        .map(|(value, _)| value.clone())
        .collect();
    (!values.is_empty()).then_some(FieldTest::Registered {
        field: derived.from,
        list,
        column: list.field(&derived.column)?.name,
        values,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Limits;
    use super::super::form::pairs;
    use super::super::parameter::OBSERVATION;
    use super::*;
    use crate::kind::Kinds;

    fn query(kinds: &Kinds, text: &str) -> RecordQuery {
        let search = Search::read(&OBSERVATION, &pairs(text).unwrap(), Limits::default()).unwrap();
        let scope = Scope {
            kinds,
            base: "http://h/fhir",
            zone: time::JST,
            now: 0,
        };
        compile(&search, &scope).unwrap()
    }

    fn names(kinds: &Kinds, text: &str) -> Vec<String> {
        let query = query(kinds, text);
        query
            .kinds
            .iter()
            .map(|&k| kinds.at(k).name.clone())
            .collect()
    }

    #[test]
    fn codes_and_categories_tell_the_kinds() {
        let kinds = Kinds::embedded().unwrap();
        let bp = ["home_blood_pressure", "checkup_blood_pressure"];
        let base = "https://kenko-fhir.example/fhir";
        for (text, want) in [
            ("code=29463-7", &["weighing_scale"][..]),
            ("code=http://loinc.org|85354-9", &bp),
            ("code=urn:oid:1.2.392.200119.4.804|31002365", &bp),
            (
                "code=http://medis.or.jp/CodeSystem/master-nursingObservationKeyCode|",
                &bp,
            ),
            ("code=150020", &bp),
            ("code=|85354-9", &[]),
            ("code=http://snomed.info/sct|85354-9", &[]),
            ("code=29463-7,4548-4&category=laboratory", &["hba1c"]),
            ("code=29463-7&code=4548-4", &[]),
            (
                &format!("category={base}/CodeSystem/record-kind|hba1c"),
                &["hba1c"],
            ),
            ("category=body-measurement", &["weighing_scale"]),
        ] {
            let mut got = names(&kinds, text);
            let mut want: Vec<String> = want.iter().map(|s| (*s).to_owned()).collect();
            got.sort();
            want.sort();
            assert_eq!(got, want, "{text}");
        }
        assert_eq!(names(&kinds, "").len(), kinds.len());
        assert!(query(&kinds, "code=4548-4").predicates.is_empty());
    }

    #[test]
    fn a_derived_code_is_a_test_of_the_method() {
        let kinds = Kinds::embedded().unwrap();
        let query = query(&kinds, "code=17856-6,29463-7");
        assert_eq!(query.kinds.len(), 2);
        let [Predicate::OfKind(these)] = query.predicates.as_slice() else {
            panic!("{query:?}");
        };
        let tests: Vec<usize> = these.iter().map(|(_, tests)| tests.len()).collect();
        assert_eq!(tests.iter().sum::<usize>(), 1);
    }

    #[test]
    fn an_identity_is_a_key() {
        let kinds = Kinds::embedded().unwrap();
        let identity = "A00001:P1:weighing_scale:20160901073015:S%3A1";
        for text in [
            format!("identifier={identity}"),
            format!("identifier=https://kenko-fhir.example/fhir/sid/record|{identity}"),
        ] {
            let text = text.replace('%', "%25");
            let query = query(&kinds, &text);
            let [Predicate::Keys(keys)] = query.predicates.as_slice() else {
                panic!("{query:?}");
            };
            assert_eq!(keys.len(), 1, "{text}");
            assert_eq!(keys[0].source, id::source_hash("S:1"));
        }
        let none = query(&kinds, "identifier=A:B:nothing:20160901073015:x,|a,other|A");
        let [Predicate::Keys(keys)] = none.predicates.as_slice() else {
            panic!("{none:?}");
        };
        assert!(keys.is_empty());
    }

    #[test]
    fn references_to_others_match_nobody() {
        let kinds = Kinds::embedded().unwrap();
        let id = id::participant("A00001", "P1");
        let people = |text: &str| {
            let query = query(&kinds, text);
            match query.predicates.as_slice() {
                [Predicate::Participants(people)] => people.len(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(people(&format!("patient={id}")), 1);
        assert_eq!(people(&format!("subject=Patient/{id},{id}")), 1);
        assert_eq!(people(&format!("subject=http://h/fhir/Patient/{id}")), 1);
        assert_eq!(people(&format!("subject:Patient={id}")), 1);
        assert_eq!(people(&format!("subject=Group/{id}")), 0);
        assert_eq!(people(&format!("subject=http://o/fhir/Patient/{id}")), 0);
        assert_eq!(people("patient=unknown"), 0);
    }
}
