//! history: versions, the newest first, deletions as entries without a resource
//! (<https://hl7.org/fhir/R4/http.html#history>).

mod system;

use axum::http::StatusCode;
use axum::response::Response;

use super::call::{Call, Version, no_such};
use crate::fhir::id::ObservationKey;
use crate::fhir::instance::{self, Origin};
use crate::fhir::render::Renderer;
use crate::fhir::resource::{Resource, Source};
use crate::fhir::search::form::{self, Pair};
use crate::fhir::search::{CURSOR, Invalid, cursor};
use crate::fhir::searchset::{Head, Page};
use crate::http::error::{Problem, Result, wrong_cursor};
use crate::json;
use crate::store::{ChangeQuery, RecordKey, Records, StoredRecord};
use crate::time;

pub use system::of_system;

/// The resource that records are.
const OBSERVATION: &str = "Observation";

/// The versions of one resource.
pub async fn instance(resource: &'static Resource, call: &Call, id: &str) -> Result<Response> {
    let path = format!("{}/{id}/_history", resource.name());
    let asked = Asked::read(call, path)?;
    let mut versions = match resource.sources {
        [Source::Record] => of_record(call, id).await?,
        _ => of_row(resource, call, id).await?,
    };
    if versions.is_empty() {
        return Err(no_such(resource.name()));
    }
    let since = asked.since.unwrap_or(i64::MIN);
    versions.retain(|listed| listed.version.updated_at >= since);
    let total = versions.len() as u64;
    let mut newer = false;
    if let Some(text) = &asked.cursor {
        let (is_newer, [at]) = asked.place(text)?;
        newer = is_newer;
        let number = |listed: &Listed| i64::from(listed.version.number);
        if newer {
            versions.retain(|listed| number(listed) > at);
            // One more tells whether there are more.
            let far = versions.len().saturating_sub(asked.count + 1);
            versions.drain(..far);
        } else {
            versions.retain(|listed| number(listed) < at);
        }
    }
    page(call, &asked, versions, newer, Some(total))
}

/// The versions of all resources of a type, which are records.
pub async fn of_type(resource: &'static Resource, call: &Call) -> Result<Response> {
    let asked = Asked::read(call, format!("{}/_history", resource.name()))?;
    let mut query = ChangeQuery {
        updated: asked.since.map(|since| (since, i64::MAX)),
        limit: asked.count + 1,
        ..ChangeQuery::default()
    };
    if let Some(text) = &asked.cursor {
        let (newer, [participant, kind, time, source, write]) = asked.place(text)?;
        query.newer = newer;
        query.from = Some(RecordKey {
            participant,
            kind,
            time,
            source,
            write,
        });
    }
    let changes = call.app.store().changes(&call.app.access(), &query).await?;
    let place = |row: &StoredRecord| {
        let key = row.key;
        vec![key.participant, key.kind, key.time, key.source, key.write]
    };
    let versions = rendered(call, &changes, place).await?;
    page(call, &asked, versions, query.newer, None)
}

/// A version as it is listed.
struct Listed {
    resource_type: &'static str,
    id: String,
    version: Version,
    /// The resource; `None` for a deletion.
    body: Option<Vec<u8>>,
    /// Where a page that ends with it is gone on with.
    place: Vec<i64>,
}

/// All versions of a record.
async fn of_record(call: &Call, id: &str) -> Result<Vec<Listed>> {
    let Some(key) = ObservationKey::decode(id) else {
        return Ok(Vec::new());
    };
    let versions = call.app.store().history(&call.app.access(), &key).await?;
    rendered(call, &versions, |row| vec![i64::from(row.version)]).await
}

/// All versions of what comes from a registry row.
async fn of_row(resource: &'static Resource, call: &Call, id: &str) -> Result<Vec<Listed>> {
    let access = call.app.access();
    let origin = Origin {
        store: call.app.store(),
        access: &access,
    };
    let subset = call.subset()?;
    let mut out = Vec::new();
    for found in instance::versions(origin, resource, id).await? {
        let body = found.body.map(|mut body| {
            subset.apply(&mut body);
            serde_json::to_vec(&body)
        });
        out.push(Listed {
            resource_type: resource.name(),
            id: id.to_owned(),
            version: Version::new(found.number, found.updated_at),
            body: body.transpose().map_err(Problem::internal)?,
            place: vec![i64::from(found.number)],
        });
    }
    Ok(out)
}

async fn rendered(
    call: &Call,
    versions: &Records,
    place: impl Fn(&StoredRecord) -> Vec<i64>,
) -> Result<Vec<Listed>> {
    let mut renderer = Renderer::new(call.app.store(), versions).await?;
    let subset = call.subset()?;
    let mut out = Vec::with_capacity(versions.rows.len());
    for row in &versions.rows {
        let mut body = None;
        if !row.deleted {
            let mut written = Vec::new();
            renderer.write(row, &mut written);
            body = Some(subset.applied(written).map_err(Problem::internal)?);
        }
        out.push(Listed {
            resource_type: OBSERVATION,
            id: row.id.encode(),
            version: Version::new(row.version, row.last_updated),
            body,
            place: place(row),
        });
    }
    Ok(out)
}

