//! Organization (<https://hl7.org/fhir/R4/organization.html#search>).

use super::*;
use crate::fhir::search::reads::uri;

/// Organization.
pub static ORGANIZATION: Searchable = Searchable {
    resource_type: "Organization",
    parameters: &[
        ID,
        UPDATED,
        profile(|_, _, filter| {
            uri(
                filter,
                "http://jpfhir.jp/fhir/core/StructureDefinition/JP_Organization",
            )
        }),
        TAG,
        SECURITY,
        token_of(
            "active",
            "Organization.active",
            "Organization-active",
            goes_on,
        ),
        string_of(
            "address",
            "Organization.address",
            "Organization-address",
            address,
        ),
        string_of(
            "address-city",
            "Organization.address.city",
            "Organization-address-city",
            absent,
        ),
        string_of(
            "address-country",
            "Organization.address.country",
            "Organization-address-country",
            address_country,
        ),
        string_of(
            "address-postalcode",
            "Organization.address.postalCode",
            "Organization-address-postalcode",
            absent,
        ),
        string_of(
            "address-state",
            "Organization.address.state",
            "Organization-address-state",
            address_state,
        ),
        token_of(
            "address-use",
            "Organization.address.use",
            "Organization-address-use",
            absent,
        ),
        reference_of(
            "endpoint",
            "Organization.endpoint",
            "Organization-endpoint",
            &["Endpoint"],
            &[],
        ),
        identifier(
            "Organization.identifier",
            "Organization-identifier",
            rows::identifier,
        ),
        string_of(
            "name",
            "Organization.name | Organization.alias",
            "Organization-name",
            name,
        )
        .sorted(SortBy::Column("folded")),
        reference_of(
            "partof",
            "Organization.partOf",
            "Organization-partof",
            &["Organization"],
            &[],
        ),
        string_of(
            "phonetic",
            "Organization.name",
            "Organization-phonetic",
            name,
        ),
        token_of("type", "Organization.type", "Organization-type", kind),
    ],
};

/// `active`: of a laboratory it is not known.
fn goes_on(scope: &Scope, source: &Source, filter: &Filter) -> Result<Test, Invalid> {
    match source.is(&CONSORTIUM) {
        true => active(scope, filter, "end_date"),
        false => absent(scope, source, filter),
    }
}

/// `name`, `phonetic`: the name, folded.
fn name(_: &Scope, source: &Source, filter: &Filter) -> Result<Test, Invalid> {
    let column = match source.is(&CONSORTIUM) {
        true => "consortium_name",
        false => "test_lab_name",
    };
    string(filter, &[Text::column(column, "folded")])
}

/// `type`: of a consortium.
fn kind(scope: &Scope, source: &Source, filter: &Filter) -> Result<Test, Invalid> {
    let system = "http://terminology.hl7.org/CodeSystem/organization-type";
    let other = Concept::coded(
        Test::Constant(source.is(&CONSORTIUM)),
        system,
        "other",
        "Other",
    );
    token(scope, filter, &[other])
}
