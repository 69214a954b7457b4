//! Reading mapping files: every fault of every file, with file, JSON pointer and reason.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use include_dir::{Dir, include_dir};
use serde_json::Value;

use super::{CodeItem, Field, Kind, Kinds, Midnight, Systems, Title, Type, hash_of};
use crate::decimal::{self, Decimal};
use crate::fault::Code;
use crate::fhir::canonical::Canonical;
use crate::fhir::id;
use crate::mapping::forward::{self, Derived};
use crate::mapping::template::{self, Names, Node};
use crate::mapping::{
    Accepts, ByCode, CodePattern, FieldAccepts, Hole, Join, LABORATORY, Mapping, OnlyWith, Part,
    Shape, Unit,
};

static EMBEDDED: Dir = include_dir!("$CARGO_MANIFEST_DIR/mappings");
/// What all kinds share.
const PROTOCOL: &str = "protocol.json";
/// The schema of a mapping file.
const SCHEMA: &str = "mapping.schema.json";

/// One fault of a mapping file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingFault {
    /// The file.
    pub file: String,
    /// JSON pointer to the place.
    pub pointer: String,
    /// What is wrong there.
    pub reason: String,
}

/// All faults of all mapping files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingFaults(pub Vec<MappingFault>);

impl fmt::Display for MappingFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            let newline = if i > 0 { "\n" } else { "" };
            let pointer = if fault.pointer.is_empty() {
                "/"
            } else {
                &fault.pointer
            };
            write!(f, "{newline}{}: {pointer}: {}", fault.file, fault.reason)?;
        }
        Ok(())
    }
}

impl std::error::Error for MappingFaults {}

/// A file and what is said of it.
struct File {
    name: String,
    value: Value,
}

pub(super) fn load(dir: Option<&Path>, canonical: Canonical) -> Result<Kinds, MappingFaults> {
    let mut faults = Vec::new();
    let mut protocol = None;
    let mut files: BTreeMap<String, File> = BTreeMap::new();
    let mut schema = None;
    for (name, text) in texts(dir, &mut faults) {
        let value = match serde_json::from_slice::<Value>(&text) {
            Ok(value) => value,
            Err(e) => {
                faults.push(MappingFault {
                    file: name,
                    pointer: String::new(),
                    reason: e.to_string(),
                });
                continue;
            }
        };
        let base = name.rsplit('/').next().unwrap_or_default();
        match base {
            PROTOCOL => protocol = Some(File { name, value }),
            SCHEMA => schema = Some(value),
            _ => {
                // A later file of the same kind replaces the former: `--mappings` comes last.
                let kind = value["kind"].as_str().unwrap_or(base).to_owned();
                files.insert(kind, File { name, value });
            }
        }
    }
    let (Some(protocol), Some(schema)) = (protocol, schema) else {
        return Err(MappingFaults(faults));
    };
    match jsonschema::validator_for(&schema) {
        Ok(validator) => {
            for file in files.values() {
                for error in validator.iter_errors(&file.value) {
                    faults.push(MappingFault {
                        file: file.name.clone(),
                        pointer: error.instance_path().to_string(),
                        reason: error.to_string(),
                    });
                }
            }
        }
        Err(e) => faults.push(MappingFault {
            file: SCHEMA.into(),
            pointer: String::new(),
            reason: e.to_string(),
        }),
    }
    if !faults.is_empty() {
        return Err(MappingFaults(faults));
    }
    let systems = systems(&protocol.value, &canonical);
    let mut list = Vec::new();
    for file in files.values() {
        let mut reader = Reader {
            file: &file.name,
            value: &file.value,
            protocol: &protocol.value,
            systems: &systems,
            canonical: &canonical,
            faults: &mut faults,
        };
        list.push(reader.kind());
    }
    let mut by_hash: HashMap<[u8; 3], String> = HashMap::new();
    let mut by_path: HashMap<(String, String), String> = HashMap::new();
    for (kind, file) in list.iter().zip(files.values()) {
        let at = MappingFault {
            file: file.name.clone(),
            pointer: "/at".into(),
            reason: String::new(),
        };
        let path = (kind.section.clone(), kind.array.clone());
        if let Some(other) = by_path.insert(path, kind.name.clone()) {
            faults.push(MappingFault {
                reason: format!("the kind {other} stands there"),
                ..at
            });
        }
        if let Some(other) = by_hash.insert(kind.hash, kind.name.clone()) {
            faults.push(MappingFault {
                file: file.name.clone(),
                pointer: "/kind".into(),
                reason: format!("has the same 24-bit hash as {other}: choose another name"),
            });
        }
    }
    if !faults.is_empty() {
        return Err(MappingFaults(faults));
    }
    list.sort_by(|a, b| (a.order, &a.name).cmp(&(b.order, &b.name)));
    let list = list
        .into_iter()
        .enumerate()
        .map(|(place, kind)| Arc::new(Kind { place, ..kind }))
        .collect();
    Ok(Kinds::new(list, systems, canonical))
}

