//! What Observations are searched by, and what it means for records.

use super::parameter::{Link, Parameter, ParameterType, Searchable, always};
use super::reference;
use super::rows;
use super::token::Token;
use super::{DEVICE, Filter, Invalid, ORGANIZATION, PATIENT, Scope};
use crate::fhir::registry;
use crate::fhir::resource::{PARTICIPANT, RowSource, Source};
use crate::kind::Kind;
use crate::mapping::{Hole, Node, Piece, forward};
use crate::registry::{LABORATORIES, List};
use crate::store::{FieldTest, Relation, SortBy, Test};

/// Observation.
pub static OBSERVATION: Searchable = Searchable {
    resource_type: "Observation",
    parameters: &[
        Parameter::new(
            "_id",
            ParameterType::Token,
            "Resource.id",
            "Resource-id",
            rows::id,
        )
        .plain(),
        Parameter::new(
            "_lastUpdated",
            ParameterType::Date,
            "Resource.meta.lastUpdated",
            "Resource-lastUpdated",
            rows::last_updated,
        )
        .sorted(SortBy::Written),
        Parameter::new(
            "identifier",
            ParameterType::Token,
            "Observation.identifier",
            "clinical-identifier",
            identifier,
        )
        .plain(),
        Parameter::new(
            "category",
            ParameterType::Token,
            "Observation.category",
            "Observation-category",
            category,
        )
        .plain(),
        Parameter::new(
            "code",
            ParameterType::Token,
            "Observation.code",
            "clinical-code",
            code,
        )
        .plain()
        .sorted(SortBy::Code),
        Parameter::new(
            "date",
            ParameterType::Date,
            "Observation.effective",
            "clinical-date",
            date,
        )
        .sorted(SortBy::Time),
        Parameter::new(
            "patient",
            ParameterType::Reference,
            "Observation.subject.where(resolve() is Patient)",
            "clinical-patient",
            reference::reference,
        )
        .leading(&["Patient"], &[TO_PATIENT])
        .sorted(SortBy::Participant),
        Parameter::new(
            "subject",
            ParameterType::Reference,
            "Observation.subject",
            "Observation-subject",
            reference::reference,
        )
        .leading(&["Device", "Group", "Location", "Patient"], &[TO_PATIENT])
        .sorted(SortBy::Participant),
        Parameter::new(
            "device",
            ParameterType::Reference,
            "Observation.device",
            "Observation-device",
            reference::reference,
        )
        .leading(&["Device", "DeviceMetric"], &[TO_DEVICE]),
        Parameter::new(
            "performer",
            ParameterType::Reference,
            "Observation.performer",
            "Observation-performer",
            reference::reference,
        )
        .leading(
            &[
                "CareTeam",
                "Organization",
                "Patient",
                "Practitioner",
                "PractitionerRole",
                "RelatedPerson",
            ],
            &[PERFORMED_BY_PATIENT, PERFORMED_BY_LABORATORY],
        ),
    ],
};

const TO_PATIENT: Link = Link {
    resource: &PATIENT,
    source: Source::Row(PARTICIPANT),
    relation: Relation::RecordParticipant,
    only: always,
};

const TO_DEVICE: Link = Link {
    resource: &DEVICE,
    source: Source::Device,
    relation: Relation::RecordDevice,
    only: |scope| refers(scope, "device", Piece::Device),
};

const PERFORMED_BY_PATIENT: Link = Link {
    only: |scope| refers(scope, "performer", Piece::Subject),
    ..TO_PATIENT
};

const PERFORMED_BY_LABORATORY: Link = Link {
    resource: &ORGANIZATION,
    source: Source::Row(RowSource {
        list: &LABORATORIES,
        make: registry::organization_laboratory,
    }),
    relation: Relation::RecordLaboratory,
    only: |scope| refers(scope, "performer", Piece::Laboratory),
};

/// The records whose kind has this reference in an element.
fn refers(scope: &Scope, element: &str, piece: Piece) -> Test {
    of_kinds(scope, |kind| {
        let element = kind.mapping.panel.root.get(element);
        Test::Constant(element.is_some_and(|node| node.contains(Hole::Piece(piece))))
    })
}

/// A test of records from what must hold for those of each kind.
fn of_kinds(scope: &Scope, test: impl Fn(&Kind) -> Test) -> Test {
    let kinds = scope.kinds.iter();
    Test::of_kinds(kinds.map(|kind| (kind.place, test(kind))))
}

/// `identifier`: the record's identity.
fn identifier(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    let own = scope.kinds.canonical.sid("record");
    filter.judge(
        || Test::ALWAYS,
        || {
            let mut keys = Vec::new();
            for token in filter.tokens()? {
                if !token.takes_system(&own) {
                    continue;
                }
                match &token.code {
                    Some(identity) => keys.extend(forward::key_of(scope.kinds, identity)),
                    // Every Observation has an identifier of this system.
                    None => return Ok(Test::ALWAYS),
                }
            }
            Ok(Test::Keys(keys))
        },
    )
}

/// `date`
fn date(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    filter.judge(
        || Test::ALWAYS,
        || {
            let tests = filter.dates(scope)?;
            let tests = tests.into_iter().map(|t| t.of_time(scope.now));
            Ok(Test::Time(tests.collect()))
        },
    )
}

