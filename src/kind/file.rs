//! Reading mapping files: every fault of every file, with file, JSON pointer and reason.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use include_dir::{Dir, include_dir};
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use super::{CodeItem, Field, Kind, Kinds, Midnight, Systems, Title, Type, hash_of};
use crate::decimal::{self, Decimal};
use crate::fault::Code;
use crate::fhir::canonical::Canonical;
use crate::fhir::id;
use crate::json::{self, Event};
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

/// A file that is JSON.
struct File {
    name: String,
    value: Value,
    /// Whether it stands in `--mappings DIR`.
    added: bool,
}

/// The text of a file, before anything is known of it.
struct Source {
    name: String,
    text: Vec<u8>,
    added: bool,
}

impl File {
    fn fault(&self, pointer: impl Into<String>, reason: impl Into<String>) -> MappingFault {
        fault(&self.name, pointer, reason)
    }
}

fn fault(file: &str, pointer: impl Into<String>, reason: impl Into<String>) -> MappingFault {
    MappingFault {
        file: file.to_owned(),
        pointer: pointer.into(),
        reason: reason.into(),
    }
}

pub(super) fn load(dir: Option<&Path>, canonical: Canonical) -> Result<Kinds, MappingFaults> {
    let mut faults = Vec::new();
    let mut protocol = None;
    let mut schema = Value::Null;
    let mut files: BTreeMap<String, File> = BTreeMap::new();
    for Source { name, text, added } in sources(dir, &mut faults) {
        let base = name.rsplit('/').next().unwrap_or_default().to_owned();
        if base == SCHEMA && added {
            // A copy beside own files, for editors; what is checked is what this program knows.
            continue;
        }
        let value = match serde_json::from_slice::<Value>(&text) {
            Ok(value) => value,
            Err(e) => {
                faults.push(fault(&name, "", e.to_string()));
                continue;
            }
        };
        for pointer in repeated_names(&text) {
            faults.push(fault(&name, pointer, "the name stands twice in its object"));
        }
        let file = File { name, value, added };
        match base.as_str() {
            PROTOCOL => protocol = Some(file),
            SCHEMA => schema = file.value,
            _ => {
                // A kind of DIR replaces the embedded one of the same name.
                let kind = file.value["kind"].as_str().unwrap_or(&base).to_owned();
                if let Some(other) = files.get(&kind)
                    && other.added == file.added
                {
                    let reason = format!("the kind {kind:?} is also that of {}", other.name);
                    faults.push(file.fault("/kind", reason));
                    continue;
                }
                files.insert(kind, file);
            }
        }
    }
    let Some(protocol) = protocol else {
        return Err(MappingFaults(faults));
    };
    let protocol_schema = serde_json::json!({
        "$ref": "#/$defs/protocol", "$defs": schema["$defs"],
    });
    check_shape(&protocol_schema, &[&protocol], &mut faults);
    if !faults.iter().all(|f| f.file != protocol.name) {
        // Every kind would be told of what is wrong in one place.
        return Err(MappingFaults(faults));
    }
    // Where two do not go together, the added one is told.
    let mut all: Vec<&File> = files.values().collect();
    all.sort_by_key(|file| file.added);
    check_shape(&schema, &all, &mut faults);

    let systems = systems(&protocol.value, &canonical);
    let mut list = Vec::new();
    for file in all {
        if faults
            .iter()
            .any(|f| f.file == file.name && f.pointer.is_empty())
        {
            // A whole keyword is missing: whatever else is said would follow from that.
            continue;
        }
        let mut told = Vec::new();
        let mut reader = Reader {
            file: &file.name,
            value: &file.value,
            protocol: &protocol.value,
            systems: &systems,
            canonical: &canonical,
            faults: &mut told,
        };
        list.push((file, reader.kind()));
        // What the reader says of a place is clearer than what the schema says.
        faults.retain(|f| {
            told.iter()
                .all(|t| (&t.file, &t.pointer) != (&f.file, &f.pointer))
        });
        faults.append(&mut told);
    }
    check_together(&list, &mut faults);
    if !faults.is_empty() {
        return Err(MappingFaults(faults));
    }
    let mut list: Vec<Kind> = list.into_iter().map(|(_, kind)| kind).collect();
    list.sort_by(|a, b| (a.order, &a.name).cmp(&(b.order, &b.name)));
    let list = list
        .into_iter()
        .enumerate()
        .map(|(place, kind)| Arc::new(Kind { place, ..kind }))
        .collect();
    Ok(Kinds::new(list, systems, canonical))
}

/// What the schema says of each file.
fn check_shape(schema: &Value, files: &[&File], faults: &mut Vec<MappingFault>) {
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(e) => {
            faults.push(fault(SCHEMA, "", e.to_string()));
            return;
        }
    };
    for file in files {
        for error in validator.iter_errors(&file.value) {
            let pointer = error.instance_path().to_string();
            match error.kind() {
                ValidationErrorKind::AdditionalProperties { unexpected } => {
                    for name in unexpected {
                        let pointer = format!("{pointer}/{}", template::escape(name));
                        faults.push(file.fault(pointer, "no such keyword here"));
                    }
                }
                ValidationErrorKind::PropertyNames { error } => {
                    faults.push(file.fault(pointer, format!("a name here: {}", error.masked())));
                }
                _ => faults.push(file.fault(pointer, error.masked().to_string())),
            }
        }
    }
}