/// The embedded files (`optional/` left out), then those of `dir`.
fn texts(dir: Option<&Path>, faults: &mut Vec<MappingFault>) -> Vec<(String, Vec<u8>)> {
    let mut out: Vec<(String, Vec<u8>)> = EMBEDDED
        .files()
        .filter(|f| f.path().extension().is_some_and(|e| e == "json"))
        .map(|f| {
            (
                format!("mappings/{}", f.path().display()),
                f.contents().to_vec(),
            )
        })
        .collect();
    let Some(dir) = dir else { return out };
    let mut fail = |name: String, e: std::io::Error| {
        faults.push(MappingFault {
            file: name,
            pointer: String::new(),
            reason: e.to_string(),
        });
    };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) => {
            fail(dir.display().to_string(), e);
            return out;
        }
    };
    let mut paths: Vec<_> = entries
        .filter_map(Result::ok)
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect();
    paths.sort();
    for path in paths {
        let name = path.display().to_string();
        match std::fs::read(&path) {
            Ok(text) => out.push((name, text)),
            Err(e) => fail(name, e),
        }
    }
    out
}

fn systems(protocol: &Value, canonical: &Canonical) -> Systems {
    let mut systems = Systems::default();
    for (short, entry) in protocol["systems"].as_object().into_iter().flatten() {
        let system = entry["system"].as_str().unwrap_or_default();
        let system = system.replace("{base}", canonical.base());
        for alias in entry["aliases"].as_array().into_iter().flatten() {
            let alias = alias.as_str().unwrap_or_default().to_owned();
            systems.aliases.insert(alias, system.clone());
        }
        systems.short.insert(short.clone(), system);
    }
    systems
}

/// Reads one file that the schema has passed.
struct Reader<'a> {
    file: &'a str,
    value: &'a Value,
    protocol: &'a Value,
    systems: &'a Systems,
    canonical: &'a Canonical,
    faults: &'a mut Vec<MappingFault>,
}

