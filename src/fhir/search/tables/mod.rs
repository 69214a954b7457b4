//! The tables of search parameters: one file for each resource.
//!
//! All parameters that R4 gives a resource are there. One that reads what no resource of
//! ours has ([`absent`]) has a known answer too.

mod device;
mod group;
mod observation;
mod organization;
mod patient;
mod provenance;
mod research;

pub use device::{DEVICE, DEVICE_DEFINITION};
pub use group::GROUP;
pub use observation::OBSERVATION;
pub use organization::ORGANIZATION;
pub use patient::PATIENT;
pub use provenance::PROVENANCE;
pub use research::{RESEARCH_STUDY, RESEARCH_SUBJECT};

use super::concept::{Concept, token};
use super::parameter::{Link, Means, Parameter, ParameterType, Searchable, always};
use super::reads::{Text, absent, string};
use super::{Filter, Invalid, Scope, reference, rows};
use crate::fhir::registry;
use crate::fhir::resource::{RowSource, Source};
use crate::registry::{CONSORTIA, PREFECTURES};
use crate::store::{ColumnTest, Relation, SortBy, Test};

/// `_id`
const ID: Parameter = Parameter::new(
    "_id",
    ParameterType::Token,
    "Resource.id",
    "Resource-id",
    rows::id,
)
.plain()
.sorted(SortBy::Id);

/// `_lastUpdated`
const UPDATED: Parameter = Parameter::new(
    "_lastUpdated",
    ParameterType::Date,
    "Resource.meta.lastUpdated",
    "Resource-lastUpdated",
    rows::last_updated,
)
.sorted(SortBy::Written);

/// `_tag`, which no resource here has.
const TAG: Parameter = token_of("_tag", "Resource.meta.tag", "Resource-tag", absent);

/// `_security`, which no resource here has.
const SECURITY: Parameter = token_of(
    "_security",
    "Resource.meta.security",
    "Resource-security",
    absent,
);

/// `_profile`
const fn profile(means: Means) -> Parameter {
    let ty = ParameterType::Uri;
    Parameter::new(
        "_profile",
        ty,
        "Resource.meta.profile",
        "Resource-profile",
        means,
    )
}

/// `identifier`
const fn identifier(reads: &'static str, definition: &'static str, means: Means) -> Parameter {
    Parameter::new("identifier", ParameterType::Token, reads, definition, means).plain()
}

const fn token_of(
    name: &'static str,
    reads: &'static str,
    definition: &'static str,
    means: Means,
) -> Parameter {
    Parameter::new(name, ParameterType::Token, reads, definition, means)
}

const fn string_of(
    name: &'static str,
    reads: &'static str,
    definition: &'static str,
    means: Means,
) -> Parameter {
    Parameter::new(name, ParameterType::String, reads, definition, means)
}

const fn date_of(
    name: &'static str,
    reads: &'static str,
    definition: &'static str,
    means: Means,
) -> Parameter {
    Parameter::new(name, ParameterType::Date, reads, definition, means)
}

const fn reference_of(
    name: &'static str,
    reads: &'static str,
    definition: &'static str,
    types: &'static [&'static str],
    links: &'static [Link],
) -> Parameter {
    let ty = ParameterType::Reference;
    Parameter::new(name, ty, reads, definition, reference::reference).leading(types, links)
}

const fn uri_of(
    name: &'static str,
    reads: &'static str,
    definition: &'static str,
    means: Means,
) -> Parameter {
    Parameter::new(name, ParameterType::Uri, reads, definition, means)
}

/// The rows of consortia as Organizations.
const CONSORTIUM: Source = Source::Row(RowSource {
    list: &CONSORTIA,
    make: registry::organization_consortium,
});

/// To the Organization of the consortium.
const fn to_consortium(relation: Relation) -> Link {
    Link {
        resource: &ORGANIZATION,
        source: CONSORTIUM,
        relation,
        only: always,
    }
}

/// Whether a column has a value.
fn present(column: &'static str) -> Test {
    Test::of_column(column, ColumnTest::Present)
}

/// The column with the code of a prefecture that addresses of a source come from.
fn prefecture_column(source: &Source) -> Option<&'static str> {
    let Source::Row(row) = source else {
        return None;
    };
    let columns = ["residence_prefecture_code", "prefecture_code"];
    columns
        .into_iter()
        .find(|name| row.list.field(name).is_some())
}

fn states(source: &Source) -> Vec<Text> {
    let column = prefecture_column(source);
    let of = |column| {
        let each = PREFECTURES.iter();
        each.map(move |p| Text::Given(Test::column(column, [p.code.to_owned()]), p.ja))
    };
    column.into_iter().flat_map(of).collect()
}

fn country(source: &Source) -> Option<Text> {
    Some(Text::Given(present(prefecture_column(source)?), "JP"))
}

/// `address`: the parts that there are, state and country.
fn address(_: &Scope, source: &Source, filter: &Filter) -> Result<Test, Invalid> {
    let mut texts = states(source);
    texts.extend(country(source));
    string(filter, &texts)
}

/// `address-state`
fn address_state(_: &Scope, source: &Source, filter: &Filter) -> Result<Test, Invalid> {
    string(filter, &states(source))
}

/// `address-country`
fn address_country(_: &Scope, source: &Source, filter: &Filter) -> Result<Test, Invalid> {
    string(filter, &country(source).into_iter().collect::<Vec<_>>())
}

/// Whether something goes on: what has no end does.
fn active(scope: &Scope, filter: &Filter, end: &'static str) -> Result<Test, Invalid> {
    let ended = present(end);
    let concepts = [
        Concept::boolean(ended.clone().negated(), true),
        Concept::boolean(ended, false),
    ];
    token(scope, filter, &concepts)
}

/// A code that tells whether something goes on.
fn status(
    scope: &Scope,
    filter: &Filter,
    system: &'static str,
    end: &'static str,
    [open, ended]: [&'static str; 2],
) -> Result<Test, Invalid> {
    let over = present(end);
    let concepts = [
        Concept::new(over.clone().negated(), system, open),
        Concept::new(over, system, ended),
    ];
    token(scope, filter, &concepts)
}