/// What only shows in all kinds together: places, hashes and codes that would not tell them
/// apart.
fn check_together(list: &[(&File, Kind)], faults: &mut Vec<MappingFault>) {
    let mut by_path: HashMap<(&str, &str), &str> = HashMap::new();
    let mut by_hash: HashMap<[u8; 3], String> = HashMap::new();
    for (i, (file, kind)) in list.iter().enumerate() {
        if let Some(other) = by_path.insert((&kind.section, &kind.array), &kind.name) {
            faults.push(file.fault("/at", format!("the kind {other} stands there")));
        }
        let parts = kind.mapping.parts.iter();
        let parts = parts.map(|p| {
            (
                p.hash,
                format!("{}:{}", kind.name, kind.fields[p.field].name),
            )
        });
        for (hash, name) in std::iter::once((kind.hash, kind.name.clone())).chain(parts) {
            if let Some(other) = by_hash.insert(hash, name) {
                let reason = format!("has the same 24-bit hash as {other}: choose another name");
                faults.push(file.fault("/kind", reason));
            }
        }
        // A home and a check-up kind may share codes: device and laboratory tell them apart.
        let rivals = list[..i].iter().map(|(_, other)| other);
        for other in rivals.filter(|other| other.device.is_some() == kind.device.is_some()) {
            let theirs = other.mapping.observation_codes();
            let shared = kind.mapping.observation_codes();
            let shared = shared.iter().find(|c| theirs.iter().any(|t| t.overlaps(c)));
            if let Some(code) = shared {
                let reason = format!("the code {code} is also that of {}", other.name);
                faults.push(file.fault("/observation/code", reason));
            }
        }
    }
}

/// JSON pointers of names that stand twice in one object, which a parser would take the
/// last of without a word.
fn repeated_names(text: &[u8]) -> Vec<String> {
    let mut json = json::Reader::new(text);
    let mut repeated = Vec::new();
    // The names met in each open object, or the elements counted in each open array.
    let mut open: Vec<(Option<HashSet<String>>, String, usize)> = Vec::new();
    loop {
        let event = match json.next() {
            Ok(Event::End) | Err(_) => return repeated,
            Ok(event) => event,
        };
        let is_value = !matches!(event, Event::Key | Event::ObjectEnd | Event::ArrayEnd);
        if is_value && let Some((None, step, count)) = open.last_mut() {
            *step = count.to_string();
            *count += 1;
        }
        match event {
            Event::ObjectStart => open.push((Some(HashSet::new()), String::new(), 0)),
            Event::ArrayStart => open.push((None, String::new(), 0)),
            Event::ObjectEnd | Event::ArrayEnd => {
                open.pop();
            }
            Event::Key => {
                let name = json.text().to_owned();
                let mut new = true;
                if let Some((Some(names), step, _)) = open.last_mut() {
                    *step = template::escape(&name);
                    new = names.insert(name);
                }
                if !new {
                    repeated.push(open.iter().map(|(_, step, _)| format!("/{step}")).collect());
                }
            }
            _ => {}
        }
    }
}

/// The embedded files (`optional/` left out), then those of `dir`.
fn sources(dir: Option<&Path>, faults: &mut Vec<MappingFault>) -> Vec<Source> {
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
        self.faults.push(fault(self.file, pointer, reason));
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
            fields.push(self.field(name, entry, &format!("/fields/{name}")));
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
            let mut field = self.field(name, entry, pointer);
            field.required &= !optional;
            fields.push(field);
        }
    }

    fn field(&mut self, name: &str, entry: &Value, pointer: &str) -> Field {
        let ty = parse_type(&text(&entry["type"])).unwrap_or_else(|| {
            self.fault(
                format!("{pointer}/type"),
                "not a type: int(n) and dec(n,d) of at most 15 characters and 7 decimals, \
                 str(n), code",
            );
            // Stands in, so that the holes of this field are not told as well.
            let listed = !entry["codes"].is_null();
            if listed {
                Type::Code
            } else {
                Type::Text { max: 1 }
            }
        });
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
                "a field of type code lists its codes, and no other field does",
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
        let in_order = plausible.is_some_and(|(low, high)| low <= high);
        let fit = bounds.is_empty() || (ty.is_number() && in_order);
        if !fit {
            self.fault(
                format!("{pointer}/plausible"),
                "not the lower and the upper bound of a number field",
            );
        }
        let mut bounds = bounds.into_iter();
        Field {
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
        }
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
            .take(derived.len())
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
                shape: Shape::new(node, fields),
            });
        }
        for (pointer, reason) in told {
            self.fault(pointer, reason);
        }
        let anchor =
            (!parts.is_empty()).then(|| Shape::new(without_components(&root, &moved), fields));
        let mut mapping = Mapping {
            main: main_field(&root, fields),
            panel: Shape::new(root, fields),
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
        }
        for (name, entry) in entries.iter().take(forward::DERIVED_MAX) {
            if fields.iter().any(|f| &f.name == name) {
                self.fault(format!("/derived/{name}"), "a field has this name");
            }
            let from = text(&entry["from"]);
            let place = fields
                .iter()
                .position(|f| f.name == from && matches!(f.ty, Type::Text { .. }));
            if place.is_none() {
                self.fault(format!("/derived/{name}/from"), "not a field of type str");
            }
            out.push(Derived {
                // Where there is a fault, this stands in, so that the holes keep their places.
                from: place.unwrap_or_default(),
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
        let Some((short, code)) = pattern.split_once('|') else {
            self.fault(pointer, "not a system and a code, such as loinc|3141-9");
            return None;
        };
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
            if number("divide").is_some_and(|d| d.scaled(0) == Some(0) && d.is_exact(0)) {
                let pointer = format!("{pointer}/{}/divide", template::escape(code));
                self.fault(pointer, "divides by zero");
            }
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
