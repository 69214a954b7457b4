//! Whether a resource has the structure of R4: names of elements, lists and single
//! values, objects and primitives (<https://hl7.org/fhir/R4/json.html>).
//!
//! The tables are those of the fhirbolt project, and this is the only file that names it.
//! It walks them itself instead of deserialising into fhirbolt's types: that gives the
//! place of a mistake, repairs nothing in silence, and needs no compiled model of 146
//! resources. Codes, dates and ids are the matter of those who read them; required
//! elements are the profiles'.

use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};
use std::sync::LazyLock;

use fhirbolt_shared::FhirReleases;
use fhirbolt_shared::path::ElementPath;
use quick_cache::sync::Cache;
use serde_json::Value;

use super::elements;
use super::narrative;
use crate::decimal;
use crate::fault::Code;
use crate::json::{self, Event, Reader};
use crate::tape::{NodeKind, Tape, View};

/// What is wrong with the structure of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// `type` or `unknown-field`.
    pub code: Code,
    /// The element, as a node of the tape.
    pub node: u32,
    /// Its path within the resource, as FHIRPath: `Patient.name[0].given`.
    pub path: String,
    /// What is expected there.
    pub expected: &'static str,
    /// Description of a value of another type.
    pub found: String,
}

/// Checks the structure of a resource.
///
/// # Errors
/// The first mistake.
pub fn check_view(resource: View) -> Result<(), Misfit> {
    let shape = shape(resource);
    if shape.is_some_and(|shape| SOUND.get(&shape).is_some()) {
        return Ok(());
    }
    if let Some(misfit) = misfits(resource).into_iter().next() {
        return Err(misfit);
    }
    if let Some(shape) = shape {
        SOUND.insert(shape, ());
    }
    Ok(())
}

/// Shapes of resources whose structure is that of R4: most resources look like one before them, and
/// a look at their shape takes a tenth of the time of a check.
static SOUND: LazyLock<Cache<u64, ()>> = LazyLock::new(|| Cache::new(SHAPES_MAX));
const SHAPES_MAX: usize = 10_000;
/// Keys of the shapes' hash, which differ from process to process: no sender can make two shapes
/// look the same.
static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Hash of all that the structure of a resource depends on: names, types, and how they are nested.
/// `None` where it depends on more (narratives, numbers with an exponent).
fn shape(resource: View) -> Option<u64> {
    let mut hasher = KEYS.build_hasher();
    let mut is_type = false;
    for node in resource.nodes() {
        let text = node.text();
        hasher.write_u8(node.kind() as u8);
        match node.kind() {
            NodeKind::Object | NodeKind::Array => hasher.write_u32(node.span()),
            NodeKind::Key if text == "div" => return None,
            NodeKind::Key => text.hash(&mut hasher),
            NodeKind::String if is_type => text.hash(&mut hasher),
            NodeKind::String => hasher.write_u8(u8::from(text.is_empty())),
            NodeKind::Number if text.len() > 30 || text.contains(['e', 'E']) => return None,
            NodeKind::Number => hasher.write_u8(u8::from(text.contains('.'))),
            NodeKind::Bool | NodeKind::Null => {}
        }
        is_type = node.kind() == NodeKind::Key && text == "resourceType";
    }
    Some(hasher.finish())
}

/// All mistakes in the structure of a resource; what stands in a wrong place is not looked
/// into.
pub fn misfits(resource: View) -> Vec<Misfit> {
    let mut walker = Walker::new();
    walker.resource(resource);
    let name = resource.text_of("resourceType").unwrap_or_default();
    walker.misfits(resource, name)
}

/// All mistakes in the structure of an entry of a Bundle but for those in its resource. Their paths
/// begin within the entry.
pub fn entry_misfits(entry: View) -> Vec<Misfit> {
    let mut walker = Walker::new();
    walker.path.push("Bundle");
    walker.path.push("entry");
    match entry.is_object() {
        false => walker.wrong(Code::Type, entry, "an object"),
        true => {
            for (name, value) in entry.members() {
                if name != "resource" {
                    walker.member(name, value);
                } else if !value.is_object() {
                    walker.wrong(Code::Type, value, "a resource");
                }
            }
        }
    }
    walker.misfits(entry, "")
}

