//! Instances of the resources that come from registry rows, devices and writes.

use std::collections::HashMap;

use serde_json::Value;

use super::canonical::Canonical;
use super::id;
use super::registry::{self, Activity, Meta, Provenance};
use super::resource::{Resource, RowSource, Source};
use super::search::rows::has_ids;
use super::search::{Invalid, Scope, Search};
use crate::registry::{ACTIVITY_RECORDING_TIMES, DEVICES};
use crate::store::{
    Access, Delivery, DeliveryKey, DeliveryQuery, DeviceQuery, Result, RowQuery, Store, Stored,
    StoredDevice, Test,
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
    /// Where a page that ends with it is gone on with.
    pub place: Place,
}

/// A place in the pages of a resource: its source, and the numbers of the row.
pub type Place = [i64; 3];

impl Instance {
    fn new(body: Value, version: u32, updated_at: i64, place: Place) -> Instance {
        Instance {
            id: body["id"].as_str().unwrap_or_default().to_owned(),
            body,
            version,
            updated_at,
            place,
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

/// What one source of a resource is asked for.
#[derive(Debug, Clone)]
enum Query {
    /// Registry rows.
    Rows(RowQuery),
    /// Devices.
    Devices(DeviceQuery),
    /// Deliveries.
    Deliveries(DeliveryQuery),
}

/// What the sources of a resource are asked for, in the order of pages.
#[derive(Debug, Clone)]
pub struct Queries(Vec<(Source, Query)>);

/// The queries that a search means.
///
/// # Errors
/// [`Invalid`] for a value that is wrong.
pub fn compile(
    resource: &'static Resource,
    search: &Search,
    scope: &Scope,
) -> std::result::Result<Queries, Invalid> {
    let mut queries = Vec::new();
    for source in resource.sources {
        let test = search.test(scope, source)?;
        queries.extend(query(source, test).map(|query| (*source, query)));
    }
    Ok(Queries(queries))
}

/// The queries for all instances, of one consortium or participant where their rows name one.
pub fn all(
    resource: &'static Resource,
    consortium_id: Option<&str>,
    person_id: Option<&str>,
) -> Queries {
    let mut queries = Vec::new();
    for source in resource.sources {
        let mut tests = Vec::new();
        if let Source::Row(RowSource { list, .. }) = source {
            for (field, value) in [("consortium_id", consortium_id), ("person_id", person_id)] {
                if let (Some(value), true) = (value, list.field(field).is_some()) {
                    tests.push(Test::column(field, [value.to_owned()]));
                }
            }
        }
        queries.extend(query(source, Test::all(tests)).map(|query| (*source, query)));
    }
    Queries(queries)
}

fn query(source: &Source, test: Test) -> Option<Query> {
    let limit = 1;
    let rows = |list, test| RowQuery {
        list,
        test,
        after: 0,
        limit,
    };
    Some(match source {
        Source::Record => return None,
        Source::Row(row) => Query::Rows(rows(row.list, test)),
        Source::Model => Query::Rows(rows(&DEVICES, test)),
        Source::Device => Query::Devices(DeviceQuery {
            test,
            after: 0,
            limit,
        }),
        Source::Delivery => Query::Deliveries(DeliveryQuery {
            test,
            after: DeliveryKey::default(),
            limit,
        }),
    })
}

/// How many instances match.
///
/// # Errors
/// [`Error::Database`](crate::store::Error::Database).
pub async fn count(from: Origin<'_>, queries: &Queries) -> Result<u64> {
    let Origin { store, access } = from;
    let mut total = 0;
    for (_, query) in &queries.0 {
        total += match query {
            Query::Rows(query) => store.row_count(access, query).await?,
            Query::Devices(query) => store.device_count(access, query).await?,
            Query::Deliveries(query) => store.delivery_count(access, query).await?,
        };
    }
    Ok(total)
}

/// The instances after a place, `limit` at most.
///
/// # Errors
/// [`Error::Database`](crate::store::Error::Database),
/// [`Error::Damaged`](crate::store::Error::Damaged).
pub async fn page(
    from: Origin<'_>,
    queries: &Queries,
    after: Option<Place>,
    limit: usize,
) -> Result<Vec<Instance>> {
    let [first, row, participant] = after.unwrap_or_default();
    let mut out = Vec::new();
    for (at, (source, query)) in queries.0.iter().enumerate() {
        let at = at as i64;
        let left = limit - out.len();
        if at < first || left == 0 {
            continue;
        }
        let (row, participant) = if at == first {
            (row, participant)
        } else {
            (0, 0)
        };
        let base = &from.store.kinds().canonical;
        match query.clone() {
            Query::Rows(query) => {
                let query = RowQuery {
                    after: row,
                    limit: left,
                    ..query
                };
                let rows = from.store.rows(from.access, &query).await?;
                out.extend(of_rows(from, source, rows, at).await?);
            }
            Query::Devices(query) => {
                let query = DeviceQuery {
                    after: row,
                    limit: left,
                    ..query
                };
                let devices = from.store.devices(from.access, &query).await?;
                out.extend(devices.iter().map(|d| of_device(base, d, at)));
            }
            Query::Deliveries(query) => {
                let query = DeliveryQuery {
                    after: DeliveryKey {
                        write: row,
                        participant,
                    },
                    limit: left,
                    ..query
                };
                let deliveries = from.store.deliveries(from.access, &query).await?;
                out.extend(deliveries.iter().map(|d| of_delivery(base, d, at)));
            }
        }
    }
    Ok(out)
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
        let queries = resource.sources.iter().filter_map(|source| {
            let query = query(source, has_ids(source, some.iter().copied()))?;
            Some((*source, query))
        });
        let queries = Queries(queries.collect());
        out.extend(page(from, &queries, None, some.len()).await?);
    }
    Ok(out)
}

async fn of_rows(
    from: Origin<'_>,
    source: &Source,
    rows: Vec<Stored>,
    at: i64,
) -> Result<Vec<Instance>> {
    let Source::Row(RowSource { make, .. }) = source else {
        return models(from, rows, at).await;
    };
    let base = &from.store.kinds().canonical;
    let of_row = |stored: Stored| {
        let meta = meta(stored.version, stored.updated_at);
        let body = make(base, &stored.row, Some(&meta));
        let place = [at, stored.id, 0];
        Instance::new(body, stored.version, stored.updated_at, place)
    };
    Ok(rows.into_iter().map(of_row).collect())
}

/// Device models. Two rows make one, so the sum of their versions is its version.
async fn models(from: Origin<'_>, rows: Vec<Stored>, at: i64) -> Result<Vec<Instance>> {
    // Rows of both lists with the same key have the same hash.
    let hash = |stored: &Stored| id::hash96("device-model", &stored.row.key());
    let query = RowQuery {
        list: &ACTIVITY_RECORDING_TIMES,
        test: Test::Hash(rows.iter().map(hash).collect()),
        after: 0,
        limit: rows.len(),
    };
    let times = from.store.rows(from.access, &query).await?;
    let times: HashMap<Vec<&str>, &Stored> = times.iter().map(|t| (t.row.key(), t)).collect();
    let base = &from.store.kinds().canonical;
    let of_model = |stored: &Stored| {
        let time = times.get(&stored.row.key());
        let version = stored.version + time.map_or(0, |t| t.version);
        let updated_at = stored.updated_at.max(time.map_or(0, |t| t.updated_at));
        let meta = meta(version, updated_at);
        let time = time.map(|t| &t.row);
        let body = registry::device_definition(base, &stored.row, time, Some(&meta));
        Instance::new(body, version, updated_at, [at, stored.id, 0])
    };
    Ok(rows.iter().map(of_model).collect())
}

fn of_device(base: &Canonical, device: &StoredDevice, at: i64) -> Instance {
    let meta = meta(device.version, device.updated_at);
    let body = registry::device(
        base,
        &device.maker,
        &device.model,
        &device.serial,
        device.registered.as_ref(),
        Some(&meta),
    );
    Instance::new(body, device.version, device.updated_at, [at, device.id, 0])
}

fn of_delivery(base: &Canonical, delivery: &Delivery, at: i64) -> Instance {
    let instant = |millis| time::text(|out| time::write_instant(out, millis));
    let consortium_id = delivery.person.consortium_id.as_str();
    let transmission = delivery.send_time.map(|sent| {
        let sent = time::text(|out| time::write17(out, sent));
        format!("{consortium_id}:{sent}")
    });
    let body = registry::provenance(
        base,
        &Provenance {
            id: &id::provenance(&delivery.id, &delivery.person.hash),
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
        delivery.targets.iter().map(id::ObservationKey::encode),
        Some(&meta(1, delivery.at)),
    );
    let place = [at, delivery.key.write, delivery.key.participant];
    Instance::new(body, 1, delivery.at, place)
}
