//! What a search finds, whatever the resource is made from.

use super::instance::{self, Instance, Origin};
use super::resource::{Resource, Source};
use super::search::form::Pair;
use super::search::{Invalid, Limits, Scope, Search, records};
use crate::store::{self, Records};

/// Why a search could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value is wrong.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Some of what a search finds.
#[derive(Debug)]
pub enum Found {
    /// Records, each an Observation.
    Records(Records),
    /// Instances of another resource.
    Instances(Vec<Instance>),
}

impl Found {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Found::Records(records) => records.rows.len(),
            Found::Instances(instances) => instances.len(),
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps the first ones.
    pub fn truncate(&mut self, len: usize) {
        match self {
            Found::Records(records) => records.rows.truncate(len),
            Found::Instances(instances) => instances.truncate(len),
        }
    }

    /// The numbers at which a page that ends with the last one is gone on with.
    pub fn place(&self) -> Option<[i64; 5]> {
        match self {
            Found::Records(records) => records.rows.last().map(|row| records::place(row.key)),
            Found::Instances(instances) => instances.last().map(|i| {
                let [source, row, participant] = i.place;
                [source, row, participant, 0, 0]
            }),
        }
    }
}

/// A search of our own making: every parameter is known.
///
/// # Errors
/// [`Invalid`] for a value that is wrong, or a parameter that the resource does not have.
pub fn search(resource: &'static Resource, pairs: &[Pair]) -> Result<Search, Invalid> {
    let search = Search::read(resource.searchable, pairs, Limits::default())?;
    match search.ignored.first() {
        None => Ok(search),
        Some(ignored) => Err(Invalid::new(&ignored.name, &ignored.en, &ignored.ja)),
    }
}

/// What a search finds after a place, `limit` at most.
///
/// # Errors
/// [`Error`]
pub async fn page(
    from: Origin<'_>,
    scope: &Scope<'_>,
    resource: &'static Resource,
    search: &Search,
    after: Option<[i64; 5]>,
    limit: usize,
) -> Result<Found, Error> {
    if matches!(resource.sources, [Source::Record]) {
        let mut query = records::compile(search, scope)?;
        query.after = after.map(records::key);
        query.limit = limit;
        records::resolve(&mut query, from.store, from.access).await?;
        return Ok(Found::Records(
            from.store.search(from.access, &query).await?,
        ));
    }
    let queries = instance::compile(resource, search, scope)?;
    let after = after.map(|[source, row, participant, ..]| [source, row, participant]);
    Ok(Found::Instances(
        instance::page(from, &queries, after, limit).await?,
    ))
}