/// Checks the structure of a resource that is a [`Value`].
///
/// # Errors
/// The first mistake.
pub fn check(resource: &Value) -> Result<(), Misfit> {
    let text = resource.to_string();
    let mut reader = Reader::new(text.as_bytes());
    let mut tape = Tape::new();
    let read = reader
        .next()
        .and_then(|first| tape.read(&mut reader, first, usize::MAX));
    match (read, tape.root()) {
        (Ok(()), Some(root)) => check_view(root),
        // Nested deeper than anything that FHIR has.
        _ => Err(Misfit {
            code: Code::Type,
            node: 0,
            path: String::new(),
            expected: "a FHIR resource",
            found: String::new(),
        }),
    }
}

/// Description of a value, for people.
fn described(view: View) -> String {
    let event = match view.kind() {
        NodeKind::Object => Event::ObjectStart,
        NodeKind::Array => Event::ArrayStart,
        NodeKind::String => Event::String,
        NodeKind::Number => Event::Number,
        NodeKind::Bool => Event::Bool,
        NodeKind::Null => Event::Null,
        NodeKind::Key => Event::Key,
    };
    json::described(event, view.text())
}

struct Wrong {
    code: Code,
    node: u32,
    expected: &'static str,
    /// Description of what is found where the value itself does not tell it.
    found: Option<String>,
}

struct Walker {
    path: ElementPath,
    found: Vec<Wrong>,
}

impl Walker {
    fn new() -> Walker {
        Walker {
            path: ElementPath::new(FhirReleases::R4),
            found: Vec::new(),
        }
    }

    /// The mistakes that were found below `root`, whose path is `name`.
    fn misfits(self, root: View, name: &str) -> Vec<Misfit> {
        let found = self.found.into_iter().map(|wrong| {
            let Wrong {
                code,
                node,
                expected,
                found,
            } = wrong;
            let mut path = String::new();
            root.path_to(node, &mut path);
            Misfit {
                code,
                node,
                path: name.to_owned() + &elements::fhir_path(&path),
                expected,
                found: found.unwrap_or_else(|| match code {
                    Code::Type => described(root.at(node)),
                    _ => String::new(),
                }),
            }
        });
        found.collect()
    }

    fn wrong(&mut self, code: Code, view: View, expected: &'static str) {
        self.found.push(Wrong {
            code,
            node: view.node(),
            expected,
            found: None,
        });
    }

    fn resource(&mut self, view: View) {
        let Some(kind) = view.text_of("resourceType") else {
            return self.wrong(Code::Type, view, "a resource with its resourceType");
        };
        self.path.push(kind);
        if self.path.children().is_none() {
            let at = view.get("resourceType").unwrap_or(view);
            self.wrong(Code::Type, at, "a resource type of R4");
        } else {
            for (name, value) in view.members() {
                if name != "resourceType" {
                    self.member(name, value);
                }
            }
            self.choices(view);
        }
        self.path.pop();
    }

    fn element(&mut self, view: View) {
        if !view.is_object() {
            return self.wrong(Code::Type, view, "an object");
        }
        if view.members().next().is_none() {
            return self.wrong(Code::Type, view, "an object that is not empty");
        }
        if self.path.current_element_is_resource() {
            return self.resource(view);
        }
        for (name, value) in view.members() {
            self.member(name, value);
        }
        self.choices(view);
    }

    /// An element of several types has one of them: `value[x]` is one member.
    fn choices(&mut self, view: View) {
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for (name, value) in view.members() {
            let name = name.strip_prefix('_').unwrap_or(name);
            let element = elements::name_of(name);
            if element == name {
                continue;
            }
            if seen
                .iter()
                .any(|(e, other)| *e == element && *other != name)
            {
                self.wrong(Code::Type, value, "an element of one type");
            }
            seen.push((element, name));
        }
    }

