//! The entries of a page: what was found, what came with it, and what there is to say.

use serde_json::Value;

use crate::fault::{Lang, Severity, shorten};
use crate::fhir::find::Found;
use crate::fhir::instance::Instance;
use crate::fhir::outcome::{Issue, outcome};
use crate::fhir::render::Renderer;
use crate::fhir::search::Ignored;
use crate::fhir::searchset::{Head, Page};
use crate::fhir::subset::Subset;
use crate::http::error::{Problem, Result};
use crate::json;
use crate::store::Records;

use super::call::Call;

/// `search.mode` of what was searched for.
pub const MATCH: &str = "match";
/// `search.mode` of what came with it.
pub const INCLUDE: &str = "include";

/// A page in the making.
pub struct Entries<'a> {
    call: &'a Call,
    page: Page,
    /// The part of each match that is asked for.
    subset: &'a Subset,
    /// The part of each resource that comes with them.
    included: Subset,
}

impl<'a> Entries<'a> {
    /// Begins a page.
    pub fn new(call: &'a Call, head: &Head, subset: &'a Subset) -> Entries<'a> {
        Entries {
            call,
            page: Page::new(head),
            subset,
            included: subset.of_included(),
        }
    }

    fn subset(&self, mode: &str) -> &Subset {
        if mode == INCLUDE {
            &self.included
        } else {
            self.subset
        }
    }

    /// Adds what was found.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn found(&mut self, found: &Found, mode: &str) -> Result<()> {
        match found {
            Found::Records(records) => self.records(records, mode).await,
            Found::Instances(instances) => {
                instances.iter().try_for_each(|i| self.instance(i, mode))
            }
        }
    }

    /// Adds records.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn records(&mut self, records: &Records, mode: &str) -> Result<()> {
        let mut renderer = Renderer::new(self.call.app.store(), records).await?;
        let mut url = format!("{}/Observation/", self.call.base);
        let start = url.len();
        let mut id = Vec::with_capacity(48);
        let mut written = Vec::new();
        if self.subset(mode).is_all() {
            let around = start + 128;
            self.page
                .reserve(renderer.size() + records.rows.len() * around);
        }
        for row in &records.rows {
            id.clear();
            row.id.encode_into(&mut id);
            url.truncate(start);
            url.extend(id.iter().map(|&b| char::from(b)));
            if self.subset(mode).is_all() {
                self.page.found(&url, mode, |out| renderer.write(row, out));
                continue;
            }
            written.clear();
            renderer.write(row, &mut written);
            let part = self.subset(mode).applied(std::mem::take(&mut written));
            written = part.map_err(Problem::internal)?;
            self.page
                .found(&url, mode, |out| out.extend_from_slice(&written));
        }
        Ok(())
    }

    /// Adds an instance.
    ///
    /// # Errors
    /// 500 where it cannot be written.
    fn instance(&mut self, instance: &Instance, mode: &str) -> Result<()> {
        let url = format!("{}/{}", self.call.base, instance.reference());
        let subset = self.subset(mode);
        let written = if subset.is_all() {
            serde_json::to_vec(&instance.body)
        } else {
            let mut part = instance.body.clone();
            subset.apply(&mut part);
            serde_json::to_vec(&part)
        };
        let written = written.map_err(Problem::internal)?;
        self.page
            .found(&url, mode, |out| out.extend_from_slice(&written));
        Ok(())
    }

    /// Adds a match with what `entry.search` says of it.
    ///
    /// # Errors
    /// 500 where it cannot be written.
    pub fn scored(&mut self, instance: &Instance, search: &Value) -> Result<()> {
        let url = format!("{}/{}", self.call.base, instance.reference());
        let mut part = instance.body.clone();
        self.subset.apply(&mut part);
        let written = serde_json::to_vec(&part).map_err(Problem::internal)?;
        let search = search.to_string();
        self.page.entry(|out| {
            out.extend_from_slice(b"\"fullUrl\":");
            json::string_into(out, &url);
            out.extend_from_slice(b",\"resource\":");
            out.extend_from_slice(&written);
            out.extend_from_slice(b",\"search\":");
            out.extend_from_slice(search.as_bytes());
        });
        Ok(())
    }

    /// Adds an OperationOutcome, where there is anything to say.
    pub fn told(&mut self, issues: &[Issue]) {
        tell(&mut self.page, self.call, issues);
    }

    /// The Bundle.
    pub fn done(self) -> Vec<u8> {
        self.page.done()
    }
}

/// Adds an OperationOutcome to a page, where there is anything to say.
pub fn tell(page: &mut Page, call: &Call, issues: &[Issue]) {
    if issues.is_empty() {
        return;
    }
    let told = outcome(issues, &call.app.kinds().canonical, call.lang);
    let written = told.to_string();
    let url = format!("urn:uuid:{}", uuid());
    page.found(&url, "outcome", |out| {
        out.extend_from_slice(written.as_bytes())
    });
}

/// What was passed over, as warnings.
pub fn ignored(ignored: &[Ignored], lang: Lang) -> Vec<Issue> {
    let issues = ignored.iter().map(|ignored| {
        let name = shorten(&ignored.name);
        let text = match lang {
            Lang::En => format!("{name} {}; it was ignored", ignored.en),
            Lang::Ja => format!("{name}: {}。無視しました", ignored.ja),
        };
        Issue::new(Severity::Warning, "not-supported", text)
    });
    issues.collect()
}

/// A random UUID (version 4) for what has no address.
fn uuid() -> String {
    let random = ulid::Ulid::generate().0;
    let bits = random & !(0xF << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_form() {
        let uuid = uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
        assert!("89ab".contains(&uuid[19..20]), "{uuid}");
    }
}
