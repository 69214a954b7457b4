//! search (<https://hl7.org/fhir/R4/http.html#search>).

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;

use super::call::{Call, no_such};
use super::entries::{self, Entries, INCLUDE, MATCH};
use crate::fault::{Lang, Severity};
use crate::fhir::compartment::Member;
use crate::fhir::find;
use crate::fhir::include::{self, INCLUDED_MAX};
use crate::fhir::instance::{self, Origin};
use crate::fhir::outcome::Issue;
use crate::fhir::resource::Resource;
use crate::fhir::search::form::{self, Pair};
use crate::fhir::search::{CURSOR, Invalid, Limits, Search, Total, cursor};
use crate::fhir::searchset::Head;
use crate::fhir::subset::{Subset, Summary};
use crate::http::body::Body;
use crate::http::error::{Kind, Problem, Result, wrong_cursor};
use crate::http::negotiate::{self, FORM};
use crate::http::query::{self, Plus};
use crate::store::Place;

/// Bytes of a form at most.
const FORM_MAX: u64 = 1 << 20;

/// `GET [type]?…`
pub async fn get(resource: &'static Resource, call: &Call) -> Result<Response> {
    run(resource, None, call, &form::pairs(&call.query)?).await
}

/// `POST [type]/_search`: the parameters of address and body add up.
pub async fn post(resource: &'static Resource, call: Call, body: Body) -> Result<Response> {
    let (call, both) = with_form(call, body).await?;
    run(resource, None, &call, &form::pairs(&both)?).await
}

/// `GET [compartment]/[id]/[type]?…` (<https://hl7.org/fhir/R4/http.html#vsearch>)
pub async fn get_within(member: Member, id: &str, call: &Call) -> Result<Response> {
    let within = Some((member, id));
    run(member.resource, within, call, &form::pairs(&call.query)?).await
}

/// `POST [compartment]/[id]/[type]/_search`
pub async fn post_within(member: Member, id: &str, call: Call, body: Body) -> Result<Response> {
    let (call, both) = with_form(call, body).await?;
    run(
        member.resource,
        Some((member, id)),
        &call,
        &form::pairs(&both)?,
    )
    .await
}

/// The parameters of address and form.
async fn with_form(mut call: Call, body: Body) -> Result<(Call, String)> {
    let body = call.bytes(body.limit(FORM_MAX)).await?;
    if !body.is_empty() || call.headers.contains_key(CONTENT_TYPE) {
        negotiate::content_type(&call.headers, &[FORM])?;
    }
    let body = String::from_utf8(body).map_err(|e| {
        Problem::new(Kind::Malformed)
            .detail("the form is not UTF-8", "フォームが UTF-8 ではありません")
            .because(e)
    })?;
    let both = [call.query.as_str(), &form::of_form(body.trim_end())].join("&");
    call.format = negotiate::fhir_format(&query::pairs(&both, Plus::Kept)?, &call.headers)?;
    Ok((call, both))
}

async fn run(
    resource: &'static Resource,
    within: Option<(Member, &str)>,
    call: &Call,
    pairs: &[Pair],
) -> Result<Response> {
    let limits = call.app.settings().limits();
    let mut search = Search::read(resource.searchable, pairs, limits)?;
    if call.is_strict() && !search.ignored.is_empty() {
        return Err(refused(&search));
    }
    if search.summary == Summary::Text && !search.includes.is_empty() {
        return Err(Invalid::new(
            "_summary",
            "text cannot be asked for together with _include or _revinclude",
            "text は _include、_revinclude と同時に指定できません",
        )
        .into());
    }
    let mut path = resource.name().to_owned();
    if let Some((member, id)) = within {
        search
            .criteria
            .extend(in_compartment(call, member, id).await?.criteria);
        path = format!("{}/{id}/{path}", member.of.name());
    }
    let this = This {
        resource,
        call,
        search: &search,
        address: format!("{}/{path}", call.base),
        id: format!("{path}?{}", search.used),
    };
    if call.checks {
        this.place()?;
        find::check(&call.scope(), resource, &search)?;
        return call.answer(StatusCode::OK, Vec::new());
    }
    call.answer(StatusCode::OK, this.body().await?)
}

/// What finds the resources in a compartment, which must be there.
async fn in_compartment(call: &Call, member: Member, id: &str) -> Result<Search> {
    let access = call.app.access();
    let from = Origin {
        store: call.app.store(),
        access: &access,
    };
    if instance::by_id(from, member.of, id).await?.is_none() {
        return Err(no_such(member.of.name()));
    }
    let reference = format!("{}/{id}", member.of.name());
    let pair = Pair::new(member.parameter.name, &reference);
    Ok(find::search(member.resource, &[pair], Limits::OWN)?)
}

