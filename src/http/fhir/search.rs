//! search (<https://hl7.org/fhir/R4/http.html#search>).

use axum::http::StatusCode;
use axum::response::Response;

use super::call::Call;
use super::entries;
use super::history::wrong_cursor;
use crate::fhir::instance::{self, Origin};
use crate::fhir::render::Renderer;
use crate::fhir::resource::{Resource, Source};
use crate::fhir::search::form::{self, Pair};
use crate::fhir::search::{CURSOR, Limits, Search, Total, cursor};
use crate::fhir::searchset::{Head, Page};
use crate::http::body::Body;
use crate::http::error::{Kind, Problem, Result};
use crate::http::negotiate;
use crate::http::query::{self, Plus};
use crate::store::{Place, RecordQuery};

const FORM: &str = "application/x-www-form-urlencoded";
/// Bytes of a form at most.
const FORM_MAX: u64 = 1 << 20;

/// `GET [type]?…`
pub async fn get(resource: &'static Resource, call: &Call) -> Result<Response> {
    run(resource, call, &form::pairs(&call.query)?).await
}

/// `POST [type]/_search`: the parameters of address and body add up.
pub async fn post(resource: &'static Resource, mut call: Call, body: Body) -> Result<Response> {
    negotiate::content_type(&call.headers, &[FORM])?;
    let body = body.limit(FORM_MAX).bytes().await?;
    let body = String::from_utf8(body).map_err(|e| {
        Problem::new(Kind::Malformed)
            .detail("the form is not UTF-8", "フォームが UTF-8 ではありません")
            .because(e)
    })?;
    let both = [call.query.as_str(), body.trim_end()].join("&");
    call.format = negotiate::fhir_format(&query::pairs(&both, Plus::Kept)?, &call.headers)?;
    run(resource, &call, &form::pairs(&both)?).await
}

async fn run(resource: &'static Resource, call: &Call, pairs: &[Pair]) -> Result<Response> {
    let settings = call.app.settings();
    let limits = Limits {
        default: settings.page_default,
        max: settings.page_max,
    };
    let search = Search::read(resource.searchable, pairs, limits)?;
    if call.is_strict() && !search.ignored.is_empty() {
        return Err(refused(&search));
    }
    let address = format!("{}/{}", call.base, resource.name());
    let this = This {
        resource,
        call,
        search: &search,
        id: format!("{}?{}", resource.name(), search.used),
        address,
    };
    let body = match resource.sources {
        [Source::Record] => this.records().await?,
        _ => this.rows().await?,
    };
    call.answer(StatusCode::OK, body)
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
    async fn records(&self) -> Result<Vec<u8>> {
        let (store, access) = (self.call.app.store(), self.call.app.access());
        let mut query = RecordQuery {
            test: self.search.test(&self.call.scope(), &Source::Record)?,
            sort: self.search.sort.clone(),
            from: None,
            limit: self.search.count,
        };
        if let Some(text) = &self.search.cursor {
            let (before, numbers) = cursor::decode(&self.id, text).ok_or_else(wrong_cursor)?;
            query.from = Some(Place { before, numbers });
        }
        let total = match self.search.total {
            Total::Accurate => Some(store.count(&access, &query).await?),
            Total::None => None,
        };
        if self.search.count == 0 {
            return Ok(self.begin(total, [None, None]).done_with(self));
        }
        let found = store.search(&access, &query).await?;
        let cursor = |place: &Place| cursor::encode(&self.id, place.before, &place.numbers);
        let around = [&found.previous, &found.next].map(|place| place.as_ref().map(cursor));
        let mut page = self.begin(total, around);
        let found = found.records;
        let mut renderer = Renderer::new(store, &found).await?;
        let mut url = format!("{}/", self.address);
        let start = url.len();
        let mut id = Vec::with_capacity(48);
        for row in &found.rows {
            id.clear();
            row.id.encode_into(&mut id);
            url.truncate(start);
            url.extend(id.iter().map(|&b| char::from(b)));
            page.0.found(&url, "match", |out| renderer.write(row, out));
        }
        Ok(page.done_with(self))
    }

    async fn rows(&self) -> Result<Vec<u8>> {
        let access = self.call.app.access();
        let origin = Origin {
            store: self.call.app.store(),
            access: &access,
        };
        let queries = instance::compile(self.resource, self.search, &self.call.scope())?;
        let after = self.row_place()?;
        let total = match self.search.total {
            Total::Accurate => Some(instance::count(origin, &queries).await?),
            Total::None => None,
        };
        if self.search.count == 0 {
            return Ok(self.begin(total, [None, None]).done_with(self));
        }
        let mut found = instance::page(origin, &queries, after, self.search.count + 1).await?;
        let more = found.len() > self.search.count;
        found.truncate(self.search.count);
        let last = found.last().filter(|_| more);
        let next = last.map(|i| cursor::encode(&self.id, false, &i.place));
        let mut page = self.begin(total, [None, next]);
        for instance in &found {
            let body = serde_json::to_vec(&instance.body).map_err(Problem::internal)?;
            let url = format!("{}/{}", self.address, instance.id);
            page.0
                .found(&url, "match", |out| out.extend_from_slice(&body));
        }
        Ok(page.done_with(self))
    }

    /// Where a page of rows begins.
    fn row_place(&self) -> Result<Option<instance::Place>> {
        let Some(text) = &self.search.cursor else {
            return Ok(None);
        };
        let place = cursor::decode(&self.id, text);
        let place = place.and_then(|(_, numbers)| numbers.try_into().ok());
        place.map(Some).ok_or_else(wrong_cursor)
    }

    /// A page with its links; around it are the cursors of the pages before and after it.
    fn begin(&self, total: Option<u64>, [previous, next]: [Option<String>; 2]) -> Started {
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
        Started(Page::new(&Head {
            bundle_type: "searchset",
            total,
            links: &links,
        }))
    }
}

/// A page that has begun.
struct Started(Page);

impl Started {
    /// Ends the page, telling what was passed over.
    fn done_with(mut self, this: &This) -> Vec<u8> {
        let issues = entries::ignored(&this.search.ignored, this.call.lang);
        entries::tell(&mut self.0, this.call, &issues);
        self.0.done()
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
