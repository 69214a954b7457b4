//! Record kinds: what the mapping files say, read once at the start.
//!
//! A [`Kind`] is one mapping file: its fields and rules for the protocol side, its
//! compiled [`Mapping`] for the FHIR side. [`Kinds`] is the set that a program runs
//! with: the files embedded in the program, and those of `--mappings DIR`, which add
//! kinds or replace those of the same name. Nothing else in the program knows how
//! many kinds there are, or their names.

mod file;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::fhir::canonical::Canonical;
use crate::fhir::id::{self, Hash96};
use crate::mapping::backward::CodeIndex;
use crate::mapping::{Mapping, Node};

pub use file::{MappingFault, MappingFaults};

/// A text in both languages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Title {
    /// Japanese, as the protocol's tables write it.
    pub ja: String,
    /// English.
    pub en: String,
}

/// The type of a field (protocol specification §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `yyyyMMddHHmmss`, JST; the cell is seconds since the epoch.
    Time14,
    /// `yyyyMMddHHmmssSSS`, JST; the cell is milliseconds since the epoch.
    Time17,
    /// A number of at most `digits` characters and `decimals` decimals (0 for an integer).
    Number {
        /// Characters as printed, the point included.
        digits: u8,
        /// Decimals at most.
        decimals: u8,
        /// `int(n)`: a fraction is refused even where it is zero.
        integer: bool,
    },
    /// A string of 1 to `max` characters; the cell is a place in the texts.
    Text {
        /// Characters at most, after NFC.
        max: u16,
    },
    /// One of the listed codes; the cell is its place in the list.
    Code,
}

impl Type {
    /// Whether cells of this type are numbers with written decimals.
    pub fn is_number(self) -> bool {
        matches!(self, Type::Number { .. })
    }

    /// Whether it is a free text.
    pub fn is_text(self) -> bool {
        matches!(self, Type::Text { .. })
    }

    /// The decimals of a number, 0 otherwise.
    pub fn decimals(self) -> u8 {
        match self {
            Type::Number { decimals, .. } => decimals,
            _ => 0,
        }
    }

    /// The type as mapping files write it.
    pub fn name(self) -> String {
        match self {
            Type::Time14 => "time14".into(),
            Type::Time17 => "time17".into(),
            Type::Number {
                digits,
                integer: true,
                ..
            } => format!("int({digits})"),
            Type::Number {
                digits, decimals, ..
            } => format!("dec({digits},{decimals})"),
            Type::Text { max } => format!("str({max})"),
            Type::Code => "code".into(),
        }
    }
}

/// One code of a coded field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeItem {
    /// The code.
    pub code: String,
    /// What it means.
    pub title: Title,
}

/// The edition of the protocol, which decides some field names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Edition {
    /// The 2016 definition (`input_method_code`).
    E2016,
    /// The 2017 definition (`data_input_code`), the default.
    #[default]
    E2017,
}

impl Edition {
    /// `2016` or `2017`.
    pub fn as_str(self) -> &'static str {
        match self {
            Edition::E2016 => "2016",
            Edition::E2017 => "2017",
        }
    }

    /// The edition named so.
    pub fn parse(text: &str) -> Option<Edition> {
        match text {
            "2016" => Some(Edition::E2016),
            "2017" => Some(Edition::E2017),
            _ => None,
        }
    }
}

/// One field of a record kind.
#[derive(Debug, Clone)]
pub struct Field {
    /// The physical name.
    pub name: String,
    /// Names taken on the way in with an `alias-used` warning and never written.
    pub aliases: Vec<String>,
    /// The name in the 2016 edition, where it differs.
    pub name_2016: Option<String>,
    /// Type and size.
    pub ty: Type,
    /// Whether a record needs it.
    pub required: bool,
    /// Bounds beyond which a value is warned about, scaled like the cells.
    pub plausible: Option<(i64, i64)>,
    /// The bounds as written in the file.
    pub plausible_text: (String, String),
    /// The codes of a coded field.
    pub codes: Vec<CodeItem>,
    /// What the field is called.
    pub title: Title,
    /// The unit, for people.
    pub unit: String,
    /// Whether the store indexes (kind, value).
    pub indexed: bool,
}

impl Field {
    /// The name in an edition.
    pub fn name_in(&self, edition: Edition) -> &str {
        match (edition, &self.name_2016) {
            (Edition::E2016, Some(name)) => name,
            _ => &self.name,
        }
    }

    /// The place of a code in the list.
    pub fn code_place(&self, code: &str) -> Option<usize> {
        self.codes.iter().position(|item| item.code == code)
    }
}

/// How `000000` in an `observation_time` is understood (mapping specification §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Midnight {
    /// The whole day: `effectiveDateTime` is a date.
    Day,
    /// The instant at midnight.
    Instant,
}

/// How many fields of a record keep the place of their values: see [`Kind::located`].
pub const LOCATED: usize = 3;

/// One record kind.
#[derive(Debug)]
pub struct Kind {
    /// Its place in [`Kinds`].
    pub place: usize,
    /// The name: a code of `B/CodeSystem/record-kind`.
    pub name: String,
    /// Its place among the others in listings and exports.
    pub order: i64,
    /// The object of `person_information` that holds its array.
    pub section: String,
    /// The array.
    pub array: String,
    /// What it is called.
    pub title: Title,
    /// The fields, in the order in which they are written.
    pub fields: Vec<Field>,
    /// Field by any of its names; the flag tells an alias.
    pub names: HashMap<String, (usize, bool), foldhash::fast::RandomState>,
    /// What midnight means.
    pub midnight: Midnight,
    /// The field `observation_time`.
    pub time: usize,
    /// The field `update_time`.
    pub update: usize,
    /// Maker, model and serial, for kinds measured by a device.
    pub device: Option<[usize; 3]>,
    /// `test_lab_id`, for check-up kinds.
    pub laboratory: Option<usize>,
    /// The field that is the source in a record's identity.
    pub source: Option<usize>,
    /// Pairs of which the first should be above the second; equal is warned about too.
    pub above: Vec<(usize, usize)>,
    /// Pairs of which the first should not be above the second; equal is fine.
    pub not_above: Vec<(usize, usize)>,
    /// Fields whose texts are codes of a registry list: field, list.
    pub registered: Vec<(usize, String)>,
    /// 24 bits of the name, as Observation ids carry them.
    pub hash: [u8; 3],
    /// The FHIR side.
    pub mapping: Mapping,
}

