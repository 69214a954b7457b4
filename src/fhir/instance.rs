//! Instances of the resources that come from registry rows, devices and writes.

use std::collections::HashMap;

use serde_json::Value;

use super::canonical::Canonical;
use super::id::{self, Hash96};
use super::registry::{self, Activity, Meta, Provenance};
use super::resource::{Resource, RowSource, Source, by_name};
use super::search::rows::has_ids;
use super::search::{Invalid, Scope, Search};
use crate::registry::{ACTIVITY_RECORDING_TIMES, DEVICES};
use crate::store::{
    Access, Delivery, DeliveryKey, GroupOf, Place, Result, RowChangeQuery, RowKey, RowQuery,
    RowVersion, Store, Stored, StoredDevice, StoredGroup, Test, Which,
};
use crate::time;

/// One resource as it is now.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Its logical id.
    pub id: String,
    /// The resource.
    pub body: Value,
    /// `meta.versionId`
    pub version: u32,
    /// `meta.lastUpdated`, in milliseconds since the epoch.
    pub updated_at: i64,
}

impl Instance {
    fn new(body: Value, version: u32, updated_at: i64) -> Instance {
        Instance {
            id: body["id"].as_str().unwrap_or_default().to_owned(),
            body,
            version,
            updated_at,
        }
    }

    /// Its resource type.
    pub fn resource_type(&self) -> &str {
        self.body["resourceType"].as_str().unwrap_or_default()
    }

    /// `Patient/{id}`
    pub fn reference(&self) -> String {
        format!("{}/{}", self.resource_type(), self.id)
    }
}

fn meta(version: u32, updated_at: i64) -> Meta {
    Meta {
        version,
        last_updated: time::text(|out| time::write_instant(out, updated_at)),
    }
}

/// Where instances are looked for.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// The store.
    pub store: &'a Store,
    /// Who asks.
    pub access: &'a Access,
}

/// What the sources of a resource are asked for.
#[derive(Debug, Clone)]
pub struct Queries {
    sources: &'static [Source],
    query: RowQuery,
}

impl Queries {
    fn new(resource: &'static Resource, tests: Vec<Test>) -> Queries {
        let tables = resource.sources.iter().map(Source::table);
        Queries {
            sources: resource.sources,
            query: RowQuery {
                parts: tables.zip(tests).collect(),
                ..RowQuery::default()
            },
        }
    }
}

/// The queries that a search means.
///
/// # Errors
/// [`Invalid`] for a value that is wrong.
pub fn compile(
    resource: &'static Resource,
    search: &Search,
    scope: &Scope,
) -> std::result::Result<Queries, Invalid> {
    let tests = resource.sources.iter().map(|s| search.test(scope, s));
    let mut queries = Queries::new(resource, tests.collect::<std::result::Result<_, _>>()?);
    queries.query.sort.clone_from(&search.sort);
    Ok(queries)
}

/// The queries for all instances, of one consortium or participant where their rows name one.
pub fn all(
    resource: &'static Resource,
    consortium_id: Option<&str>,
    person_id: Option<&str>,
) -> Queries {
    let of_source = |source: &Source| {
        let Source::Row(RowSource { list, .. }) = source else {
            return Test::ALWAYS;
        };
        let asked = [("consortium_id", consortium_id), ("person_id", person_id)];
        let tests = asked.into_iter().filter_map(|(field, value)| {
            let field = list.field(field)?;
            Some(Test::column(field.name, [value?.to_owned()]))
        });
        Test::all(tests)
    };
    Queries::new(resource, resource.sources.iter().map(of_source).collect())
}

/// How many instances match.
///
/// # Errors
/// [`Error::Database`](crate::store::Error::Database).
pub async fn count(from: Origin<'_>, queries: &Queries) -> Result<u64> {
    from.store.row_count(from.access, &queries.query).await
}

/// Some instances, and where the pages around them are.
#[derive(Debug, Default)]
pub struct InstancePage {
    /// The instances.
    pub instances: Vec<Instance>,
    /// Whether more come after them.
    pub more: bool,
    /// Where the next page begins, where something is on this one and more come.
    pub next: Option<Place>,
    /// Where the page before ends, where there may be one.
    pub previous: Option<Place>,
}

