//! ResearchStudy (<https://hl7.org/fhir/R4/researchstudy.html#search>) and ResearchSubject
//! (<https://hl7.org/fhir/R4/researchsubject.html#search>).

use super::*;
use crate::fhir::resource::PARTICIPANT;
use crate::fhir::search::reads::{Dates, Unit, date};

/// ResearchStudy.
pub static RESEARCH_STUDY: Searchable = Searchable {
    resource_type: "ResearchStudy",
    parameters: &[
        ID,
        UPDATED,
        profile(absent),
        TAG,
        SECURITY,
        token_of(
            "category",
            "ResearchStudy.category",
            "ResearchStudy-category",
            absent,
        ),
        date_of(
            "date",
            "ResearchStudy.period",
            "ResearchStudy-date",
            |scope, _, filter| date(scope, filter, days("start_date", "end_date")),
        )
        .sorted(SortBy::Column("start_date")),
        token_of(
            "focus",
            "ResearchStudy.focus",
            "ResearchStudy-focus",
            absent,
        ),
        identifier(
            "ResearchStudy.identifier",
            "ResearchStudy-identifier",
            rows::identifier,
        )
        .sorted(SortBy::Column("consortium_id")),
        token_of(
            "keyword",
            "ResearchStudy.keyword",
            "ResearchStudy-keyword",
            absent,
        ),
        token_of(
            "location",
            "ResearchStudy.location",
            "ResearchStudy-location",
            absent,
        ),
        reference_of(
            "partof",
            "ResearchStudy.partOf",
            "ResearchStudy-partof",
            &["ResearchStudy"],
            &[],
        ),
        reference_of(
            "principalinvestigator",
            "ResearchStudy.principalInvestigator",
            "ResearchStudy-principalinvestigator",
            &["Practitioner", "PractitionerRole"],
            &[],
        ),
        reference_of(
            "protocol",
            "ResearchStudy.protocol",
            "ResearchStudy-protocol",
            &["PlanDefinition"],
            &[],
        ),
        reference_of(
            "site",
            "ResearchStudy.site",
            "ResearchStudy-site",
            &["Location"],
            &[],
        ),
        reference_of(
            "sponsor",
            "ResearchStudy.sponsor",
            "ResearchStudy-sponsor",
            &["Organization"],
            &[to_consortium(Relation::Same)],
        ),
        token_of(
            "status",
            "ResearchStudy.status",
            "ResearchStudy-status",
            |scope, _, filter| {
                status(
                    scope,
                    filter,
                    "http://hl7.org/fhir/research-study-status",
                    "end_date",
                    ["active", "completed"],
                )
            },
        ),
        string_of(
            "title",
            "ResearchStudy.title",
            "ResearchStudy-title",
            |_, _, filter| string(filter, &[Text::column("consortium_name", "folded")]),
        )
        .sorted(SortBy::Column("folded")),
    ],
};

/// ResearchSubject.
pub static RESEARCH_SUBJECT: Searchable = Searchable {
    resource_type: "ResearchSubject",
    parameters: &[
        ID,
        UPDATED,
        profile(absent),
        TAG,
        SECURITY,
        date_of(
            "date",
            "ResearchSubject.period",
            "ResearchSubject-date",
            |scope, _, filter| {
                date(
                    scope,
                    filter,
                    days("participation_start_date", "participation_end_date"),
                )
            },
        )
        .sorted(SortBy::Column("participation_start_date")),
        identifier(
            "ResearchSubject.identifier",
            "ResearchSubject-identifier",
            rows::own_identifier,
        )
        .sorted(SortBy::Column("person_id")),
        reference_of(
            "individual",
            "ResearchSubject.individual",
            "ResearchSubject-individual",
            &["Patient"],
            &[TO_PATIENT],
        ),
        reference_of(
            "patient",
            "ResearchSubject.individual",
            "ResearchSubject-patient",
            &["Patient"],
            &[TO_PATIENT],
        ),
        token_of(
            "status",
            "ResearchSubject.status",
            "ResearchSubject-status",
            |scope, _, filter| {
                status(
                    scope,
                    filter,
                    "http://hl7.org/fhir/research-subject-status",
                    "participation_end_date",
                    ["on-study", "off-study"],
                )
            },
        ),
        reference_of(
            "study",
            "ResearchSubject.study",
            "ResearchSubject-study",
            &["ResearchStudy"],
            &[TO_STUDY],
        ),
    ],
};

const TO_PATIENT: Link = Link {
    resource: &PATIENT,
    source: Source::Row(PARTICIPANT),
    relation: Relation::Same,
    only: always,
};

const TO_STUDY: Link = Link {
    resource: &RESEARCH_STUDY,
    ..to_consortium(Relation::ParticipantConsortium)
};

const fn days(start: &'static str, end: &'static str) -> Dates {
    Dates {
        start,
        end,
        unit: Unit::Day,
    }
}
