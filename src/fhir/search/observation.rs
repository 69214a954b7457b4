//! What the search parameters of Observations ([`super::OBSERVATION`]) mean for records.

use super::concept::{Asked, Concept};
use super::element::{self, Place, Where};
use super::form::split;
use super::quantity::QuantityTest;
use super::reads::{absent_value, is_uri};
use super::residue::{at_time, coded, has_measured, has_paired, measured, paired, tokens};
use super::{Filter, Invalid, Scope};
use crate::fhir::resource::Source;
use crate::kind::Kind;
use crate::mapping::{Hole, Node, Piece, forward};
use crate::store::{Pair, Test};

/// The records whose kind has this reference in an element.
pub(super) fn refers(scope: &Scope, element: &str, piece: Piece) -> Test {
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
pub(super) fn identifier(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
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
pub(super) fn date(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    filter.judge(
        || Test::ALWAYS,
        || {
            let tests = filter.dates(scope)?;
            let tests = tests.into_iter().map(|t| t.of_time(scope.now));
            Ok(at_time(tests.collect()))
        },
    )
}

/// `status`
pub(super) fn status(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    let statuses = ["amended", "corrected", "final"].map(|status| {
        let when = Test::Status(vec![status]);
        Concept::new(when, "http://hl7.org/fhir/observation-status", status)
    });
    filter.judge(
        || Test::ALWAYS,
        || {
            let asked = Asked::read(scope, filter)?;
            Ok(Test::any(statuses.iter().map(|s| asked.of(s))))
        },
    )
}

/// A token of concepts of the Observation.
pub(super) fn concepts(
    scope: &Scope,
    filter: &Filter,
    of: impl Fn(&Kind) -> Vec<Concept>,
) -> Result<Test, Invalid> {
    let any = |test: &dyn Fn(&Concept) -> Test| {
        of_kinds(scope, |kind| Test::any(of(kind).iter().map(test)))
    };
    filter.judge(
        || any(&|concept| concept.when.clone()),
        || {
            let asked = Asked::read(scope, filter)?;
            Ok(any(&|concept| asked.of(concept)))
        },
    )
}

/// The codes of places.
pub(super) fn codes(scope: &Scope, filter: &Filter, of: Where) -> Result<Test, Invalid> {
    concepts(scope, filter, |kind| {
        let places = element::places(kind, of);
        places.iter().flat_map(Place::code).collect()
    })
}

/// The `valueCodeableConcept` of places.
pub(super) fn value_concept(scope: &Scope, filter: &Filter, of: Where) -> Result<Test, Invalid> {
    concepts(scope, filter, |kind| {
        let places = element::places(kind, of);
        places.iter().flat_map(Place::concept).collect()
    })
}

/// What holds for any of the places of a record.
fn at_places(scope: &Scope, of: Where, test: impl Fn(&Place) -> Test) -> Test {
    of_kinds(scope, |kind| {
        Test::any(element::places(kind, of).iter().map(&test))
    })
}

fn has_quantity(place: &Place) -> Test {
    place.quantity().map_or(Test::NEVER, |q| q.when)
}

fn passes(place: &Place, tests: &[QuantityTest]) -> Test {
    match place.quantity() {
        Some(quantity) => Test::any(tests.iter().map(|test| test.of(&quantity))),
        None => Test::NEVER,
    }
}

fn any_concept(concepts: &[Concept], test: impl Fn(&Concept) -> Test) -> Test {
    Test::any(concepts.iter().map(test))
}

/// The `valueQuantity` of places.
pub(super) fn value_quantity(scope: &Scope, filter: &Filter, of: Where) -> Result<Test, Invalid> {
    filter.judge(
        || Test::any([at_places(scope, of, has_quantity), has_measured(of)]),
        || {
            let tests = filter.read(|name, value| QuantityTest::read(scope, name, value))?;
            let own = at_places(scope, of, |place| passes(place, &tests));
            Ok(Test::any([own, measured(of, None, &tests)]))
        },
    )
}

/// A code and a quantity that meet in one place.
pub(super) fn code_value_quantity(
    scope: &Scope,
    filter: &Filter,
    of: Where,
) -> Result<Test, Invalid> {
    let read = |filter: &Filter, codes: &[Pair]| {
        let tests = filter.read(|name, value| QuantityTest::read(scope, name, value))?;
        let beyond = measured(of, Some(codes), &tests);
        Ok((move |place: &Place| passes(place, &tests), beyond))
    };
    let present = || Test::any([at_places(scope, of, has_quantity), has_measured(of)]);
    code_and_value(scope, filter, of, present, read)
}

/// A code and a concept that meet in one place.
pub(super) fn code_value_concept(
    scope: &Scope,
    filter: &Filter,
    of: Where,
) -> Result<Test, Invalid> {
    let present = || {
        let own = at_places(scope, of, |place| {
            any_concept(&place.concept(), |c| c.when.clone())
        });
        Test::any([own, has_paired(of)])
    };
    let read = |filter: &Filter, codes: &[Pair]| {
        let asked = Asked::read(scope, filter)?;
        let beyond = paired(of, codes, &tokens(scope, filter)?);
        let passes = move |place: &Place| any_concept(&place.concept(), |c| asked.of(c));
        Ok((passes, beyond))
    };
    code_and_value(scope, filter, of, present, read)
}

/// A composite of a code and a value: `[code]$[value]`, each as in a parameter of its own.
/// `read` says what holds for the value of a place, and which records have such a value with
/// such a code beyond them.
fn code_and_value<T: Fn(&Place) -> Test>(
    scope: &Scope,
    filter: &Filter,
    of: Where,
    present: impl Fn() -> Test,
    read: impl Fn(&Filter, &[Pair]) -> Result<(T, Test), Invalid>,
) -> Result<Test, Invalid> {
    let holds = || {
        let pairs = filter.read(|name, value| {
            let [code, value] = *split(value, '$') else {
                return Err(Invalid::new(
                    name,
                    "two values joined by $ are expected, such as 8480-6$ge140",
                    "8480-6$ge140 のように $ でつないだ二つの値を指定してください",
                ));
            };
            let part = |value: &str| Filter {
                modifier: None,
                values: vec![value.to_owned()],
                ..filter.clone()
            };
            let code = part(code);
            let codes = tokens(scope, &code)?;
            let value = read(&part(value), &codes)?;
            Ok((Asked::read(scope, &code)?, codes, value))
        })?;
        let own = at_places(scope, of, |place| {
            Test::any(pairs.iter().map(|(code, codes, (value, _))| {
                let own = any_concept(&place.code(), |c| code.of(c));
                let further = place.residue_codes().map(|name| coded(name, codes));
                let code = Test::any([Some(own), further].into_iter().flatten());
                Test::all([code, value(place)])
            }))
        });
        let beyond = pairs.into_iter().map(|(_, _, (_, beyond))| beyond);
        Ok(Test::any([own].into_iter().chain(beyond)))
    };
    filter.judge(present, holds)
}

/// A reference of an element that leads to nothing here.
pub(super) fn bare(scope: &Scope, filter: &Filter, element: &str) -> Result<Test, Invalid> {
    filter.judge(
        || of_kinds(scope, |kind| element::has_element(kind, element)),
        || absent_value(scope, filter),
    )
}

/// `_profile`: the profiles that a kind claims.
pub(super) fn profile(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    let claims = |holds: &dyn Fn(&str) -> bool| {
        of_kinds(scope, |kind| {
            let meta = kind.mapping.panel.root.get("meta");
            let profiles = meta.and_then(|m| m.get("profile"));
            let profiles = profiles.map_or(&[][..], Node::items).iter();
            Test::Constant(profiles.filter_map(Node::constant).any(holds))
        })
    };
    filter.judge(
        || claims(&|_| true),
        || Ok(claims(&|own| is_uri(filter, own))),
    )
}

#[cfg(test)]
mod tests {
    use super::super::form::pairs;
    use super::super::{Limits, OBSERVATION, Search};
    use super::*;
    use crate::fhir::id;
    use crate::kind::Kinds;
    use crate::store::Relation;
    use crate::time;

    fn test(kinds: &Kinds, text: &str) -> Test {
        let search = Search::read(&OBSERVATION, &pairs(text).unwrap(), Limits::default()).unwrap();
        let scope = Scope {
            kinds,
            base: "http://h/fhir",
            zone: time::JST,
            now: 0,
        };
        // As it is where nothing was written beyond records.
        let test = search.test(&scope, &Source::Record).unwrap();
        let mut none = Vec::new();
        test.residues(&mut none);
        let none = none.into_iter().map(|test| (test.clone(), Test::NEVER));
        test.with_residues(&none.collect())
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
