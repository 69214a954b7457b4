//! Conditions of writes: preconditions of the version that is there, and the searches by which conditional interactions name
//! their resource (<https://hl7.org/fhir/R4/http.html#concurrency>,
//! <https://hl7.org/fhir/R4/http.html#ccreate>).

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};

use super::call::{Call, Version, read_http_date};
use crate::fault::shorten;
use crate::fhir::find;
use crate::fhir::inbound::Entry;
use crate::fhir::instance::Origin;
use crate::fhir::resource::Resource;
use crate::fhir::search::form;
use crate::http::error::{Kind, Problem, Result};
use crate::store::{self, Versions};

/// `If-None-Exist`
pub const IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");

/// Precondition of a request: of versions, which the store checks, and of a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    /// `If-Match` and `If-None-Match`
    pub versions: store::Precondition,
    /// `If-Unmodified-Since`, in seconds since the epoch; `None` beside `If-Match`
    /// (RFC 9110 §13.2.2).
    pub unmodified_since: Option<i64>,
}

impl Precondition {
    /// The precondition that the headers of a request state. A date that is none is passed over, as
    /// RFC 9110 §13.1.4 says.
    ///
    /// # Errors
    /// 400 where an entity tag is malformed.
    pub fn of(headers: &HeaderMap) -> Result<Precondition> {
        let if_match = tags(headers, IF_MATCH)?;
        let since = headers.get(IF_UNMODIFIED_SINCE);
        let since = since.filter(|_| if_match.is_none());
        Ok(Precondition {
            unmodified_since: since.and_then(|v| read_http_date(v.to_str().ok()?)),
            versions: store::Precondition {
                if_match,
                if_none_match: tags(headers, IF_NONE_MATCH)?,
            },
        })
    }

    /// The precondition that the request of a Bundle's entry states.
    ///
    /// # Errors
    /// 400 where an entity tag is malformed.
    pub fn of_entry(entry: &Entry) -> Result<Precondition> {
        let read = |text: &Option<String>| text.as_deref().map(parse).transpose();
        Ok(Precondition {
            versions: store::Precondition {
                if_match: read(&entry.if_match)?,
                if_none_match: read(&entry.if_none_match)?,
            },
            unmodified_since: None,
        })
    }

    /// The precondition that a version is the current one.
    pub fn version(number: u32) -> Precondition {
        Precondition {
            versions: store::Precondition {
                if_match: Some(Versions::Listed(vec![number])),
                if_none_match: None,
            },
            unmodified_since: None,
        }
    }

    /// Whether it holds for a version that is there.
    pub fn holds(&self, version: Version) -> bool {
        let seconds = version.updated_at.div_euclid(1000);
        self.versions.holds(Some(version.number))
            && self.unmodified_since.is_none_or(|since| seconds <= since)
    }

    /// Whether it holds where nothing is there.
    pub fn holds_for_nothing(&self) -> bool {
        self.versions.holds(None)
    }
}

fn tags(headers: &HeaderMap, name: HeaderName) -> Result<Option<Versions>> {
    let mut values = headers.get_all(name).iter().peekable();
    if values.peek().is_none() {
        return Ok(None);
    }
    let mut tags = Vec::new();
    for value in values {
        tags.push(value.to_str().map_err(|_| malformed())?);
    }
    parse(&tags.join(",")).map(Some)
}

/// Versions that a list of entity tags names.
fn parse(text: &str) -> Result<Versions> {
    let mut versions = Vec::new();
    for tag in text.split(',').map(str::trim) {
        if tag == "*" {
            return Ok(Versions::Any);
        }
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        let opaque = tag.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
        // A tag that is no version of ours is well-formed and matches nothing.
        let opaque = opaque.ok_or_else(malformed)?;
        // What follows the version is of rows that the resource shows; a write replaces none.
        let version = opaque
            .split_once('-')
            .map_or(opaque, |(version, _)| version);
        versions.extend(version.parse::<u32>());
    }
    Ok(Versions::Listed(versions))
}

fn malformed() -> Problem {
    Problem::new(Kind::Parameter).detail(
        "If-Match, If-None-Match: an entity tag such as W/\"3\" is expected",
        "If-Match、If-None-Match には W/\"3\" のようなエンティティタグを指定してください",
    )
}

