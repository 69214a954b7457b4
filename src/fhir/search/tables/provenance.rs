//! Provenance (<https://hl7.org/fhir/R4/provenance.html#search>).

use super::*;
use crate::fhir::resource::PARTICIPANT;
use crate::fhir::search::reads::absent_value;
use crate::fhir::search::{Modifier, OBSERVATION};
use crate::registry::PARTICIPANTS;
use crate::time;

/// Provenance.
pub static PROVENANCE: Searchable = Searchable {
    resource_type: "Provenance",
    parameters: &[
        ID,
        UPDATED,
        profile(absent),
        TAG,
        SECURITY,
        Parameter::new(
            "agent",
            ParameterType::Reference,
            "Provenance.agent.who",
            "Provenance-agent",
            agent,
        )
        .leading(
            &[
                "Device",
                "Organization",
                "Patient",
                "Practitioner",
                "PractitionerRole",
                "RelatedPerson",
            ],
            &[],
        ),
        token_of(
            "agent-role",
            "Provenance.agent.role",
            "Provenance-agent-role",
            absent,
        ),
        token_of(
            "agent-type",
            "Provenance.agent.type",
            "Provenance-agent-type",
            |scope, _, filter| {
                let system = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";
                token(
                    scope,
                    filter,
                    &[Concept::coded(
                        Test::ALWAYS,
                        system,
                        "assembler",
                        "Assembler",
                    )],
                )
            },
        ),
        Parameter::new(
            "entity",
            ParameterType::Reference,
            "Provenance.entity.what",
            "Provenance-entity",
            entity,
        ),
        reference_of(
            "location",
            "Provenance.location",
            "Provenance-location",
            &["Location"],
            &[],
        ),
        reference_of(
            "patient",
            "Provenance.target.where(resolve() is Patient)",
            "Provenance-patient",
            &["Patient"],
            &[TO_PATIENT],
        ),
        date_of(
            "recorded",
            "Provenance.recorded",
            "Provenance-recorded",
            rows::last_updated,
        )
        .sorted(SortBy::Written),
        token_of(
            "signature-type",
            "Provenance.signature.type",
            "Provenance-signature-type",
            absent,
        ),
        reference_of(
            "target",
            "Provenance.target",
            "Provenance-target",
            &["Device", "Observation", "Patient", "ResearchSubject"],
            &[TO_OBSERVATION, TO_PATIENT, TO_SUBJECT, TO_DEVICE],
        ),
        date_of(
            "when",
            "(Provenance.occurred as dateTime)",
            "Provenance-when",
            when,
        ),
    ],
};

const TO_OBSERVATION: Link = Link {
    resource: &OBSERVATION,
    source: Source::Record,
    relation: Relation::DeliveryRecords,
    only: always,
};

const TO_PATIENT: Link = Link {
    resource: &PATIENT,
    source: Source::Row(PARTICIPANT),
    relation: Relation::DeliveryPatient,
    only: always,
};

const TO_SUBJECT: Link = Link {
    resource: &RESEARCH_SUBJECT,
    source: Source::Row(RowSource {
        list: &PARTICIPANTS,
        make: registry::research_subject,
    }),
    relation: Relation::DeliverySubject,
    only: always,
};

const TO_DEVICE: Link = Link {
    resource: &DEVICE,
    source: Source::Device,
    relation: Relation::DeliveryDevices,
    only: always,
};

/// `agent`: a name without a reference.
fn agent(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    filter.judge(|| Test::ALWAYS, || absent_value(scope, filter))
}

/// `entity`: the transmission, which has an identifier and no reference.
fn entity(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    let holds = || {
        if filter.modifier != Some(Modifier::Identifier) {
            return absent_value(scope, filter);
        }
        let own = scope.kinds.canonical.sid("transmission");
        let tokens = filter.tokens()?;
        let tests = tokens
            .iter()
            .filter(|t| t.takes_system(&own))
            .map(|token| match &token.code {
                None => Test::Transmission(None),
                Some(value) => {
                    transmission(value).map_or(Test::NEVER, |sent| Test::Transmission(Some(sent)))
                }
            });
        Ok(Test::any(tests))
    };
    filter.judge(|| Test::Transmission(None), holds)
}

/// The consortium and the time in milliseconds of `{consortium_id}:{send_time}`.
fn transmission(value: &str) -> Option<(String, i64)> {
    let (consortium, sent) = value.split_once(':')?;
    Some((consortium.to_owned(), time::parse17(sent)?))
}

/// `when`: when it was sent.
fn when(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    let holds = || {
        let dates = filter.dates(scope)?;
        let ranges = dates.into_iter().flat_map(|d| d.of_instant(scope.now));
        Ok(Test::Occurred(ranges.collect()))
    };
    filter.judge(|| Test::ALWAYS, holds)
}