/// The instances from a place on, `limit` at most.
///
/// # Errors
/// [`Error::Database`](crate::store::Error::Database),
/// [`Error::Damaged`](crate::store::Error::Damaged).
pub async fn page(
    from: Origin<'_>,
    queries: &Queries,
    place: Option<Place>,
    limit: usize,
) -> Result<InstancePage> {
    let query = RowQuery {
        from: place,
        limit,
        ..queries.query.clone()
    };
    let found = from.store.rows(from.access, &query).await?;
    let mut made = HashMap::new();
    for (part, source) in queries.sources.iter().enumerate() {
        let keys = found.rows.iter().filter(|row| row.part == part);
        for (key, instance) in of_source(from, source, keys.collect()).await? {
            made.insert((part, key), instance);
        }
    }
    // One that went meanwhile is not there.
    let instances = found
        .rows
        .into_iter()
        .filter_map(|row| made.remove(&(row.part, (row.id, row.participant))));
    Ok(InstancePage {
        instances: instances.collect(),
        more: found.more,
        next: found.next,
        previous: found.previous,
    })
}

/// The Provenance of what was done to the person with this id and to their records, of the
/// writes that a search finds.
///
/// # Errors
/// [`Error`](super::find::Error)
pub async fn provenance_of(
    from: Origin<'_>,
    scope: &Scope<'_>,
    search: &Search,
    id: &str,
    place: Option<Place>,
    limit: usize,
) -> std::result::Result<InstancePage, super::find::Error> {
    let Some(person) = id::decode_hash(id) else {
        return Ok(InstancePage::default());
    };
    let test = search.test(scope, &Source::Delivery)?;
    let after = place.and_then(|place| place.numbers.first().copied());
    let found = from
        .store
        .deliveries_of(from.access, &person, &test, after, limit);
    let (deliveries, more) = found.await?;
    let last = deliveries.last().filter(|_| more);
    let base = &from.store.kinds().canonical;
    Ok(InstancePage {
        more,
        next: last.map(|last| Place {
            before: false,
            numbers: vec![last.key.write],
        }),
        previous: None,
        instances: deliveries.iter().map(|d| of_delivery(base, d)).collect(),
    })
}

/// Ids that one query looks up at most.
const IDS: usize = 256;

/// The instance with this id.
///
/// # Errors
/// [`Error::Database`](crate::store::Error::Database),
/// [`Error::Damaged`](crate::store::Error::Damaged).
pub async fn by_id(
    from: Origin<'_>,
    resource: &'static Resource,
    id: &str,
) -> Result<Option<Instance>> {
    Ok(by_ids(from, resource, &[id]).await?.into_iter().next())
}

/// The instances with these ids, each once and in the order of the store; an id that names
/// none gives none.
///
/// # Errors
/// [`Error::Database`](crate::store::Error::Database),
/// [`Error::Damaged`](crate::store::Error::Damaged).
pub async fn by_ids(
    from: Origin<'_>,
    resource: &'static Resource,
    ids: &[&str],
) -> Result<Vec<Instance>> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let mut out = Vec::new();
    for some in ids.chunks(IDS) {
        if resource.sources.iter().all(Source::is_hashed) {
            let hashes: Vec<Hash96> = some.iter().filter_map(|id| id::decode_hash(id)).collect();
            for source in resource.sources {
                let mut found = of_rows(from, source, Which::Hashes(&hashes)).await?;
                found.sort_by_key(|(id, _)| *id);
                out.extend(found.into_iter().map(|(_, instance)| instance));
            }
            continue;
        }
        let tests = resource.sources.iter();
        let tests = tests.map(|source| has_ids(source, some.iter().copied()));
        let queries = Queries::new(resource, tests.collect());
        out.extend(page(from, &queries, None, some.len()).await?.instances);
    }
    Ok(out)
}

/// One version of an instance.
#[derive(Debug, Clone)]
pub struct Version {
    /// `meta.versionId`
    pub number: u32,
    /// `meta.lastUpdated`, in milliseconds since the epoch.
    pub updated_at: i64,
    /// The resource; `None` for a deletion.
    pub body: Option<Value>,
}

