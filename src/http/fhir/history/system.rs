//! The history of all resources that keep versions, as one: records, and rows of registries.
//!
//! What is versioned together is one stream: the records, and the instances of each other type.
//! They are merged by the time they were stored and then by the stream, so that a place in the
//! merged order is a place in each of them.

use std::cmp::{Ordering, Reverse};

use axum::response::Response;

use super::{Asked, Listed, page, rendered};
use crate::fhir::id::{self, Hash96};
use crate::fhir::instance::{self, Origin};
use crate::fhir::resource::{Interaction, RESOURCES, Resource, Source};
use crate::http::error::{Problem, Result};
use crate::http::fhir::call::{Call, Version};
use crate::store::{ChangeQuery, RecordKey, RowChangeQuery, StoredRecord};

/// The numbers of a place in a stream.
type Own = [i64; 5];

/// Where a page begins: before or after a version of this time, of a stream, and there.
type Place = (bool, [i64; 7]);

/// What a stream is asked for.
struct Part {
    /// Stored in this range of milliseconds.
    updated: (i64, i64),
    /// Beyond this place of its own.
    own: Option<Own>,
    newer: bool,
}

impl Part {
    /// What a page that begins there takes of the stream of this rank.
    fn of(rank: i64, since: i64, place: Option<&Place>) -> Part {
        let mut part = Part {
            updated: (since, i64::MAX),
            own: None,
            newer: false,
        };
        let Some(&(newer, [at, of, ref own @ ..])) = place else {
            return part;
        };
        part.newer = newer;
        match (rank.cmp(&of), newer) {
            (Ordering::Equal, _) => part.own = Some(*own),
            // Of one time, the greater rank comes first.
            (Ordering::Less, true) => part.updated.0 = since.max(at.saturating_add(1)),
            (Ordering::Less, false) => part.updated.1 = at.saturating_add(1),
            (Ordering::Greater, true) => part.updated.0 = since.max(at),
            (Ordering::Greater, false) => part.updated.1 = at,
        }
        part
    }
}

/// The versions of everything.
pub async fn of_system(call: Call) -> Result<Response> {
    let asked = Asked::read(&call, "_history".to_owned())?;
    let place: Option<Place> = match &asked.cursor {
        Some(text) => Some(asked.place(text)?),
        None => None,
    };
    let since = asked.since.unwrap_or(i64::MIN);
    let newer = place.is_some_and(|(newer, _)| newer);
    let part = |rank| Part::of(rank, since, place.as_ref());
    let mut all = of_records(&call, &asked, part(0)).await?;
    let rows = RESOURCES
        .iter()
        .filter(|r| r.has(Interaction::HistoryInstance));
    let rows = rows.filter(|r| !matches!(r.sources, [Source::Record]));
    for (rank, resource) in (1..).zip(rows) {
        all.extend(of_rows(&call, &asked, resource, rank, part(rank)).await?);
    }
    all.sort_by_cached_key(|listed| Reverse(listed.place.clone()));
    if newer {
        // One more tells whether there are more; the nearest are the last of the newest first.
        all.drain(..all.len().saturating_sub(asked.count + 1));
    }
    page(&call, &asked, all, newer, None)
}

async fn of_records(call: &Call, asked: &Asked, part: Part) -> Result<Vec<Listed>> {
    let key = |[write, participant, kind, time, source]: Own| RecordKey {
        participant,
        kind,
        time,
        source,
        write,
    };
    let query = ChangeQuery {
        updated: Some(part.updated),
        from: part.own.map(key),
        newer: part.newer,
        limit: asked.count + 1,
    };
    let changes = call.app.store().changes(&call.app.access(), &query).await?;
    let place = |row: &StoredRecord| {
        let RecordKey {
            participant,
            kind,
            time,
            source,
            write,
        } = row.key;
        vec![row.last_updated, 0, write, participant, kind, time, source]
    };
    rendered(call, &changes, place).await
}

async fn of_rows(
    call: &Call,
    asked: &Asked,
    resource: &'static Resource,
    rank: i64,
    part: Part,
) -> Result<Vec<Listed>> {
    let access = call.app.access();
    let origin = Origin {
        store: call.app.store(),
        access: &access,
    };
    let subset = call.subset()?;
    let query = RowChangeQuery {
        updated: part.updated,
        from: part.own.map(|[at, high, low, version, _]| {
            (at, joined(high, low), u32::try_from(version).unwrap_or(0))
        }),
        newer: part.newer,
        limit: asked.count + 1,
    };
    let mut out = Vec::new();
    for (hash, found) in instance::changes(origin, resource, &query).await? {
        let body = found.body.map(|mut body| {
            subset.apply(&mut body);
            serde_json::to_vec(&body)
        });
        let [high, low] = halves(&hash);
        let number = i64::from(found.number);
        out.push(Listed {
            resource_type: resource.name(),
            id: id::encode_hash(&hash),
            version: Version::new(found.number, found.updated_at),
            body: body.transpose().map_err(Problem::internal)?,
            place: vec![
                found.updated_at,
                rank,
                found.updated_at,
                high,
                low,
                number,
                0,
            ],
        });
    }
    Ok(out)
}

/// A hash as two numbers in the same order.
fn halves(hash: &Hash96) -> [i64; 2] {
    let (mut high, mut low) = ([0; 8], [0; 8]);
    high.copy_from_slice(&hash[..8]);
    low[4..].copy_from_slice(&hash[8..]);
    [i64::from_be_bytes(high) ^ i64::MIN, i64::from_be_bytes(low)]
}

/// The hash of two numbers.
fn joined(high: i64, low: i64) -> Hash96 {
    let mut hash = [0; 12];
    hash[..8].copy_from_slice(&(high ^ i64::MIN).to_be_bytes());
    hash[8..].copy_from_slice(&low.to_be_bytes()[4..]);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_in_the_order_of_hashes() {
        let hashes: [Hash96; 5] = [
            [0; 12],
            [0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0],
            [0x7F; 12],
            [0x80; 12],
            [255; 12],
        ];
        assert!(hashes.map(|h| halves(&h)).is_sorted_by(|a, b| a < b));
        for hash in hashes {
            let [high, low] = halves(&hash);
            assert_eq!(joined(high, low), hash);
        }
    }
}
