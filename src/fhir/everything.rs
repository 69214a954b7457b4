//! `Patient/$everything`: all that is stored about a person
//! (<https://hl7.org/fhir/R4/patient-operation-everything.html>).
//!
//! The members of the person's compartment are walked one type after the other, page by
//! page; what they refer to comes beside them on each page, as the includes of a search do.

use std::collections::HashSet;

use super::find::{self, Error, Found};
use super::include;
use super::instance::{self, Origin};
use super::resource::{Resource, by_name};
use super::search::form::Pair;
use super::search::{Limits, Scope, Search};
use crate::store;

/// The types whose instances are about a person, in the order of pages, with the parameter
/// that finds them.
const MEMBERS: &[(&str, &str)] = &[
    ("Patient", "_id"),
    ("ResearchSubject", "individual"),
    ("Observation", "patient"),
    // Its targets may be the Observations alone, so that no parameter finds all of it.
    ("Provenance", ""),
];

/// What is asked for.
#[derive(Debug)]
pub struct Asked {
    /// Further conditions on Observations: their time.
    pub observed: Vec<Pair>,
    /// Further conditions on all of it: when it was stored.
    pub stored: Vec<Pair>,
    /// Only these types; empty: all.
    pub types: Vec<&'static str>,
    /// Resources on a page, without includes.
    pub limit: usize,
}

impl Asked {
    fn wants(&self, resource: &Resource) -> bool {
        self.types.is_empty() || self.types.contains(&resource.name())
    }

    fn search(
        &self,
        resource: &'static Resource,
        parameter: &str,
        id: &str,
    ) -> Result<Search, Error> {
        let own = (!parameter.is_empty()).then(|| Pair::new(parameter, id));
        let mut pairs: Vec<Pair> = own.into_iter().collect();
        if resource.name() == "Observation" {
            pairs.extend_from_slice(&self.observed);
        }
        pairs.extend_from_slice(&self.stored);
        Ok(find::search(resource, &pairs, Limits::default())?)
    }
}

/// A page of it.
#[derive(Debug, Default)]
pub struct Everything {
    /// Members of the compartment.
    pub members: Vec<(&'static str, Found)>,
    /// What they refer to.
    pub referred: Vec<Found>,
    /// Where the next page begins.
    pub next: Option<Place>,
}

/// A place in the pages: the type, and the numbers of the last one; none where no instance
/// of the type was given yet.
pub type Place = Vec<i64>;

/// The page after a place; `None` where the person is not known.
///
/// # Errors
/// [`Error`]
pub async fn page(
    from: Origin<'_>,
    scope: &Scope<'_>,
    patient: &'static Resource,
    id: &str,
    asked: &Asked,
    after: Option<Place>,
) -> Result<Option<Everything>, Error> {
    let mut person = instance::by_id(from, patient, id).await?;
    if person.is_none() {
        return Ok(None);
    }
    let mut out = Everything::default();
    let mut left = asked.limit;
    let after = after.unwrap_or_default();
    let (first, place) = after.split_first().map_or((0, &[][..]), |(n, p)| (*n, p));
    for (at, (name, parameter)) in (0..).zip(MEMBERS) {
        let Some(resource) = by_name(name).filter(|r| at >= first && asked.wants(r)) else {
            continue;
        };
        let search = asked.search(resource, parameter, id)?;
        let goes_on = at == first && !place.is_empty();
        let after = goes_on.then(|| store::Place {
            before: false,
            numbers: place.to_vec(),
        });
        let find::Page {
            found, more, next, ..
        } = match *parameter {
            // Nothing more is asked of the person than to be there.
            "_id" if asked.stored.is_empty() && after.is_none() && left > 0 => find::Page {
                found: Found::Instances(person.take().into_iter().collect()),
                more: false,
                next: None,
                previous: None,
            },
            "" => {
                let page = instance::provenance_of(from, scope, &search, id, after, left);
                page.await?.into()
            }
            _ => find::page(from, scope, resource, &search, after, left).await?,
        };
        left -= found.len();
        if more {
            let numbers = match next {
                Some(next) => next.numbers,
                None if goes_on => place.to_vec(),
                None => Vec::new(),
            };
            out.next = Some([&[at], numbers.as_slice()].concat());
        }
        if !found.is_empty() {
            out.members.push((resource.name(), found));
        }
        if more {
            break;
        }
    }
    out.referred = referred(from, asked, &out.members).await?;
    Ok(Some(out))
}

/// What the members of a page refer to, and what that refers to.
async fn referred(
    from: Origin<'_>,
    asked: &Asked,
    members: &[(&'static str, Found)],
) -> Result<Vec<Found>, Error> {
    let outside = |r: &Resource| MEMBERS.iter().all(|(name, _)| *name != r.name());
    let mut references = Vec::new();
    for (_, found) in members {
        match found {
            Found::Records(records) => {
                for element in ["device", "performer"] {
                    include::of_records(records, element, &mut references);
                }
            }
            Found::Instances(instances) => {
                let bodies = instances.iter().map(|instance| &instance.body);
                bodies.for_each(|body| include::references(body, &outside, &mut references));
            }
        }
    }
    references.retain(|text| include::split(text).is_some_and(|(resource, _)| outside(resource)));
    let mut seen = HashSet::new();
    let mut out: Vec<Found> = Vec::new();
    while !references.is_empty() {
        let found = include::follow(from, references, &mut seen).await?;
        references = Vec::new();
        for instance in found.iter().flat_map(Found::instances) {
            include::references(&instance.body, &outside, &mut references);
        }
        out.extend(found);
    }
    out.retain(|found| found.resource().is_some_and(|r| asked.wants(r)));
    Ok(out)
}