/// One search on its way.
struct This<'a> {
    resource: &'static Resource,
    call: &'a Call,
    search: &'a Search,
    /// What a cursor belongs to.
    id: String,
    address: String,
}

impl This<'_> {
    async fn body(&self) -> Result<Vec<u8>> {
        let access = self.call.app.access();
        let from = Origin {
            store: self.call.app.store(),
            access: &access,
        };
        let (search, scope) = (self.search, self.call.scope());
        let total = match search.total {
            Total::Accurate => Some(find::count(from, &scope, self.resource, search).await?),
            Total::None => None,
        };
        let subset = Subset::of(search);
        let mut issues = entries::ignored(&search.ignored, self.call.lang);
        if search.count == 0 {
            let mut out = self.begin(total, [None, None], &subset);
            out.told(&issues);
            return Ok(out.done());
        }
        let place = self.place()?;
        let page = find::page(from, &scope, self.resource, search, place, search.count).await?;
        let came = include::included(from, &scope, &search.includes, &page.found).await?;
        let cursor = |place: &Place| cursor::encode(&self.id, place.before, &place.numbers);
        let around = [&page.previous, &page.next].map(|place| place.as_ref().map(cursor));
        let mut out = self.begin(total, around, &subset);
        out.found(&page.found, MATCH).await?;
        for found in &came.found {
            out.found(found, INCLUDE).await?;
        }
        issues.extend(came.cut.then(|| self.cut()));
        out.told(&issues);
        Ok(out.done())
    }

    /// Where the page begins.
    fn place(&self) -> Result<Option<Place>> {
        let Some(text) = &self.search.cursor else {
            return Ok(None);
        };
        let (before, numbers) = cursor::decode(&self.id, text).ok_or_else(wrong_cursor)?;
        Ok(Some(Place { before, numbers }))
    }

    /// A page with its links; around it are the cursors of the pages before and after it.
    fn begin<'s>(
        &'s self,
        total: Option<u64>,
        [previous, next]: [Option<String>; 2],
        subset: &'s Subset,
    ) -> Entries<'s> {
        let used = &self.search.used;
        let cursor = self.search.cursor.as_deref();
        let mut links = vec![("self", link(&self.address, used, cursor))];
        if cursor.is_some() {
            links.push(("first", link(&self.address, used, None)));
        }
        for (relation, cursor) in [("previous", previous), ("next", next)] {
            if let Some(cursor) = cursor {
                links.push((relation, link(&self.address, used, Some(&cursor))));
            }
        }
        let head = Head {
            bundle_type: "searchset",
            total,
            links: &links,
        };
        Entries::new(self.call, &head, subset)
    }

    /// More comes with the matches than a page takes.
    fn cut(&self) -> Issue {
        let text = match self.call.lang {
            Lang::En => format!(
                "more than {INCLUDED_MAX} resources come with this page; the rest is left out. \
                 Ask for fewer matches (_count)"
            ),
            Lang::Ja => format!(
                "このページに含めるリソースが {INCLUDED_MAX} 件を超えたため、残りを省略しました。\
                 _count で件数を減らしてください"
            ),
        };
        Issue::new(Severity::Warning, "incomplete", text)
    }
}

/// An address with what was used of its query, and a cursor.
pub fn link(address: &str, used: &str, cursor: Option<&str>) -> String {
    let mut out = address.to_owned();
    let mut separator = '?';
    if !used.is_empty() {
        out.push(separator);
        out.push_str(used);
        separator = '&';
    }
    if let Some(cursor) = cursor {
        out.push(separator);
        out.push_str(CURSOR);
        out.push('=');
        out.push_str(cursor);
    }
    out
}

/// Strict handling of what lenient handling passes over.
pub fn refused(search: &Search) -> Problem {
    let told = |text: fn(&crate::fhir::search::Ignored) -> &str| {
        let each = search.ignored.iter().map(|i| {
            let name = crate::fault::shorten(&i.name);
            format!("{name}: {}", text(i))
        });
        each.collect::<Vec<_>>().join("; ")
    };
    Problem::new(Kind::Parameter)
        .issue_type("not-supported")
        .detail(told(|i| &i.en), told(|i| &i.ja))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_have_what_was_used() {
        assert_eq!(link("http://h/A", "", None), "http://h/A");
        assert_eq!(
            link("http://h/A", "a=1", Some("x")),
            "http://h/A?a=1&_cursor=x"
        );
        assert_eq!(link("http://h/A", "", Some("x")), "http://h/A?_cursor=x");
    }
}
