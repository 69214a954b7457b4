//! A Bundle whose entries are requests: batch and transaction
//! (<https://hl7.org/fhir/R4/http.html#transaction>).
//!
//! Resources that are written are taken as they come; of the rest of an entry its request is
//! kept, and of a resource that is no content of ours (a patch, parameters) its bytes.

use std::io::Read;

use crate::fault::Place;
use crate::json::{self, Event, Reader};
use crate::kind::Kinds;
use crate::tape::{Tape, View};

use super::document::Tapes;
use super::{Head, Inbound, Options, Spot, Taken};

/// What an entry asks for.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// `fullUrl`
    pub full_url: String,
    /// `request.method`; empty where there is no request.
    pub method: String,
    /// `request.url`
    pub url: String,
    /// `request.ifMatch`
    pub if_match: Option<String>,
    /// `request.ifNoneMatch`
    pub if_none_match: Option<String>,
    /// `request.ifModifiedSince`
    pub if_modified_since: Option<String>,
    /// `request.ifNoneExist`
    pub if_none_exist: Option<String>,
    /// What its resource says it is; empty where it has none.
    pub head: Head,
    /// Its resource, where it was not taken.
    pub resource: Option<Vec<u8>>,
    /// Where it stands.
    pub place: Place,
}

/// A Bundle of requests.
pub struct Requests {
    /// `Bundle.type`
    pub bundle_type: String,
    /// Its entries; those beyond the limit are counted only.
    pub entries: Vec<Entry>,
    /// How many entries it has.
    pub count: usize,
    /// The resources of its entries.
    pub taken: Taken,
}

/// Reads a Bundle of requests, of which at most `max` are kept.
///
/// # Errors
/// [`json::Error`] where it is no JSON object, or something follows it.
pub fn read_requests(
    kinds: &Kinds,
    options: Options,
    max: usize,
    source: impl Read,
) -> json::Result<Requests> {
    let mut reader = Reader::new(source);
    let mut inbound = Inbound::new(kinds, options);
    inbound.requests_max = max;
    let mut tapes = Tapes::default();
    if reader.next_document()? != Event::ObjectStart {
        return Err(json::Error::Syntax {
            place: reader.place(),
            reason: "a Bundle is expected",
        });
    }
    inbound.document(&mut reader, &mut tapes)?;
    if reader.next_document()? != Event::End {
        return Err(json::Error::Syntax {
            place: reader.place(),
            reason: "one Bundle is expected, and nothing after it",
        });
    }
    let head = tapes.document.root().map(Head::of).unwrap_or_default();
    let bundle_type = match head.resource_type.as_str() {
        "Bundle" => tapes.document.root().and_then(|root| root.text_of("type")),
        _ => None,
    };
    Ok(Requests {
        bundle_type: bundle_type.unwrap_or_default().to_owned(),
        entries: std::mem::take(&mut inbound.requests),
        count: inbound.requests_count,
        taken: inbound.pause(),
    })
}

impl Inbound<'_> {
    /// Takes an entry that is a request.
    pub(super) fn request(&mut self, tape: &Tape, root: View, index: u32) {
        self.requests_count = self.requests_count.max(index as usize + 1);
        if index as usize >= self.requests_max {
            return;
        }
        let mut entry = Entry {
            full_url: root.text_of("fullUrl").unwrap_or_default().to_owned(),
            place: root.place(),
            ..Entry::default()
        };
        if let Some(request) = root.get("request") {
            let text = |name| request.text_of(name).map(str::to_owned);
            entry.method = text("method").unwrap_or_default();
            entry.url = text("url").unwrap_or_default();
            entry.if_match = text("ifMatch");
            entry.if_none_match = text("ifNoneMatch");
            entry.if_modified_since = text("ifModifiedSince");
            entry.if_none_exist = text("ifNoneExist");
        }
        if let Some(resource) = root.get("resource") {
            entry.head = Head::of(resource);
            let written = matches!(entry.method.as_str(), "POST" | "PUT");
            // `[type]/_search` and operations take what is no content of ours.
            let is_operation = entry.url.contains(['$', '_']) && entry.method == "POST";
            let spot = Spot {
                entry: Some(index),
                full_url: root.text_of("fullUrl").unwrap_or_default(),
            };
            self.about(spot);
            if written && !is_operation && is_ours(&entry.head.resource_type) {
                if !self.has_repeated_keys(tape, resource, spot) {
                    self.take(resource, spot);
                }
            } else {
                // It is not written, but others of the Bundle may go by it.
                self.has_repeated_keys(tape, resource, spot);
                self.inform(&entry.head.resource_type, resource, spot);
                let mut bytes = Vec::new();
                resource.write(&mut bytes);
                entry.resource = Some(bytes);
            }
        }
        self.requests.push(entry);
    }
}

/// Whether resources of this type become something here, or are referred to.
fn is_ours(resource_type: &str) -> bool {
    matches!(
        resource_type,
        "Observation"
            | "Patient"
            | "ResearchSubject"
            | "Device"
            | "DeviceDefinition"
            | "Organization"
    )
}
