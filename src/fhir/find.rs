//! What a search finds, whatever the resource is made from.

use super::instance::{self, Instance, Origin};
use super::resource::{Resource, Source, by_name};
use super::search::form::Pair;
use super::search::{Invalid, Limits, Scope, Search};
use crate::store::{self, Place, RecordQuery, Records, StoredRecord};

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

    /// The instances among them.
    pub fn instances(&self) -> &[Instance] {
        match self {
            Found::Records(_) => &[],
            Found::Instances(instances) => instances,
        }
    }

    /// Their resource; none where there is nothing.
    pub fn resource(&self) -> Option<&'static Resource> {
        match self {
            Found::Records(_) => by_name("Observation"),
            Found::Instances(instances) => by_name(instances.first()?.resource_type()),
        }
    }

    /// A reference to each.
    pub fn references(&self) -> Vec<String> {
        match self {
            Found::Records(records) => {
                let ids = records.rows.iter().map(|row| row.id.encode());
                ids.map(|id| format!("Observation/{id}")).collect()
            }
            Found::Instances(instances) => instances.iter().map(Instance::reference).collect(),
        }
    }

    /// Keeps those whose reference passes.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        match self {
            Found::Records(records) => {
                let keep = |row: &StoredRecord| keep(&format!("Observation/{}", row.id.encode()));
                records.rows.retain(keep);
            }
            Found::Instances(instances) => instances.retain(|i| keep(&i.reference())),
        }
    }

    /// Keeps the first ones.
    pub fn truncate(&mut self, len: usize) {
        match self {
            Found::Records(records) => records.rows.truncate(len),
            Found::Instances(instances) => instances.truncate(len),
        }
    }
}

/// A page of what a search finds.
#[derive(Debug)]
pub struct Page {
    /// What is on it.
    pub found: Found,
    /// Whether more comes after it.
    pub more: bool,
    /// Where the page after it begins, where something is on it and more comes.
    pub next: Option<Place>,
    /// Where the page before it ends, where there may be one.
    pub previous: Option<Place>,
}

/// A search of which every parameter is known.
///
/// # Errors
/// [`Invalid`] for a value that is wrong, or a parameter that the resource does not have.
pub fn search(
    resource: &'static Resource,
    pairs: &[Pair],
    limits: Limits,
) -> Result<Search, Invalid> {
    let search = Search::read(resource.searchable, pairs, limits)?;
    match search.ignored.first() {
        None => Ok(search),
        Some(ignored) => Err(Invalid::new(&ignored.name, &ignored.en, &ignored.ja)),
    }
}

/// What a search finds from a place on, `limit` at most.
///
/// # Errors
/// [`Error`]
pub async fn page(
    from: Origin<'_>,
    scope: &Scope<'_>,
    resource: &'static Resource,
    search: &Search,
    place: Option<Place>,
    limit: usize,
) -> Result<Page, Error> {
    if matches!(resource.sources, [Source::Record]) {
        let query = RecordQuery {
            test: search.test(scope, &Source::Record)?,
            sort: search.sort.clone(),
            from: place,
            limit,
        };
        let page = from.store.search(from.access, &query).await?;
        return Ok(Page {
            found: Found::Records(page.records),
            more: page.more,
            next: page.next,
            previous: page.previous,
        });
    }
    let queries = instance::compile(resource, search, scope)?;
    Ok(instance::page(from, &queries, place, limit).await?.into())
}

impl From<instance::InstancePage> for Page {
    fn from(page: instance::InstancePage) -> Page {
        Page {
            found: Found::Instances(page.instances),
            more: page.more,
            next: page.next,
            previous: page.previous,
        }
    }
}

/// Whether a search can be run; it is not.
///
/// # Errors
/// As [`page`], but for those of the database.
pub fn check(scope: &Scope<'_>, resource: &'static Resource, search: &Search) -> Result<(), Error> {
    match resource.sources {
        [Source::Record] => search.test(scope, &Source::Record).map(drop)?,
        _ => instance::compile(resource, search, scope).map(drop)?,
    }
    Ok(())
}

/// How many a search finds.
///
/// # Errors
/// [`Error`]
pub async fn count(
    from: Origin<'_>,
    scope: &Scope<'_>,
    resource: &'static Resource,
    search: &Search,
) -> Result<u64, Error> {
    if matches!(resource.sources, [Source::Record]) {
        let query = RecordQuery {
            test: search.test(scope, &Source::Record)?,
            ..RecordQuery::default()
        };
        return Ok(from.store.count(from.access, &query).await?);
    }
    let queries = instance::compile(resource, search, scope)?;
    Ok(instance::count(from, &queries).await?)
}