/// All versions of the instance with this id that are kept, the newest first: of registry
/// rows; none of anything else.
///
/// # Errors
/// [`Error::Database`](crate::store::Error::Database),
/// [`Error::Damaged`](crate::store::Error::Damaged).
pub async fn versions(
    from: Origin<'_>,
    resource: &'static Resource,
    id: &str,
) -> Result<Vec<Version>> {
    let Some(hash) = id::decode_hash(id) else {
        return Ok(Vec::new());
    };
    for source in resource.sources {
        let Source::Row(source) = source else {
            continue;
        };
        let rows = from
            .store
            .row_versions(from.access, source.list, &hash)
            .await?;
        if rows.is_empty() {
            continue;
        }
        let versions = rows.into_iter().map(|row| of_version(from, source, row));
        return Ok(versions.collect());
    }
    Ok(Vec::new())
}

/// Versions of all instances of a type by the time they were stored, the newest first, each
/// with the hash of its id: of registry rows; none of anything else.
///
/// # Errors
/// [`Error::Database`](crate::store::Error::Database),
/// [`Error::Damaged`](crate::store::Error::Damaged).
pub async fn changes(
    from: Origin<'_>,
    resource: &'static Resource,
    query: &RowChangeQuery,
) -> Result<Vec<(Hash96, Version)>> {
    let [Source::Row(source)] = resource.sources else {
        return Ok(Vec::new());
    };
    let changes = from.store.row_changes(from.access, source.list, query);
    let changes = changes.await?.into_iter();
    Ok(changes
        .map(|change| (change.hash, of_version(from, source, change.version)))
        .collect())
}

/// A version of a registry row as that of an instance.
fn of_version(from: Origin<'_>, source: &RowSource, version: RowVersion) -> Version {
    let base = &from.store.kinds().canonical;
    Version {
        number: version.version,
        updated_at: version.updated_at,
        body: version.row.map(|row| {
            let meta = meta(version.version, version.updated_at);
            (source.make)(base, &row, Some(&meta))
        }),
    }
}

/// What tells a row of a source: its number; of a delivery write and participant.
type Key = (i64, i64);

/// The instances that some rows of a source make.
async fn of_source(
    from: Origin<'_>,
    source: &Source,
    rows: Vec<&RowKey>,
) -> Result<Vec<(Key, Instance)>> {
    let Origin { store, access } = from;
    let base = &store.kinds().canonical;
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    Ok(match source {
        Source::Group => {
            let groups = store.groups(access, &ids).await?;
            groups
                .iter()
                .map(|g| ((g.id, 0), of_group(base, g)))
                .collect()
        }
        Source::Delivery => {
            let keys = rows.iter().map(|row| DeliveryKey {
                write: row.id,
                participant: row.participant,
            });
            let deliveries = store.deliveries(access, &keys.collect::<Vec<_>>()).await?;
            let each = deliveries.iter();
            each.map(|d| ((d.key.write, d.key.participant), of_delivery(base, d)))
                .collect()
        }
        _ => {
            let found = of_rows(from, source, Which::Ids(&ids)).await?.into_iter();
            found.map(|(id, instance)| ((id, 0), instance)).collect()
        }
    })
}

/// The instances that rows of a source make which have a number and a hash of their own, each
/// with the number; none of other sources.
async fn of_rows(
    from: Origin<'_>,
    source: &Source,
    which: Which<'_>,
) -> Result<Vec<(i64, Instance)>> {
    let Origin { store, access } = from;
    let base = &store.kinds().canonical;
    Ok(match source {
        Source::Row(RowSource { list, make }) => {
            let of_row = |stored: Stored| {
                let meta = meta(stored.version, stored.updated_at);
                let body = make(base, &stored.row, Some(&meta));
                let instance = Instance::new(body, stored.version, stored.updated_at);
                (stored.id, instance)
            };
            let rows = store.list_rows(access, list, which).await?;
            rows.into_iter().map(of_row).collect()
        }
        Source::Model => models(from, store.list_rows(access, &DEVICES, which).await?).await?,
        Source::Device => {
            let devices = store.devices(access, which).await?;
            devices.iter().map(|d| (d.id, of_device(base, d))).collect()
        }
        // Records are walked in their own way.
        Source::Record | Source::Group | Source::Delivery => Vec::new(),
    })
}