/// The current version is not as the request wants it.
pub fn failed() -> Problem {
    Problem::new(Kind::Precondition).detail(
        "If-Match, If-None-Match or If-Unmodified-Since does not hold for the current version; read it \
         and write again",
        "If-Match、If-None-Match、If-Unmodified-Since のいずれかを現在の版が満たしません。読み直してから書き込んでください",
    )
}

/// What `If-None-Exist` asks for: the query of a search.
///
/// # Errors
/// 400 where it is no text.
pub fn if_none_exist(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get(IF_NONE_EXIST) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| {
        Problem::new(Kind::Parameter).detail(
            "If-None-Exist: the query of a search, percent-encoded, is expected",
            "If-None-Exist には検索のクエリー（パーセントエンコード済み）を指定してください",
        )
    })?;
    Ok(Some(text.to_owned()))
}

/// What a search finds that names one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    None,
    /// The id of the only match.
    One(String),
    /// More than one.
    Several,
}

/// Looks for the resource that a query names. A leading `?` or `Type?` is passed over.
///
/// # Errors
/// 400 where the query is wrong, empty, or has a parameter that is not known: it would name
/// more than was meant.
pub async fn find(call: &Call, resource: &'static Resource, query: &str) -> Result<Found> {
    let query = query.rsplit_once('?').map_or(query, |(_, query)| query);
    let limits = call.app.settings().limits();
    let search = find::search(resource, &form::pairs(query)?, limits)?;
    if search.criteria.is_empty() {
        return Err(Problem::new(Kind::Parameter).detail(
            "a condition names a resource by at least one search parameter",
            "条件には検索パラメータを一つ以上指定してください",
        ));
    }
    let access = call.app.access();
    let origin = Origin {
        store: call.app.store(),
        access: &access,
    };
    let page = find::page(origin, &call.scope(), resource, &search, None, 2).await?;
    let ids: Vec<String> = match page.found {
        find::Found::Records(records) => records.rows.iter().map(|r| r.id.encode()).collect(),
        find::Found::Instances(instances) => instances.into_iter().map(|i| i.id).collect(),
    };
    let mut ids = ids.into_iter();
    Ok(match (ids.next(), ids.next()) {
        (None, _) => Found::None,
        (Some(id), None) => Found::One(id),
        (Some(_), Some(_)) => Found::Several,
    })
}

/// A condition matches several resources.
pub fn several() -> Problem {
    Problem::new(Kind::Several).detail(
        "the condition matches several resources; name one of them",
        "条件に複数のリソースが一致します。一つに絞ってください",
    )
}

/// A conditional reference leads to nothing.
pub fn leads_nowhere(name: &str) -> Problem {
    let name = shorten(name);
    Problem::new(Kind::Refused).issue_type("not-found").detail(
        format!(
            "the conditional reference finds no {name}; refer to one that is there, \
             or send it in the same Bundle and refer to its fullUrl"
        ),
        format!(
            "条件付き参照に一致する {name} がありません。登録済みのものを参照するか、\
             同じ Bundle に含めてその fullUrl で参照してください"
        ),
    )
}

/// A conditional reference leads to several.
pub fn leads_to_several(name: &str) -> Problem {
    Problem::new(Kind::Several).detail(
        format!("the conditional reference finds several {name} resources; name one of them"),
        format!("条件付き参照に複数の {name} が一致します。一つに絞ってください"),
    )
}

/// Others wrote what a condition looks for, again and again.
pub fn moved() -> Problem {
    Problem::new(Kind::Conflict).detail(
        "others write what the condition looks for at this moment; send it again",
        "条件の対象が他から同時に書き込まれています。もう一度送ってください",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_name_versions() {
        for (text, versions) in [
            ("W/\"3\"", vec![3]),
            ("\"3\"", vec![3]),
            ("W/\"3-5f0c2a91\"", vec![3]),
            ("W/\"1\", W/\"2\"", vec![1, 2]),
            ("\"elsewhere\"", vec![]),
        ] {
            assert_eq!(parse(text).unwrap(), Versions::Listed(versions), "{text}");
        }
        assert_eq!(parse("*").unwrap(), Versions::Any);
        for text in ["", "3", "W/3", "W/\"3", "W/\"3\",", "w/\"3\""] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
