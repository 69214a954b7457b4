//! The structure of a Bundle around its resources
//! (<https://hl7.org/fhir/R4/bundle.html>).

use std::collections::HashSet;

use super::{Inbound, REPEATED_MAX};
use crate::fault::{Code, Fault};
use crate::fhir::check::{self, Misfit};
use crate::fhir::elements;
use crate::tape::{Tape, View};

/// Faults of one Bundle that are told at most.
const FAULTS_MAX: usize = 100;

/// Addresses of the entries of a Bundle, which have to differ.
#[derive(Default)]
pub(super) struct FullUrls {
    /// `fullUrl` and version of each.
    seen: HashSet<String>,
    /// Faults of those that stand twice, which a history may have.
    doubled: Vec<Fault>,
}

impl Inbound<'_> {
    /// Checks an entry but for its resource.
    pub(super) fn check_entry(&mut self, tape: &Tape, entry: View, index: u32) {
        let at = |path: &str| format!("Bundle.entry[{index}]{}", elements::fhir_path(path));
        let mut faults = Vec::new();
        for value in tape.repeated().take(REPEATED_MAX) {
            let mut path = String::new();
            entry.path_to(value.node(), &mut path);
            let path = at(&path);
            if !path.contains("].resource.") {
                faults.push(Fault::new(Code::DuplicateKey, path, value.place()));
            }
        }
        for misfit in check::entry_misfits(entry) {
            let path = format!("Bundle.entry[{index}]{}", misfit.path);
            faults.push(fault(&misfit, path, entry));
        }
        if let Some(view) = entry.get("fullUrl")
            && let Some(full_url) = view.string()
        {
            let uuid = full_url.strip_prefix("urn:uuid:");
            if uuid.is_some_and(|uuid| !is_uuid(uuid)) {
                let fault = Fault::new(Code::Type, at(".fullUrl"), view.place());
                faults.push(fault.expected("urn:uuid: and a UUID").found(full_url));
            }
            let meta = entry.get("resource").and_then(|r| r.get("meta"));
            let version = meta.and_then(|meta| meta.text_of("versionId"));
            let identity = [full_url, version.unwrap_or_default()].join("\n");
            if !self.full_urls.seen.insert(identity) && self.full_urls.doubled.len() < FAULTS_MAX {
                let fault = Fault::new(Code::DuplicateIdentity, at(".fullUrl"), view.place())
                    .expected("a fullUrl that no other entry has (bdl-7)")
                    .found(full_url);
                self.full_urls.doubled.push(fault);
            }
        }
        self.push_of_bundle(faults);
    }

    /// Checks a Bundle but for its entries.
    pub(super) fn check_bundle(&mut self, tape: &Tape, bundle: View) {
        let mut faults = Vec::new();
        for value in tape.repeated().take(REPEATED_MAX) {
            let mut path = String::new();
            bundle.path_to(value.node(), &mut path);
            let path = format!("Bundle{}", elements::fhir_path(&path));
            faults.push(Fault::new(Code::DuplicateKey, path, value.place()));
        }
        for misfit in check::misfits(bundle) {
            faults.push(fault(&misfit, misfit.path.clone(), bundle));
        }
        let full_urls = std::mem::take(&mut self.full_urls);
        if bundle.text_of("type") != Some("history") {
            faults.extend(full_urls.doubled);
        }
        self.push_of_bundle(faults);
    }

    /// Tells faults that are about the Bundle and none of its resources.
    fn push_of_bundle(&mut self, faults: Vec<Fault>) {
        self.taken.outcome.about_none();
        for fault in faults.into_iter().take(FAULTS_MAX) {
            self.taken.outcome.push(fault);
        }
    }
}

fn fault(misfit: &Misfit, path: String, root: View) -> Fault {
    Fault::new(misfit.code, path, root.at(misfit.node).place())
        .expected(misfit.expected)
        .found(&misfit.found)
}

/// Whether a text is a UUID (RFC 4122 §3).
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_five_groups_of_hexadecimal_digits() {
        for (text, is_one) in [
            ("00000000-0000-4000-8000-000000000002", true),
            ("5D9E3F4E-4a51-4d6f-9a55-9f0a3ad7a009", true),
            ("", false),
            ("0", false),
            ("00000000-0000-4000-8000-00000000000g", false),
            ("00000000-0000-4000-8000-0000000000020", false),
            ("00000000_0000-4000-8000-000000000002", false),
        ] {
            assert_eq!(is_uuid(text), is_one, "{text}");
        }
    }
}