impl Reader<'_> {
    fn fault(&mut self, pointer: impl Into<String>, reason: impl Into<String>) {
        self.faults.push(MappingFault {
            file: self.file.to_owned(),
            pointer: pointer.into(),
            reason: reason.into(),
        });
    }

    fn kind(&mut self) -> Kind {
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
        if device.is_some() == laboratory.is_some() {
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
            registered: mapping
                .derived
                .iter()
                .map(|d| (d.from, d.list.clone()))
                .fold(Vec::new(), |mut all, one| {
                    if !all.contains(&one) {
                        all.push(one);
                    }
                    all
                }),
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
        let root = Node::Object(Vec::new());
        let program = forward::compile(&root, &[]);
        Kind {
            place: 0,
            hash: hash_of(&name),
            name,
            order: 0,
            section: String::new(),
            array: String::new(),
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
                panel: Shape { root, program },
                anchor: None,
                parts: Vec::new(),
                derived: Vec::new(),
                accepts: Accepts::default(),
            },
        }
    }

    /// The kind's fields between the time and the other parts; where each part begins and
    /// how many fields it has.
    fn fields(&mut self) -> (Vec<Field>, HashMap<String, (usize, usize)>) {
        let mut fields = Vec::new();
        let mut parts = HashMap::new();
        self.part("time", false, "/parts", &mut fields, &mut parts);
        let own = self.value["fields"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        for (name, entry) in &own {
            let field = self.field(name, entry, &format!("/fields/{name}"));
            fields.extend(field);
        }
        let names = self.value["parts"].as_array().cloned().unwrap_or_default();
        for (i, part) in names.iter().enumerate() {
            let part = part.as_str().unwrap_or_default();
            let (part, optional) = match part.strip_suffix('?') {
                Some(part) => (part, true),
                None => (part, false),
            };
            self.part(
                part,
                optional,
                &format!("/parts/{i}"),
                &mut fields,
                &mut parts,
            );
        }
        (fields, parts)
    }

    fn part(
        &mut self,
        part: &str,
        optional: bool,
        pointer: &str,
        fields: &mut Vec<Field>,
        parts: &mut HashMap<String, (usize, usize)>,
    ) {
        let protocol = self.protocol;
        let Some(entries) = protocol["parts"][part].as_object() else {
            self.fault(pointer, format!("there is no part {part:?} in {PROTOCOL}"));
            return;
        };
        parts.insert(part.to_owned(), (fields.len(), entries.len()));
        for (name, entry) in entries {
            if let Some(mut field) = self.field(name, entry, pointer) {
                field.required &= !optional;
                fields.push(field);
            }
        }
    }

    fn field(&mut self, name: &str, entry: &Value, pointer: &str) -> Option<Field> {
        let Some(ty) = parse_type(&text(&entry["type"])) else {
            self.fault(
                format!("{pointer}/type"),
                "not a type: int(n), dec(n,d), str(n), code",
            );
            return None;
        };
        let codes: Vec<CodeItem> = entry["codes"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(code, t)| CodeItem {
                code: code.clone(),
                title: title(t),
            })
            .collect();
        if (ty == Type::Code) == codes.is_empty() {
            self.fault(
                format!("{pointer}/codes"),
                "a field of type code, and no other, lists codes",
            );
        }
        let bounds: Vec<String> = entry["plausible"]
            .as_array()
            .into_iter()
            .flatten()
            .map(Value::to_string)
            .collect();
        let scaled = |s: &String| Decimal::parse(s)?.scaled(ty.decimals());
        let plausible = match &bounds[..] {
            [low, high] => scaled(low).zip(scaled(high)),
            _ => None,
        };
        if !bounds.is_empty() && (!ty.is_number() || plausible.is_none()) {
            self.fault(format!("{pointer}/plausible"), "two bounds of a number");
        }
        let mut bounds = bounds.into_iter();
        Some(Field {
            name: name.to_owned(),
            aliases: strings(&entry["aliases"]),
            name_2016: entry["name 2016"].as_str().map(str::to_owned),
            ty,
            required: entry["optional"].as_bool() != Some(true),
            plausible,
            plausible_text: (
                bounds.next().unwrap_or_default(),
                bounds.next().unwrap_or_default(),
            ),
            codes,
            title: title(&entry["title"]),
            unit: text(&entry["unit"]),
            indexed: entry["index"].as_bool() == Some(true),
        })
    }

    /// Pairs of number fields that can be compared.
    fn pairs(&mut self, key: &str, fields: &[Field]) -> Vec<(usize, usize)> {
        let mut out = Vec::new();
        let pairs = self.value[key].as_array().cloned().unwrap_or_default();
        for (i, pair) in pairs.iter().enumerate() {
            let place = |j: usize| {
                let name = pair[j].as_str()?;
                fields
                    .iter()
                    .position(|f| f.name == name && f.ty.is_number())
            };
            match (place(0), place(1)) {
                (Some(a), Some(b)) if fields[a].ty.decimals() == fields[b].ty.decimals() => {
                    out.push((a, b));
                }
                _ => self.fault(
                    format!("/{key}/{i}"),
                    "not two number fields of the same decimals",
                ),
            }
        }
        out
    }

    fn mapping(&mut self, kind: &str, fields: &[Field]) -> Mapping {
        let derived = self.derived(fields);
        let derived_names: Vec<String> = self.value["derived"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(k, _)| k.clone())
            .collect();
        let names = Names {
            fields,
            derived: &derived_names,
            base: self.canonical.base(),
            kind,
        };
        let observation = &self.value["observation"];
        let frame_name = text(&observation["$frame"]);
        let frame_value = &self.protocol["frames"][&frame_name];
        if !frame_value.is_object() {
            self.fault(
                "/observation/$frame",
                format!("there is no frame {frame_name:?}"),
            );
        }
        let mut told = Vec::new();
        let own = names.read(observation, "/observation", &mut told);
        let mut in_frame = Vec::new();
        let frame = names.read(frame_value, "", &mut in_frame);
        let part_frame = names.read(&self.protocol["frames"]["part"], "", &mut in_frame);
        // A hole of the frame that the kind cannot fill is a fault of the kind's parts.
        told.extend(
            in_frame
                .into_iter()
                .map(|(_, reason)| ("/observation/$frame".into(), reason)),
        );
        if let Node::Object(members) = &own {
            for (name, _) in members {
                if !template::is_element(name) {
                    told.push((
                        format!("/observation/{name}"),
                        "not an element of Observation that a template may hold".into(),
                    ));
                }
            }
        }
        let mut root = template::merge(frame.clone(), own.clone());
        template::sort_elements(&mut root);
        for (i, field) in fields.iter().enumerate() {
            let piece = carried_by_piece(&root, fields, i);
            if !root.contains(Hole::Field(i)) && !piece {
                told.push((
                    "/observation".into(),
                    format!("no hole {{{}}}: the value would be lost", field.name),
                ));
            }
        }
        let splits = self.value["split"].as_object().cloned().unwrap_or_default();
        let mut parts = Vec::new();
        let mut moved = Vec::new();
        for (item, entry) in &splits {
            let pointer = format!("/split/{item}");
            let field = fields.iter().position(|f| &f.name == item);
            let component = field.and_then(|i| {
                root.get("component")?
                    .items()
                    .iter()
                    .find(|c| c.contains(Hole::Field(i)))
            });
            let (Some(field), Some(component)) = (field, component) else {
                told.push((pointer, "no component carries this field".into()));
                continue;
            };
            let over = names.read(entry, &pointer, &mut told);
            let node = part_node(&frame, &own, &part_frame, component, over);
            moved.push(field);
            parts.push(Part {
                field,
                hash: id::kind_hash(&format!("{kind}:{item}")),
                shape: shape(node, fields),
            });
        }
        for (pointer, reason) in told {
            self.fault(pointer, reason);
        }
        let anchor = (!parts.is_empty()).then(|| shape(without_components(&root, &moved), fields));
        let mut mapping = Mapping {
            main: main_field(&root, fields),
            panel: shape(root, fields),
            anchor,
            parts,
            derived,
            accepts: self.accepts(fields),
        };
        complete(&mut mapping, fields);
        mapping
    }

    fn derived(&mut self, fields: &[Field]) -> Vec<Derived> {
        let mut out = Vec::new();
        let entries = self.value["derived"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        if entries.len() > forward::DERIVED_MAX {
            self.fault(
                "/derived",
                format!("more than {} derived values", forward::DERIVED_MAX),
            );
            return out;
        }
        for (name, entry) in &entries {
            let from = text(&entry["from"]);
            let place = fields
                .iter()
                .position(|f| f.name == from && matches!(f.ty, Type::Text { .. }));
            let Some(from) = place else {
                self.fault(format!("/derived/{name}/from"), "not a field of type str");
                continue;
            };
            out.push(Derived {
                from,
                list: text(&entry["list"]),
                column: text(&entry["column"]),
                values: entry["values"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(k, v)| (k.clone(), text(v)))
                    .collect(),
            });
        }
        out
    }

    fn accepts(&mut self, fields: &[Field]) -> Accepts {
        let mut accepts = Accepts::default();
        let entries = self.value["accepts"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        for (name, entry) in &entries {
            let pointer = format!("/accepts/{name}");
            if name == "observation_time" {
                accepts.day_period = entry["period"] == "day";
                continue;
            }
            let accepted = self.field_accepts(entry, &pointer);
            if name == "code" {
                accepts.code = accepted;
            } else if let Some(i) = fields.iter().position(|f| &f.name == name) {
                accepts.fields.insert(i, accepted);
            } else {
                self.fault(pointer, "neither \"code\" nor a field");
            }
        }
        accepts
    }

    fn field_accepts(&mut self, entry: &Value, pointer: &str) -> FieldAccepts {
        let by_code = entry["by code"].as_array().into_iter().flatten();
        let only_with = entry["only with"].as_object().into_iter().flatten();
        FieldAccepts {
            codes: self.patterns(&entry["codes"], &format!("{pointer}/codes")),
            refuse: self.patterns(&entry["refuse"], &format!("{pointer}/refuse")),
            units: self.units(&entry["units"], &format!("{pointer}/units")),
            by_code: by_code
                .enumerate()
                .map(|(i, entry)| {
                    let pointer = format!("{pointer}/by code/{i}");
                    ByCode {
                        codes: self.patterns(&entry["codes"], &format!("{pointer}/codes")),
                        units: self.units(&entry["units"], &format!("{pointer}/units")),
                        quantity: entry["quantity"].as_str().map(str::to_owned),
                    }
                })
                .collect(),
            only_with: only_with
                .filter_map(|(code, entry)| {
                    let pointer = format!("{pointer}/only with/{}", template::escape(code));
                    Some(OnlyWith {
                        code: self.pattern(code, &pointer)?,
                        component: self
                            .pattern(&text(&entry["component"]), &format!("{pointer}/component"))?,
                        value: self.pattern(&text(&entry["value"]), &format!("{pointer}/value"))?,
                    })
                })
                .collect(),
            whole_day: self.patterns(&entry["whole day"], &format!("{pointer}/whole day")),
            join: match entry["join"].as_str() {
                Some("half") => Join::Half,
                Some("guest") => Join::Guest,
                _ => Join::Part,
            },
            readings: self.patterns(&entry["readings"], &format!("{pointer}/readings")),
            or_else: entry["else"].as_str().map(str::to_owned),
            fallback: entry["fallback"].as_str().map(str::to_owned),
        }
    }

    fn patterns(&mut self, list: &Value, pointer: &str) -> Vec<CodePattern> {
        strings(list)
            .iter()
            .enumerate()
            .filter_map(|(i, pattern)| self.pattern(pattern, &format!("{pointer}/{i}")))
            .collect()
    }

    /// `loinc|3141-9`, `tokutei|9N006*`.
    fn pattern(&mut self, pattern: &str, pointer: &str) -> Option<CodePattern> {
        let (short, code) = pattern.split_once('|').unwrap_or(("", pattern));
        let Some(system) = self.systems.get(short) else {
            self.fault(
                pointer,
                format!("there is no system {short:?} in {PROTOCOL}"),
            );
            return None;
        };
        let (code, prefix) = match code.strip_suffix('*') {
            Some(code) => (code, true),
            None => (code, false),
        };
        Some(CodePattern {
            system: system.to_owned(),
            code: code.to_owned(),
            prefix,
        })
    }

    fn units(&mut self, units: &Value, pointer: &str) -> Vec<Unit> {
        let mut out = Vec::new();
        for (code, unit) in units.as_object().into_iter().flatten() {
            let number = |key: &str| Decimal::parse(unit[key].as_str()?);
            let warn = unit["warn"].as_str().map(Code::parse);
            if warn == Some(None) {
                let pointer = format!("{pointer}/{}/warn", template::escape(code));
                self.fault(pointer, "there is no fault of this code");
            }
            out.push(Unit {
                code: code.clone(),
                texts: strings(&unit["text"]),
                times: number("times"),
                divide: number("divide"),
                plus: number("plus"),
                warn: warn.flatten(),
            });
        }
        out
    }
}

/// Whether a field's value goes out through a named piece instead of a hole of its own.
fn carried_by_piece(root: &Node, fields: &[Field], i: usize) -> bool {
    use crate::mapping::Piece;
    let device = [
        "model_manufacturer_code",
        "model_number",
        "production_specification_serial",
    ];
    let name = fields[i].name.as_str();
    (name == LABORATORY && root.contains(Hole::Piece(Piece::Laboratory)))
        || (device.contains(&name) && root.contains(Hole::Piece(Piece::Device)))
}

/// The field in `value[x]` of the Observation itself.
fn main_field(root: &Node, fields: &[Field]) -> Option<usize> {
    let value = root.value()?;
    (0..fields.len()).find(|&i| value.contains(Hole::Field(i)))
}

/// Adds to `accepts` what the template says: its codes before those of the file, its unit
/// where the file does not list it.
fn complete(mapping: &mut Mapping, fields: &[Field]) {
    let pattern = |(system, code)| CodePattern {
        system,
        code,
        prefix: false,
    };
    let mut accepts = std::mem::take(&mut mapping.accepts);
    let root = &mapping.panel.root;
    let own = mapping.code_codings().into_iter().map(pattern);
    accepts.code.codes.splice(0..0, own);
    for i in 0..fields.len() {
        let is_main = mapping.main == Some(i);
        let components = root.get("component").map_or(&[][..], Node::items);
        let component = components.iter().find(|c| c.contains(Hole::Field(i)));
        let part = mapping.parts.iter().find(|p| p.field == i);
        let Some(element) = is_main.then_some(root).or(component) else {
            continue;
        };
        let of_field = accepts.fields.entry(i).or_default();
        let elements = [Some(element), part.map(|p| &p.shape.root)];
        let codings = elements
            .into_iter()
            .flatten()
            .filter_map(|element| element.get("code"))
            .flat_map(|code| mapping.concept_codings(code));
        let mut codes: Vec<CodePattern> = Vec::new();
        for code in codings.map(pattern).chain(of_field.codes.drain(..)) {
            let conditional = of_field.only_with.iter().any(|o| o.code == code);
            if !conditional && !codes.contains(&code) {
                codes.push(code);
            }
        }
        if is_main {
            for code in codes {
                if !accepts.code.codes.contains(&code) {
                    accepts.code.codes.push(code);
                }
            }
            of_field.codes.clone_from(&accepts.code.codes);
        } else {
            of_field.codes = codes;
        }
        let quantity = element.get("valueQuantity");
        let text_of = |name: &str| quantity?.get(name)?.constant().map(str::to_owned);
        if let Some(code) = text_of("code")
            && !of_field.units.iter().any(|u| u.code == code)
        {
            of_field.units.insert(
                0,
                Unit {
                    code,
                    texts: text_of("unit").into_iter().collect(),
                    times: None,
                    divide: None,
                    plus: None,
                    warn: None,
                },
            );
        }
    }
    mapping.accepts = accepts;
}

fn shape(root: Node, fields: &[Field]) -> Shape {
    let program = forward::compile(&root, fields);
    Shape { root, program }
}

/// A part: the frame and what the panel repeats, with the component's code and value and
/// what the `split` entry says instead.
fn part_node(frame: &Node, own: &Node, part_frame: &Node, component: &Node, over: Node) -> Node {
    let Node::Object(own) = own else {
        return Node::Object(Vec::new());
    };
    let Node::Object(component) = component.clone() else {
        return Node::Object(Vec::new());
    };
    let Node::Object(over) = over else {
        return Node::Object(Vec::new());
    };
    let mut members: Vec<(String, Node)> = own
        .iter()
        .filter(|(name, _)| name != "code" && name != "component" && !name.starts_with("value"))
        .cloned()
        .chain(component)
        .collect();
    for (name, node) in over {
        match members.iter().position(|(n, _)| *n == name) {
            Some(i) => members[i].1 = node,
            None => members.push((name, node)),
        }
    }
    let frame = template::merge(frame.clone(), part_frame.clone());
    let mut root = template::merge(frame, Node::Object(members));
    template::sort_elements(&mut root);
    root
}

/// The panel without the components of the fields that the split shape moves out.
fn without_components(root: &Node, moved: &[usize]) -> Node {
    let Node::Object(members) = root else {
        return root.clone();
    };
    let members = members
        .iter()
        .filter_map(|(name, node)| {
            if name != "component" {
                return Some((name.clone(), node.clone()));
            }
            let kept: Vec<Node> = node
                .items()
                .iter()
                .filter(|c| !moved.iter().any(|&i| c.contains(Hole::Field(i))))
                .cloned()
                .collect();
            (!kept.is_empty()).then(|| (name.clone(), Node::Array(kept)))
        })
        .collect();
    Node::Object(members)
}

fn parse_type(text: &str) -> Option<Type> {
    match text {
        "time14" => return Some(Type::Time14),
        "time17" => return Some(Type::Time17),
        "code" => return Some(Type::Code),
        _ => {}
    }
    let (name, sizes) = text.strip_suffix(')')?.split_once('(')?;
    match name {
        "str" => Some(Type::Text {
            max: sizes.parse().ok()?,
        }),
        "int" => {
            let digits: u8 = sizes.parse().ok()?;
            (1..=decimal::DIGITS_MAX)
                .contains(&digits)
                .then_some(Type::Number {
                    digits,
                    decimals: 0,
                    integer: true,
                })
        }
        "dec" => {
            let (digits, decimals) = sizes.split_once(',')?;
            let (digits, decimals): (u8, u8) = (digits.parse().ok()?, decimals.parse().ok()?);
            let fits = digits <= decimal::DIGITS_MAX
                && decimals <= decimal::DECIMALS_MAX
                && decimals + 2 <= digits;
            fits.then_some(Type::Number {
                digits,
                decimals,
                integer: false,
            })
        }
        _ => None,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

fn title(value: &Value) -> Title {
    Title {
        ja: text(&value["ja"]),
        en: text(&value["en"]),
    }
}
