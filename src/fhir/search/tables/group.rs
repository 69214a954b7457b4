//! Group (<https://hl7.org/fhir/R4/group.html#search>).

use super::*;
use crate::fhir::canonical::LOINC;
use crate::fhir::search::form;
use crate::fhir::search::token::Token;
use crate::registry::{HBA1C, Stage, TREATMENTS};

/// Group.
pub static GROUP: Searchable = Searchable {
    resource_type: "Group",
    parameters: &[
        ID,
        UPDATED,
        profile(absent),
        TAG,
        SECURITY,
        token_of(
            "actual",
            "Group.actual",
            "Group-actual",
            |scope, _, filter| {
                let concepts = [
                    Concept::boolean(of_consortium(), true),
                    Concept::boolean(of_consortium().negated(), false),
                ];
                token(scope, filter, &concepts)
            },
        ),
        token_of(
            "characteristic",
            "Group.characteristic.code",
            "Group-characteristic",
            |scope, _, filter| {
                let codes = characteristics(scope).into_iter().map(|(code, _)| code);
                token(scope, filter, &codes.collect::<Vec<_>>())
            },
        ),
        Parameter::new(
            "characteristic-value",
            ParameterType::Composite,
            "Group.characteristic",
            "Group-characteristic-value",
            characteristic_value,
        ),
        token_of("code", "Group.code", "Group-code", absent),
        token_of(
            "exclude",
            "Group.characteristic.exclude",
            "Group-exclude",
            |scope, _, filter| {
                token(
                    scope,
                    filter,
                    &[Concept::boolean(of_consortium().negated(), false)],
                )
            },
        ),
        identifier("Group.identifier", "Group-identifier", absent),
        reference_of(
            "managing-entity",
            "Group.managingEntity",
            "Group-managing-entity",
            &[
                "Organization",
                "Practitioner",
                "PractitionerRole",
                "RelatedPerson",
            ],
            &[MANAGED_BY],
        ),
        reference_of(
            "member",
            "Group.member.entity",
            "Group-member",
            &[
                "Device",
                "Group",
                "Medication",
                "Patient",
                "Practitioner",
                "PractitionerRole",
                "Substance",
            ],
            &[],
        ),
        token_of("type", "Group.type", "Group-type", |scope, _, filter| {
            let person = Concept::new(Test::ALWAYS, "http://hl7.org/fhir/group-type", "person");
            token(scope, filter, &[person])
        }),
        token_of(
            "value",
            "(Group.characteristic.value as CodeableConcept) | (Group.characteristic.value as boolean)",
            "Group-value",
            |scope, _, filter| {
                let values = characteristics(scope)
                    .into_iter()
                    .filter_map(|(_, value)| value);
                token(scope, filter, &values.collect::<Vec<_>>())
            },
        ),
    ],
};

const MANAGED_BY: Link = Link {
    only: |_| of_consortium(),
    ..to_consortium(Relation::GroupConsortium)
};

/// The Groups of consortia; the others are stages.
fn of_consortium() -> Test {
    present("consortium_id")
}

/// The characteristics of the stages: the code, and the value where it is a concept.
fn characteristics(scope: &Scope) -> Vec<(Concept, Option<Concept>)> {
    let of = |stage: Stage| {
        let when = Test::column("stage", [stage.id().to_owned()]);
        let base = &scope.kinds.canonical;
        if stage != Stage::Treated {
            let display = "Hemoglobin A1c/Hemoglobin.total in Blood";
            let code = Concept::coded(when, LOINC, HBA1C, display).text("HbA1c(NGSP)");
            return (code, None);
        }
        let code = Concept::new(
            when.clone(),
            base.code_system("protocol-item"),
            "medication_codes",
        );
        let system = base.code_system("medication-status");
        let [first, rest @ ..] = TREATMENTS;
        let value = Concept::new(when, system.clone(), first).text(registry::TREATED_BY);
        let value = rest
            .into_iter()
            .fold(value, |value, code| value.coding(system.clone(), code, ""));
        (code, Some(value))
    };
    Stage::ALL.map(of).to_vec()
}

/// `characteristic-value`: `code$value`, both of one characteristic.
fn characteristic_value(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    let all = characteristics(scope);
    let present = || Test::any(all.iter().map(|(code, _)| code.when.clone()));
    let holds = || {
        let pairs = filter.read(|name, value| match form::split(value, '$').as_slice() {
            [code, value] => Ok([Token::read(name, code)?, Token::read(name, value)?]),
            _ => Err(Invalid::new(
                name,
                "code$value is expected, two tokens",
                "code$value の形（トークン二つ）で指定してください",
            )),
        })?;
        // Both are met by one characteristic.
        let met = pairs.iter().flat_map(|[first, second]| {
            let is = |concept: &Concept, token: &Token| concept.is(std::slice::from_ref(token));
            all.iter().map(move |(code, value)| match value {
                Some(value) => Test::all([is(code, first), is(value, second)]),
                None => Test::NEVER,
            })
        });
        Ok(Test::any(met))
    };
    filter.judge(present, holds)
}
