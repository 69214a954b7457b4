//! kenko-fhir: the bridge between Japan's health information exchange protocol and FHIR R4.
//!
//! The data's way, which `ARCHITECTURE.md` draws: [`exchange`] reads a submission into rows of
//! [`record`] cells and collects every [`fault`]; [`registry`] judges it against the six lists;
//! [`store`] keeps it; [`mapping`] fills the holes of a [`kind`]'s Observation, or reads them;
//! [`fhir`] makes Bundles and resources of it and takes FHIR in. [`cli`] and [`http`] are the
//! two faces.
//!
//! ```
//! use kenko_fhir::exchange;
//! use kenko_fhir::fhir::{bundle, inbound};
//! use kenko_fhir::kind::{Edition, Kinds};
//! use kenko_fhir::registry::Registries;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kinds = Kinds::embedded()?;
//! let text = std::fs::read("examples/first.json")?;
//! let submission = exchange::read(&kinds, exchange::Options::default(), &text[..])?;
//! assert!(!submission.has_errors());
//!
//! let registries = Registries::new();
//! let options = bundle::Options {
//!     shape: bundle::Shape::Panel,
//!     edition: Edition::E2017,
//!     base_url: "",
//!     registries: &registries,
//! };
//! let fhir = bundle::write_collection(Vec::new(), &kinds, &submission, &options)?;
//!
//! let input = inbound::read_any(&kinds, inbound::Options::default(), &fhir[..])?;
//! let (back, outcome) = input.finish(&kinds, inbound::Known::of(&registries));
//! assert!(!outcome.has_errors());
//! let normal = |s| exchange::write(Vec::new(), &kinds, s, Edition::E2017);
//! assert_eq!(normal(&back[0])?, normal(&submission)?);
//! # Ok(())
//! # }
//! ```

pub mod cli;
pub mod config;
pub mod decimal;
pub mod exchange;
pub mod fault;
pub mod fhir;
pub mod fold;
pub mod http;
pub mod json;
pub mod kind;
pub mod mapping;
pub mod metrics;
pub mod record;
pub mod registry;
pub mod store;
pub mod synth;
pub mod tape;
pub mod time;

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, out);
            } else {
                out.push(path);
            }
        }
    }

    #[test]
    fn each_foreign_crate_is_named_in_its_own_room_only() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        sources(&root, &mut files);
        for (name, room) in [
            ("sqlx::", "store/"),
            ("rusqlite::", "store/"),
            ("axum::", "http/"),
            ("fhirbolt_shared::", "fhir/check.rs"),
            ("jsonschema::", "kind/"),
            ("metrics_exporter_prometheus::", "metrics.rs"),
            ("metrics_process::", "metrics.rs"),
            ("quick_xml::", "fhir/narrative.rs"),
            ("crate::http", "http/ cli/"),
        ] {
            let mut met = 0;
            for file in &files {
                let inside = file
                    .strip_prefix(&root)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                let text = std::fs::read_to_string(file).unwrap();
                let named = text
                    .lines()
                    .any(|line| !line.trim_start().starts_with("//") && line.contains(name));
                if named && inside != "lib.rs" {
                    let at_home = room.split(' ').any(|room| inside.starts_with(room));
                    assert!(at_home, "{inside} names {name}, which belongs to {room}");
                    met += 1;
                }
            }
            assert!(
                met > 0,
                "nobody names {name}: the test looks for the wrong thing"
            );
        }
    }
}
