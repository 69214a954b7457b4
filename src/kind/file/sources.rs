//! The files: those embedded in the program, and those of `--mappings DIR`.

use std::path::Path;

use include_dir::{Dir, include_dir};

use super::{MappingFault, fault};

static EMBEDDED: Dir = include_dir!("$CARGO_MANIFEST_DIR/mappings");

/// The text of a file, before anything is known of it.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: Vec<u8>,
    /// Whether it stands in `--mappings DIR`.
    pub(super) added: bool,
}

/// The embedded files (`optional/` left out), then those of `dir`.
pub(super) fn sources(dir: Option<&Path>, faults: &mut Vec<MappingFault>) -> Vec<Source> {
    let is_json = |path: &Path| path.extension().is_some_and(|e| e == "json");
    let mut out: Vec<Source> = EMBEDDED
        .files()
        .filter(|f| is_json(f.path()))
        .map(|f| Source {
            name: format!("mappings/{}", f.path().display()),
            text: f.contents().to_vec(),
            added: false,
        })
        .collect();
    let Some(dir) = dir else { return out };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) => {
            faults.push(fault(&dir.display().to_string(), "", e.to_string()));
            return out;
        }
    };
    let mut paths: Vec<_> = entries
        .filter_map(Result::ok)
        .map(|e| e.path())
        .filter(|p| is_json(p))
        .collect();
    paths.sort();
    for path in paths {
        let name = path.display().to_string();
        match std::fs::read(&path) {
            Ok(text) => out.push(Source {
                name,
                text,
                added: true,
            }),
            Err(e) => faults.push(fault(&name, "", e.to_string())),
        }
    }
    out
}