/// A page of versions, the newest first, of which one more than asked for may be there: the
/// oldest, or the newest where those newer than a place were asked for.
fn page(
    call: &Call,
    asked: &Asked,
    mut versions: Vec<Listed>,
    newer: bool,
    total: Option<u64>,
) -> Result<Response> {
    let more = versions.len() > asked.count;
    if newer {
        versions.drain(..versions.len().saturating_sub(asked.count));
    }
    versions.truncate(asked.count);
    let mut links = vec![("self", asked.link(call, asked.cursor.as_deref()))];
    // Where a link led here, there is something at its other end.
    let linked = asked.cursor.is_some();
    for (relation, listed, is_there) in [
        (
            "previous",
            versions.first(),
            if newer { more } else { linked },
        ),
        ("next", versions.last(), newer || more),
    ] {
        if let Some(listed) = listed.filter(|_| is_there) {
            let before = relation == "previous";
            let cursor = cursor::encode(&asked.search(), before, &listed.place);
            links.push((relation, asked.link(call, Some(&cursor))));
        }
    }
    let mut page = Page::new(&Head {
        bundle_type: "history",
        total,
        links: &links,
    });
    for listed in &versions {
        page.entry(|out| entry(out, call, listed));
    }
    call.answer(StatusCode::OK, page.done())
}

fn entry(out: &mut Vec<u8>, call: &Call, listed: &Listed) {
    let address = format!("{}/{}", listed.resource_type, listed.id);
    out.extend_from_slice(b"\"fullUrl\":");
    json::string_into(out, &format!("{}/{address}", call.base));
    if let Some(body) = &listed.body {
        out.extend_from_slice(b",\"resource\":");
        out.extend_from_slice(body);
    }
    let (method, url, status) = match (&listed.body, listed.version.number) {
        (None, _) => ("DELETE", address.as_str(), "204"),
        (Some(_), 1) => ("POST", listed.resource_type, "201"),
        (Some(_), _) => ("PUT", address.as_str(), "200"),
    };
    for (name, value) in [(",\"request\":{\"method\":", method), (",\"url\":", url)] {
        out.extend_from_slice(name.as_bytes());
        json::string_into(out, value);
    }
    out.extend_from_slice(b"},\"response\":{\"status\":");
    json::string_into(out, status);
    out.extend_from_slice(b",\"etag\":");
    json::string_into(out, &listed.version.etag());
    out.extend_from_slice(b",\"lastModified\":\"");
    time::write_instant(out, listed.version.updated_at);
    out.extend_from_slice(b"\"}");
}

/// What a history is asked for.
struct Asked {
    path: String,
    count: usize,
    since: Option<i64>,
    cursor: Option<String>,
    /// What was used, encoded; without the cursor.
    used: String,
}

impl Asked {
    fn read(call: &Call, path: String) -> Result<Asked> {
        let settings = call.app.settings();
        let mut asked = Asked {
            path,
            count: settings.page_default,
            since: None,
            cursor: None,
            used: String::new(),
        };
        let mut unknown = Vec::new();
        for pair in form::pairs(&call.query)? {
            let value = pair.value()?;
            match pair.name.as_str() {
                "_count" => asked.count = count(&value)?.min(settings.page_max),
                "_since" => asked.since = Some(since(&value)?),
                "_format" | "_pretty" | "_summary" | "_elements" => {}
                CURSOR => {
                    asked.cursor = Some(value);
                    continue;
                }
                // What it asks for is another history: never passed over.
                "_at" | "_list" => return Err(not_supported(&pair).into()),
                name => {
                    unknown.push(name.to_owned());
                    continue;
                }
            }
            asked
                .used
                .push_str(if asked.used.is_empty() { "" } else { "&" });
            form::encode(&pair.name, &mut asked.used);
            asked.used.push('=');
            form::encode(&value, &mut asked.used);
        }
        if let (Some(name), true) = (unknown.first(), call.is_strict()) {
            let invalid = Invalid::new(
                name,
                "is no parameter of a history",
                "履歴のパラメータではありません",
            );
            return Err(invalid.into());
        }
        Ok(asked)
    }

    /// What a cursor belongs to.
    fn search(&self) -> String {
        format!("{}?{}", self.path, self.used)
    }

    /// Whether a cursor asks for what is newer, and its numbers.
    fn place<const N: usize>(&self, text: &str) -> Result<(bool, [i64; N])> {
        let place = cursor::decode(&self.search(), text);
        let place = place.and_then(|(newer, numbers)| Some((newer, numbers.try_into().ok()?)));
        place.ok_or_else(wrong_cursor)
    }

    fn link(&self, call: &Call, cursor: Option<&str>) -> String {
        super::search::link(&format!("{}/{}", call.base, self.path), &self.used, cursor)
    }
}

/// Entries of a page; none are asked for by 0.
fn count(value: &str) -> std::result::Result<usize, Invalid> {
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Invalid::new(
            "_count",
            "a whole number, 0 or more, is expected",
            "0 以上の整数を指定してください",
        ));
    }
    // A number of any length is more than a page has.
    Ok(value.parse().unwrap_or(usize::MAX))
}

/// An instant with a zone, in milliseconds since the epoch.
pub fn since(value: &str) -> std::result::Result<i64, Invalid> {
    let at = time::parse_fhir(&value.replace(' ', "+"), time::JST);
    at.filter(|at| at.zoned).map(|at| at.from).ok_or_else(|| {
        Invalid::new(
            "_since",
            "an instant with a zone is expected, such as 2016-09-01T12:00:00+09:00",
            "2016-09-01T12:00:00+09:00 のようにタイムゾーン付きの日時を指定してください",
        )
    })
}

fn not_supported(pair: &Pair) -> Invalid {
    Invalid::new(&pair.name, "is not supported", "には対応していません")
}
