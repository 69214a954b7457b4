//! One file as a [`Kind`].

use std::collections::HashMap;

use serde_json::Value;

use super::{MappingFault, fault};
use crate::fhir::canonical::Canonical;
use crate::kind::{Kind, Midnight, Systems, Title, hash_of};
use crate::mapping::forward;
use crate::mapping::template::Node;
use crate::mapping::{Accepts, LABORATORY, Mapping, Shape};

/// Reads one file that the schema has passed.
pub(super) struct Reader<'a> {
    pub(super) file: &'a str,
    pub(super) value: &'a Value,
    pub(super) protocol: &'a Value,
    pub(super) systems: &'a Systems,
    pub(super) canonical: &'a Canonical,
    pub(super) faults: &'a mut Vec<MappingFault>,
}

impl Reader<'_> {
    pub(super) fn fault(&mut self, pointer: impl Into<String>, reason: impl Into<String>) {
        self.faults.push(fault(self.file, pointer, reason));
    }

    pub(super) fn kind(&mut self) -> Kind {
        let value = self.value;
        let name = text(&value["kind"]);
        let at = text(&value["at"]);
        let (section, array) = at.split_once('.').unwrap_or((&at, ""));
        let (fields, parts) = self.fields();
        let mut names = HashMap::default();
        for (i, field) in fields.iter().enumerate() {
            let all = std::iter::once((&field.name, false))
                .chain(field.name_2016.iter().map(|n| (n, false)))
                .chain(field.aliases.iter().map(|n| (n, true)));
            for (field_name, alias) in all {
                if names.insert(field_name.clone(), (i, alias)).is_some() {
                    self.fault("/fields", format!("the name {field_name:?} stands twice"));
                }
            }
        }
        let part = |name: &str| parts.get(name).copied();
        let (Some((time, _)), Some((update, _))) = (part("time"), part("version")) else {
            self.fault("/parts", "every kind needs the part \"version\"");
            return self.broken(name);
        };
        let device = part("device")
            .filter(|(_, n)| *n == 3)
            .map(|(at, _)| [at, at + 1, at + 2]);
        let laboratory = fields.iter().position(|f| f.name == LABORATORY);
        let listed = value["parts"].as_array().map_or(0, Vec::len);
        if device.is_some() == laboratory.is_some() && parts.len() == listed + 1 {
            self.fault(
                "/parts",
                "a kind has either the part \"device\" or \"laboratory\"",
            );
        }
        if fields.len() > forward::FIELDS_MAX {
            self.fault(
                "/fields",
                format!("more than {} fields", forward::FIELDS_MAX),
            );
            return self.broken(name);
        }
        let above = self.pairs("above", &fields);
        let not_above = self.pairs("not_above", &fields);
        let mapping = self.mapping(&name, &fields);
        let mut registered = Vec::new();
        for one in mapping.derived.iter().map(|d| (d.from, d.list.clone())) {
            if !registered.contains(&one) {
                registered.push(one);
            }
        }
        Kind {
            place: 0,
            order: value["order"].as_i64().unwrap_or(i64::MAX),
            section: section.to_owned(),
            array: array.to_owned(),
            title: title(&value["title"]),
            midnight: match value["midnight"].as_str() {
                Some("day") => Midnight::Day,
                _ => Midnight::Instant,
            },
            time,
            update,
            source: device.map(|d| d[2]).or(laboratory),
            device,
            laboratory,
            registered,
            hash: hash_of(&name),
            above,
            not_above,
            names,
            fields,
            name,
            mapping,
        }
    }

    /// Stands in for a kind whose faults are told; it is never used.
    fn broken(&self, name: String) -> Kind {
        let at = text(&self.value["at"]);
        let (section, array) = at.split_once('.').unwrap_or((&at, ""));
        let root = Node::Object(Vec::new());
        Kind {
            place: 0,
            hash: hash_of(&name),
            name,
            order: 0,
            section: section.to_owned(),
            array: array.to_owned(),
            title: Title::default(),
            fields: Vec::new(),
            names: HashMap::default(),
            midnight: Midnight::Instant,
            time: 0,
            update: 0,
            device: None,
            laboratory: None,
            source: None,
            above: Vec::new(),
            not_above: Vec::new(),
            registered: Vec::new(),
            mapping: Mapping {
                main: None,
                panel: Shape::new(root, &[]),
                anchor: None,
                parts: Vec::new(),
                derived: Vec::new(),
                accepts: Accepts::default(),
            },
        }
    }
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(super) fn strings(value: &Value) -> Vec<String> {
    items(value).map(text).collect()
}

/// The elements of an array; none where it is absent.
pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The members of an object; none where it is absent.
pub(super) fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

pub(super) fn title(value: &Value) -> Title {
    Title {
        ja: text(&value["ja"]),
        en: text(&value["en"]),
    }
}