    fn member(&mut self, name: &str, value: View) {
        let (name, beside) = match name.strip_prefix('_') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let known = self.path.children().is_some_and(|set| set.contains(name));
        if !known {
            return self.wrong(Code::UnknownField, value, "an element of R4");
        }
        // The tables do not list the url of an extension among the primitives.
        let is_url = name == "url" && self.path.current_element_is_extension();
        self.path.push(name);
        let primitive = is_url || self.path.current_element_is_primitive();
        let list = self.path.current_element_is_sequence();
        match (list, value.kind()) {
            _ if beside && !primitive => {
                self.wrong(Code::UnknownField, value, "an element of R4");
            }
            (true, NodeKind::Array) => {
                if value.items().next().is_none() {
                    self.wrong(Code::Type, value, "a list that is not empty");
                }
                for item in value.items() {
                    // In lists of primitives, null keeps values and extensions in step.
                    if !(primitive && item.kind() == NodeKind::Null) {
                        self.single(item, primitive, beside);
                    }
                }
            }
            (true, _) => self.wrong(Code::Type, value, "a list"),
            (false, NodeKind::Array) => self.wrong(Code::Type, value, "a single value"),
            (false, _) => self.single(value, primitive, beside),
        }
        self.path.pop();
    }

    fn single(&mut self, value: View, primitive: bool, beside: bool) {
        if beside {
            return self.beside(value);
        }
        let name = self.path.current_element();
        if !primitive {
            // Every other element of this name is a string.
            if name == Some("text") {
                self.narrative(value);
            }
            return self.element(value);
        }
        let is_xhtml = name == Some("div");
        let path = &self.path;
        let integer = path.current_element_is_integer()
            || path.current_element_is_unsigned_integer()
            || path.current_element_is_positive_integer();
        let (fits, expected) = if path.current_element_is_boolean() {
            (value.kind() == NodeKind::Bool, "true or false")
        } else if integer {
            let whole = !value.text().contains(['.', 'e', 'E']);
            (value.kind() == NodeKind::Number && whole, "an integer")
        } else if path.current_element_is_decimal() {
            (value.kind() == NodeKind::Number, "a number")
        } else {
            let filled = !value.text().is_empty();
            (value.kind() == NodeKind::String && filled, "a string")
        };
        if !fits {
            self.wrong(Code::Type, value, expected);
        } else if value.kind() == NodeKind::Number && decimal::written_out(value.text()).is_none() {
            self.wrong(
                Code::Digits,
                value,
                "at most 1000 digits, written without an exponent",
            );
        } else if is_xhtml && let Err(mistake) = narrative::check(value.text()) {
            self.found.push(Wrong {
                code: Code::Type,
                node: value.node(),
                expected: mistake.expected,
                found: Some(mistake.found),
            });
        }
    }

    /// A `Narrative` has its status and its content.
    fn narrative(&mut self, view: View) {
        const STATUS: &[&str] = &["generated", "extensions", "additional", "empty"];
        if !view.is_object() {
            return;
        }
        if view.get("div").is_none() {
            self.wrong(Code::Type, view, "a narrative with its div");
        }
        match view.get("status") {
            None => self.wrong(Code::Type, view, "a narrative with its status"),
            Some(status)
                if status.kind() == NodeKind::String && !STATUS.contains(&status.text()) =>
            {
                self.wrong(
                    Code::Type,
                    status,
                    "generated, extensions, additional or empty",
                );
            }
            Some(_) => {}
        }
    }