/// Device models. Two rows make one, so the sum of their versions is its version.
async fn models(from: Origin<'_>, rows: Vec<Stored>) -> Result<Vec<(i64, Instance)>> {
    // Rows of both lists with the same key have the same hash.
    let hash = |stored: &Stored| id::hash96("device-model", &stored.row.key());
    let hashes: Vec<Hash96> = rows.iter().map(hash).collect();
    let list = &ACTIVITY_RECORDING_TIMES;
    let times = from
        .store
        .list_rows(from.access, list, Which::Hashes(&hashes));
    let times = times.await?;
    let times: HashMap<Vec<&str>, &Stored> = times.iter().map(|t| (t.row.key(), t)).collect();
    // The versions of a row that is no longer there still count.
    let gone = rows.iter().zip(&hashes);
    let gone = gone.filter(|(stored, _)| !times.contains_key(&stored.row.key()));
    let gone: Vec<&Hash96> = gone.map(|(_, hash)| hash).collect();
    let last = from.store.last_versions(from.access, list, &gone).await?;
    let base = &from.store.kinds().canonical;
    let of_model = |stored: &Stored| {
        let time = times.get(&stored.row.key());
        let last = || last.get(&hash(stored)).copied().unwrap_or(0);
        let version = stored.version + time.map_or_else(last, |t| t.version);
        let updated_at = stored.updated_at.max(time.map_or(0, |t| t.updated_at));
        let meta = meta(version, updated_at);
        let time = time.map(|t| &t.row);
        let body = registry::device_definition(base, &stored.row, time, Some(&meta));
        (stored.id, Instance::new(body, version, updated_at))
    };
    Ok(rows.iter().map(of_model).collect())
}

/// A Group. Its content is its version: the same when it is the same, else another.
fn of_group(base: &Canonical, group: &StoredGroup) -> Instance {
    let make = |meta: Option<&Meta>| match &group.of {
        GroupOf::Consortium(row) => registry::consortium_group(row, group.quantity, meta),
        GroupOf::Stage(stage) => registry::stage_group(base, *stage, group.quantity, meta),
    };
    let [a, b, c, d, ..] = id::hash96("group", &[&make(None).to_string()]);
    // A number above 0 of 31 bits.
    let version = (u32::from_be_bytes([a, b, c, d]) >> 1).max(1);
    let body = make(Some(&meta(version, group.updated_at)));
    Instance::new(body, version, group.updated_at)
}

fn of_device(base: &Canonical, device: &StoredDevice) -> Instance {
    let meta = meta(device.version, device.updated_at);
    let body = registry::device(
        base,
        [&device.maker, &device.model, &device.serial],
        device.registered.as_ref(),
        &device.told,
        Some(&meta),
    );
    Instance::new(body, device.version, device.updated_at)
}

fn of_delivery(base: &Canonical, delivery: &Delivery) -> Instance {
    let instant = |millis| time::text(|out| time::write_instant(out, millis));
    let person = delivery.person.as_deref();
    let consortium_id = person.map(|person| person.consortium_id.as_str());
    let transmission = delivery.send_time.zip(consortium_id).map(|(sent, of)| {
        let sent = time::text(|out| time::write17(out, sent));
        format!("{of}:{sent}")
    });
    let records = delivery.targets.iter();
    let records = records.map(|key| format!("Observation/{}", key.encode()));
    let others = delivery.registered.iter().map(|other| {
        let reference = format!("{}/{}", other.resource, id::encode_hash(&other.hash));
        match by_name(&other.resource).is_some_and(Resource::keeps_versions) {
            true => format!("{reference}/_history/{}", other.version),
            // No other version than the current one can be read.
            false => reference,
        }
    });
    let body = registry::provenance(
        base,
        &Provenance {
            id: &id::provenance(&delivery.id, person.map(|person| &person.hash)),
            occurred: &instant(delivery.send_time.unwrap_or(delivery.at)),
            recorded: &instant(delivery.at),
            activity: match (delivery.deleted, delivery.created) {
                (true, _) => Activity::Delete,
                (_, true) => Activity::Create,
                _ => Activity::Update,
            },
            client: delivery.client.as_deref().unwrap_or("operator"),
            consortium_id,
            transmission: transmission.as_deref(),
        },
        records.chain(others),
        Some(&meta(1, delivery.at)),
    );
    Instance::new(body, 1, delivery.at)
}