/// `code`
fn code(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    concepts(scope, filter, |kind| {
        let code = kind.mapping.panel.root.get("code");
        code.map_or(&[][..], std::slice::from_ref)
    })
}

/// `category`
fn category(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    concepts(scope, filter, |kind| {
        let category = kind.mapping.panel.root.get("category");
        category.map_or(&[][..], Node::items)
    })
}

fn concepts(
    scope: &Scope,
    filter: &Filter,
    of: impl Fn(&Kind) -> &[Node],
) -> Result<Test, Invalid> {
    filter.judge(
        || of_kinds(scope, |kind| Test::Constant(!of(kind).is_empty())),
        || {
            let tokens = canonical_tokens(scope, filter)?;
            Ok(of_kinds(scope, |kind| coded(kind, of(kind), &tokens)))
        },
    )
}

/// The tokens with their systems as we write them.
fn canonical_tokens(scope: &Scope, filter: &Filter) -> Result<Vec<Token>, Invalid> {
    let mut tokens = filter.tokens()?;
    for token in &mut tokens {
        token.canonicalize(scope.kinds);
    }
    Ok(tokens)
}

/// Which records of a kind have a coding that a token means, in any of these concepts.
fn coded(kind: &Kind, concepts: &[Node], tokens: &[Token]) -> Test {
    let mut tests = Vec::new();
    for coding in concepts
        .iter()
        .flat_map(|c| c.get("coding").map_or(&[][..], Node::items))
    {
        let system = coding
            .get("system")
            .and_then(Node::constant)
            .unwrap_or_default();
        for token in tokens.iter().filter(|t| t.takes_system(system)) {
            match coding.get("code") {
                Some(Node::Const(code)) if token.takes_code(&code.text) => return Test::ALWAYS,
                Some(Node::Hole(Hole::Derived(i))) => tests.push(derived(kind, *i, token)),
                _ => {}
            }
        }
    }
    Test::any(tests)
}

/// The test of records whose derived value a token means.
fn derived(kind: &Kind, i: usize, token: &Token) -> Test {
    let derived = &kind.mapping.derived[i];
    let values = derived.values.iter();
    let values: Vec<String> = values
        .filter(|(_, written)| token.takes_code(written))
        .map(|(value, _)| value.clone())
        .collect();
    let list = List::by_name(&derived.list);
    let column = list.and_then(|list| list.field(&derived.column));
    match (list, column) {
        (Some(list), Some(column)) if !values.is_empty() => Test::Field {
            field: derived.from,
            test: FieldTest::Registered {
                list,
                column: column.name,
                values,
            },
        },
        _ => Test::NEVER,
    }
}

#[cfg(test)]
mod tests {
    use super::super::form::pairs;
    use super::super::{Limits, Search};
    use super::*;
    use crate::fhir::id;
    use crate::kind::Kinds;
    use crate::time;

    fn test(kinds: &Kinds, text: &str) -> Test {
        let search = Search::read(&OBSERVATION, &pairs(text).unwrap(), Limits::default()).unwrap();
        let scope = Scope {
            kinds,
            base: "http://h/fhir",
            zone: time::JST,
            now: 0,
        };
        search.test(&scope, &Source::Record).unwrap()
    }

    /// What is left of a search for each kind that can match.
    fn left(kinds: &Kinds, text: &str) -> Vec<(String, Test)> {
        let test = test(kinds, text);
        let each = kinds
            .iter()
            .map(|k| (k.name.clone(), test.for_kind(Some(k.place))));
        each.filter(|(_, test)| *test != Test::NEVER).collect()
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
            let left = left(&kinds, text);
            assert!(left.iter().all(|(_, test)| *test == Test::ALWAYS), "{text}");
            let mut got: Vec<String> = left.into_iter().map(|(name, _)| name).collect();
            let mut want: Vec<String> = want.iter().map(|s| (*s).to_owned()).collect();
            got.sort();
            want.sort();
            assert_eq!(got, want, "{text}");
        }
        assert_eq!(left(&kinds, "").len(), kinds.len());
    }

    #[test]
    fn a_derived_code_is_a_test_of_the_method() {
        let kinds = Kinds::embedded().unwrap();
        let left = left(&kinds, "code=17856-6,29463-7");
        assert_eq!(left.len(), 2);
        for (kind, test) in left {
            match kind.as_str() {
                "hba1c" => assert!(matches!(test, Test::Field { .. }), "{test:?}"),
                _ => assert_eq!(test, Test::ALWAYS),
            }
        }
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
            match test(&kinds, &text) {
                Test::Keys(keys) => {
                    assert_eq!(keys.len(), 1, "{text}");
                    assert_eq!(keys[0].source, id::source_hash("S:1"));
                }
                other => panic!("{other:?}"),
            }
        }
        let none = left(&kinds, "identifier=A:B:nothing:20160901073015:x,|a,other|A");
        assert!(none.is_empty());
    }

    #[test]
    fn references_to_others_match_nobody() {
        let kinds = Kinds::embedded().unwrap();
        let id = id::participant("A00001", "P1");
        let people = |text: &str| match test(&kinds, text) {
            Test::Related(Relation::RecordParticipant, inner) => match *inner {
                Test::Hash(people) => people.len(),
                other => panic!("{other:?}"),
            },
            Test::Constant(false) => 0,
            other => panic!("{other:?}"),
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
