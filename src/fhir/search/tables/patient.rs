//! Patient (<https://hl7.org/fhir/R4/patient.html#search>).

use super::*;
use crate::fhir::search::reads::{Dates, Unit, date, uri};

/// Patient.
pub static PATIENT: Searchable = Searchable {
    resource_type: "Patient",
    parameters: &[
        ID,
        UPDATED,
        profile(|_, _, filter| {
            uri(
                filter,
                "http://jpfhir.jp/fhir/core/StructureDefinition/JP_Patient",
            )
        }),
        TAG,
        SECURITY,
        token_of("active", "Patient.active", "Patient-active", absent),
        string_of("address", "Patient.address", "individual-address", address),
        string_of(
            "address-city",
            "Patient.address.city",
            "individual-address-city",
            absent,
        ),
        string_of(
            "address-country",
            "Patient.address.country",
            "individual-address-country",
            address_country,
        ),
        string_of(
            "address-postalcode",
            "Patient.address.postalCode",
            "individual-address-postalcode",
            absent,
        ),
        string_of(
            "address-state",
            "Patient.address.state",
            "individual-address-state",
            address_state,
        ),
        token_of(
            "address-use",
            "Patient.address.use",
            "individual-address-use",
            address_use,
        ),
        date_of(
            "birthdate",
            "Patient.birthDate",
            "individual-birthdate",
            birthdate,
        )
        .sorted(SortBy::Column("birth_year_month")),
        date_of(
            "death-date",
            "(Patient.deceased as dateTime)",
            "Patient-death-date",
            absent,
        ),
        token_of(
            "deceased",
            "Patient.deceased.exists() and Patient.deceased != false",
            "Patient-deceased",
            deceased,
        ),
        token_of(
            "email",
            "Patient.telecom.where(system='email')",
            "individual-email",
            absent,
        ),
        string_of("family", "Patient.name.family", "individual-family", absent),
        token_of("gender", "Patient.gender", "individual-gender", gender),
        reference_of(
            "general-practitioner",
            "Patient.generalPractitioner",
            "Patient-general-practitioner",
            &["Organization", "Practitioner", "PractitionerRole"],
            &[],
        ),
        string_of("given", "Patient.name.given", "individual-given", absent),
        identifier("Patient.identifier", "Patient-identifier", rows::identifier)
            .sorted(SortBy::Column("person_id")),
        token_of(
            "language",
            "Patient.communication.language",
            "Patient-language",
            absent,
        ),
        reference_of(
            "link",
            "Patient.link.other",
            "Patient-link",
            &["Patient", "RelatedPerson"],
            &[],
        ),
        string_of("name", "Patient.name", "Patient-name", absent),
        reference_of(
            "organization",
            "Patient.managingOrganization",
            "Patient-organization",
            &["Organization"],
            &[to_consortium(Relation::ParticipantConsortium)],
        ),
        token_of(
            "phone",
            "Patient.telecom.where(system='phone')",
            "individual-phone",
            absent,
        ),
        string_of("phonetic", "Patient.name", "individual-phonetic", absent),
        token_of("telecom", "Patient.telecom", "individual-telecom", absent),
    ],
};

/// `address-use`: whose address is known, it is that of their home.
fn address_use(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    let known = present("residence_prefecture_code");
    token(
        scope,
        filter,
        &[Concept::new(
            known,
            "http://hl7.org/fhir/address-use",
            "home",
        )],
    )
}

/// `birthdate`: a month.
fn birthdate(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    let month = Dates {
        start: "birth_year_month",
        end: "birth_year_month",
        unit: Unit::Month,
    };
    date(scope, filter, month)
}

/// `deceased`: of nobody is it known.
fn deceased(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    token(scope, filter, &[Concept::boolean(Test::ALWAYS, false)])
}

/// `gender`
fn gender(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    let of = |(value, code): (&str, &'static str)| {
        let when = Test::column("sex_code", [value.to_owned()]);
        Concept::new(when, "http://hl7.org/fhir/administrative-gender", code)
    };
    let genders = [
        ("0", "unknown"),
        ("1", "male"),
        ("2", "female"),
        ("9", "other"),
    ];
    token(scope, filter, &genders.map(of))
}