impl Kind {
    /// The field with this physical name (not an alias).
    pub fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name == name)
    }

    /// The fields whose values are judged again after a submission was read: the time (by a
    /// `send_time` that comes later, by the participation), the device model or laboratory,
    /// and the first field that names a row of a list.
    pub fn located(&self) -> [Option<usize>; LOCATED] {
        let source = self.device.map(|[_, model, _]| model).or(self.laboratory);
        let listed = self.registered.first().map(|&(field, _)| field);
        [Some(self.time), source, listed]
    }

    /// Whether an `observation_time` of this kind stands for its whole day.
    pub fn is_day(&self, seconds: i64) -> bool {
        self.midnight == Midnight::Day && crate::time::is_midnight(seconds)
    }
}

/// Code systems by their short names, with the aliases taken on the way in.
#[derive(Debug, Default)]
pub struct Systems {
    short: HashMap<String, String>,
    aliases: HashMap<String, String, foldhash::fast::RandomState>,
}

impl Systems {
    /// The system of a short name such as `loinc`.
    pub fn get(&self, short: &str) -> Option<&str> {
        self.short.get(short).map(String::as_str)
    }

    /// The system as we write it, for one of its aliases or itself.
    pub fn canonical<'a>(&'a self, system: &'a str) -> &'a str {
        self.aliases.get(system).map_or(system, String::as_str)
    }
}

/// All record kinds of a running program.
#[derive(Debug)]
pub struct Kinds {
    /// Code systems under the canonical base that Observations use.
    own_systems: HashSet<String>,
    list: Vec<Arc<Kind>>,
    by_name: HashMap<String, usize>,
    /// The sections of `person_information`, in the order in which they are written.
    pub sections: Vec<String>,
    /// Code systems and their aliases.
    pub systems: Systems,
    /// The project's canonical strings.
    pub canonical: Canonical,
    /// What the codes of Observations mean.
    pub codes: CodeIndex,
    /// Digest of the mapping files and the canonical base: the same where the kinds are.
    pub digest: Hash96,
}

impl Kinds {
    /// The kinds of the embedded files and of `dir`, which adds kinds or replaces those of
    /// the same name.
    ///
    /// # Errors
    /// Every fault of every file, with file, JSON pointer and reason.
    pub fn load(dir: Option<&Path>, canonical: Canonical) -> Result<Kinds, MappingFaults> {
        file::load(dir, canonical)
    }

    /// The embedded kinds alone.
    ///
    /// # Errors
    /// As [`Kinds::load`]; the embedded files have none.
    pub fn embedded() -> Result<Kinds, MappingFaults> {
        Kinds::load(None, Canonical::default())
    }

    fn new(list: Vec<Arc<Kind>>, systems: Systems, canonical: Canonical, digest: Hash96) -> Kinds {
        let mut sections = Vec::new();
        for kind in &list {
            if !sections.contains(&kind.section) {
                sections.push(kind.section.clone());
            }
        }
        let mut own_systems = HashSet::new();
        for kind in &list {
            systems_of(&kind.mapping.panel.root, canonical.base(), &mut own_systems);
        }
        Kinds {
            own_systems,
            by_name: list.iter().map(|k| (k.name.clone(), k.place)).collect(),
            codes: CodeIndex::new(&list),
            list,
            sections,
            systems,
            canonical,
            digest,
        }
    }

    /// All kinds, in the order of listings.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Kind>> {
        self.list.iter()
    }

    /// The kind at a place.
    pub fn at(&self, place: usize) -> &Arc<Kind> {
        &self.list[place]
    }

    /// How many kinds there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The kind of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Kind>> {
        self.by_name.get(name).map(|&i| &self.list[i])
    }

    /// The kind whose records stand in this array of this section.
    pub fn at_path(&self, section: &str, array: &str) -> Option<&Arc<Kind>> {
        self.list
            .iter()
            .find(|k| k.section == section && k.array == array)
    }

    /// Whether this is a code system under the canonical base that Observations use.
    pub fn has_system(&self, system: &str) -> bool {
        self.own_systems.contains(system)
    }

    /// The kind with this 24-bit hash.
    pub fn by_hash(&self, hash: [u8; 3]) -> Option<&Arc<Kind>> {
        self.list.iter().find(|k| k.hash == hash)
    }
}

/// The code systems of a template that stand under the base.
fn systems_of(node: &Node, base: &str, out: &mut HashSet<String>) {
    match node {
        Node::Object(members) => {
            let system = node.get("system").and_then(Node::constant);
            let own = system.filter(|s| s.starts_with(base) && s.contains("/CodeSystem/"));
            out.extend(own.map(str::to_owned));
            members.iter().for_each(|(_, n)| systems_of(n, base, out));
        }
        Node::Array(items) => items.iter().for_each(|n| systems_of(n, base, out)),
        Node::Const(_) | Node::Hole(_) => {}
    }
}

fn hash_of(name: &str) -> [u8; 3] {
    id::kind_hash(name)
}

#[cfg(test)]
mod tests;