    /// `_birthDate`: id and extensions of a primitive.
    fn beside(&mut self, value: View) {
        if !value.is_object() {
            return self.wrong(Code::Type, value, "an object");
        }
        if value.members().next().is_none() {
            return self.wrong(Code::Type, value, "an object that is not empty");
        }
        for (name, member) in value.members() {
            match name {
                "id" if member.kind() == NodeKind::String => {}
                "extension" if member.kind() != NodeKind::Array => {
                    self.wrong(Code::Type, member, "a list");
                }
                "extension" if member.items().next().is_none() => {
                    self.wrong(Code::Type, member, "a list that is not empty");
                }
                "extension" => {
                    self.path.push(name);
                    member.items().for_each(|item| self.element(item));
                    self.path.pop();
                }
                _ => self.wrong(Code::UnknownField, member, "id or extension"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> (Code, String) {
        let value: Value = serde_json::from_str(text).unwrap();
        let misfit = check(&value).unwrap_err();
        (misfit.code, misfit.path)
    }

    #[test]
    fn the_golden_resources_have_the_structure_of_r4() {
        let mut checked = 0;
        for folder in std::fs::read_dir("tests/golden").unwrap() {
            for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let text = std::fs::read_to_string(&path).unwrap();
                let value: Value = serde_json::from_str(&text).unwrap();
                if value.get("resourceType").is_some() {
                    assert_eq!(check(&value), Ok(()), "{}", path.display());
                    checked += 1;
                }
            }
        }
        assert!(checked > 10);
    }

    #[test]
    fn mistakes_are_found_with_their_path() {
        for (text, code, path) in [
            (
                r#"{"resourceType":"Patient","nam":[]}"#,
                Code::UnknownField,
                "Patient.nam",
            ),
            (
                r#"{"resourceType":"Patient","name":{"text":"x"}}"#,
                Code::Type,
                "Patient.name",
            ),
            (
                r#"{"resourceType":"Patient","name":[{"text":["x"]}]}"#,
                Code::Type,
                "Patient.name[0].text",
            ),
            (
                r#"{"resourceType":"Observation","valueQuantity":{"value":"6.5"}}"#,
                Code::Type,
                "Observation.value.value",
            ),
            (
                r#"{"resourceType":"Patient","active":"true"}"#,
                Code::Type,
                "Patient.active",
            ),
            (
                r#"{"resourceType":"Patient","contained":[{"resourceType":"Device","x":1}]}"#,
                Code::UnknownField,
                "Patient.contained[0].x",
            ),
            (
                r#"{"resourceType":"Nothing"}"#,
                Code::Type,
                "Nothing.resourceType",
            ),
            (
                r#"{"resourceType":"Patient","_name":[{"id":"x"}]}"#,
                Code::UnknownField,
                "Patient._name",
            ),
            (r#"[]"#, Code::Type, ""),
        ] {
            assert_eq!(wrong(text), (code, path.to_owned()), "{text}");
        }
    }

    #[test]
    fn all_mistakes_are_told() {
        let text = r#"{"resourceType":"Patient","nam":[],"active":"x","name":[{"text":1},7],
            "contained":[{"resourceType":"Nothing"},{"resourceType":"Device","status":1}]}"#;
        let mut reader = Reader::new(text.as_bytes());
        let mut tape = Tape::new();
        let first = reader.next().unwrap();
        tape.read(&mut reader, first, usize::MAX).unwrap();
        let paths: Vec<String> = misfits(tape.root().unwrap())
            .into_iter()
            .map(|m| m.path)
            .collect();
        assert_eq!(
            paths,
            [
                "Patient.nam",
                "Patient.active",
                "Patient.name[0].text",
                "Patient.name[1]",
                "Patient.contained[0].resourceType",
                "Patient.contained[1].status",
            ]
        );
    }

    #[test]
    fn extensions_of_primitives_and_nested_extensions_are_fine() {
        let text = r#"{"resourceType":"Patient","birthDate":"1961-04",
            "_birthDate":{"extension":[{"url":"u","valueDateTime":"1961-04-01T01:00:00Z"}]},
            "name":[{"given":["a",null],"_given":[null,{"id":"x"}]}],
            "extension":[{"url":"a","extension":[{"url":"b","valueQuantity":{"value":6E1}}]}]}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(check(&value), Ok(()));
    }
}
