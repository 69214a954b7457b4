//! Conditions of writes: `If-Match`, and the searches by which conditional interactions name
//! their resource (<https://hl7.org/fhir/R4/http.html#concurrency>,
//! <https://hl7.org/fhir/R4/http.html#ccreate>).

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_MATCH};

use super::call::Call;
use crate::fault::shorten;
use crate::fhir::find;
use crate::fhir::instance::Origin;
use crate::fhir::resource::Resource;
use crate::fhir::search::form;
use crate::http::error::{Kind, Problem, Result};
use crate::store::IfMatch;

/// `If-None-Exist`
pub const IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");

/// What the `If-Match` of a request asks for.
///
/// # Errors
/// 400 where it is malformed.
pub fn if_match(headers: &HeaderMap) -> Result<Option<IfMatch>> {
    let mut values = headers.get_all(IF_MATCH).iter().peekable();
    if values.peek().is_none() {
        return Ok(None);
    }
    let mut tags = Vec::new();
    for value in values {
        tags.extend(value.to_str().map_err(|_| malformed())?.split(','));
    }
    parse(tags.into_iter()).map(Some)
}

/// What `request.ifMatch` of a Bundle's entry asks for.
///
/// # Errors
/// 400 where it is malformed.
pub fn parse_if_match(text: &str) -> Result<IfMatch> {
    parse(text.split(','))
}

fn parse<'a>(tags: impl Iterator<Item = &'a str>) -> Result<IfMatch> {
    let mut versions = Vec::new();
    for tag in tags.map(str::trim) {
        if tag == "*" {
            return Ok(IfMatch::Any);
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
    Ok(IfMatch::Versions(versions))
}

fn malformed() -> Problem {
    Problem::new(Kind::Parameter).detail(
        "If-Match: an entity tag such as W/\"3\" is expected",
        "If-Match には W/\"3\" のようなエンティティタグを指定してください",
    )
}

/// The current version is none of those asked for.
pub fn failed() -> Problem {
    Problem::new(Kind::Precondition).detail(
        "If-Match: the current version is another one; read it and write again",
        "If-Match: 現在の版が異なります。読み直してから書き込んでください",
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
            assert_eq!(
                parse_if_match(text).unwrap(),
                IfMatch::Versions(versions),
                "{text}"
            );
        }
        assert_eq!(parse_if_match("*").unwrap(), IfMatch::Any);
        for text in ["", "3", "W/3", "W/\"3", "W/\"3\",", "w/\"3\""] {
            assert!(parse_if_match(text).is_err(), "{text}");
        }
    }
}
