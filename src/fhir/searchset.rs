//! Pages as Bundles, written entry by entry (<https://hl7.org/fhir/R4/bundle.html>).

use crate::json;

/// What stands before the entries.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// `searchset` or `history`.
    pub bundle_type: &'a str,
    /// The number of matches, where it was asked for.
    pub total: Option<u64>,
    /// Links: relation and address.
    pub links: &'a [(&'a str, String)],
}

/// A Bundle in the making.
pub struct Page {
    out: Vec<u8>,
    any: bool,
}

impl Page {
    /// Begins a Bundle.
    pub fn new(head: &Head) -> Page {
        let mut out = Vec::with_capacity(64 << 10);
        out.extend_from_slice(b"{\"resourceType\":\"Bundle\",\"type\":");
        json::string_into(&mut out, head.bundle_type);
        if let Some(total) = head.total {
            out.extend_from_slice(b",\"total\":");
            out.extend_from_slice(total.to_string().as_bytes());
        }
        for (i, (relation, url)) in head.links.iter().enumerate() {
            out.extend_from_slice(if i == 0 { b",\"link\":[" } else { b"," });
            out.extend_from_slice(b"{\"relation\":");
            json::string_into(&mut out, relation);
            out.extend_from_slice(b",\"url\":");
            json::string_into(&mut out, url);
            out.push(b'}');
        }
        if !head.links.is_empty() {
            out.push(b']');
        }
        Page { out, any: false }
    }

    /// Adds an entry; `write` writes its members after `fullUrl`, each with a comma before it.
    pub fn entry(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        // FHIR has no empty arrays.
        self.out
            .extend_from_slice(if self.any { b",{" } else { b",\"entry\":[{" });
        self.any = true;
        write(&mut self.out);
        self.out.push(b'}');
    }

    /// Makes room for so many more bytes.
    pub fn reserve(&mut self, more: usize) {
        self.out.reserve(more);
    }

    /// Adds a match, or what else a search gives, by its mode.
    pub fn found(&mut self, full_url: &str, mode: &str, resource: impl FnOnce(&mut Vec<u8>)) {
        self.entry(|out| {
            out.extend_from_slice(b"\"fullUrl\":");
            json::string_into(out, full_url);
            out.extend_from_slice(b",\"resource\":");
            resource(out);
            out.extend_from_slice(b",\"search\":{\"mode\":\"");
            out.extend_from_slice(mode.as_bytes());
            out.extend_from_slice(b"\"}");
        });
    }

    /// The Bundle.
    pub fn done(mut self) -> Vec<u8> {
        if self.any {
            self.out.push(b']');
        }
        self.out.push(b'}');
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_page_has_no_entry_and_no_total() {
        let page = Page::new(&Head {
            bundle_type: "searchset",
            total: None,
            links: &[("self", "http://h/fhir/Patient".to_owned())],
        });
        assert_eq!(
            String::from_utf8(page.done()).unwrap(),
            r#"{"resourceType":"Bundle","type":"searchset","link":[{"relation":"self","url":"http://h/fhir/Patient"}]}"#
        );
    }

    #[test]
    fn entries_follow_each_other() {
        let mut page = Page::new(&Head {
            bundle_type: "searchset",
            total: Some(2),
            links: &[],
        });
        for id in ["a", "b"] {
            page.found(&format!("http://h/{id}"), "match", |out| {
                out.extend_from_slice(b"{}")
            });
        }
        let value: serde_json::Value = serde_json::from_slice(&page.done()).unwrap();
        assert_eq!(value["entry"][1]["fullUrl"], "http://h/b");
        assert_eq!(value["total"], 2);
    }
}
