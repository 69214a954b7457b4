//! Forward: a record becomes FHIR JSON by filling the holes.
//!
//! A template is compiled to a flat program of constant byte runs and holes. A hole
//! without a value takes the innermost array element around it away, or the
//! top-level element where there is no array; what then has holes left but no value in
//! any of them goes too. The pieces `{$version}` and `{$updated}` take only themselves
//! away.

use crate::decimal;
use crate::fhir::id::{self, ObservationKey};
use crate::json;
use crate::kind::{Field, Kind, Kinds, Type};
use crate::record::Record;
use crate::registry::{List, Registries};
use crate::time;

use super::template::{Hole, Node, Piece};

/// Which holes have a value: one bit each.
type Bits = u64;
const DERIVED_BIT: u32 = 48;
const META_BIT: u32 = 62;
/// The most fields of a kind: each has a bit of its own.
pub const FIELDS_MAX: usize = DERIVED_BIT as usize;
/// The most derived values of a kind.
pub const DERIVED_MAX: usize = (META_BIT - DERIVED_BIT) as usize;

/// A node is written when any of these sets of holes is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition(Vec<Bits>);

impl Condition {
    fn always() -> Condition {
        Condition(vec![0])
    }
    fn is_always(&self) -> bool {
        self.0.contains(&0)
    }
    fn holds(&self, present: Bits) -> bool {
        self.0.iter().any(|&mask| mask & !present == 0)
    }
}

#[derive(Debug)]
enum Op {
    /// Constant bytes.
    Const(Box<[u8]>),
    /// A comma, unless nothing stands before it in its array or object.
    Comma,
    /// A value.
    Hole(Hole),
    /// Skips the next operations unless the condition holds.
    Unless(Condition, usize),
}

/// A compiled template.
#[derive(Debug)]
pub struct Program {
    ops: Vec<Op>,
    /// Bytes of a typical output, to reserve at once.
    size: usize,
}

/// Everything about one resource that is not in the record itself.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What the id says.
    pub key: &'a ObservationKey,
    /// Version and last update, on a server.
    pub meta: Option<Meta>,
    /// `Observation.status`.
    pub status: &'a str,
    /// Reference to the Patient, such as `Patient/abc`.
    pub subject: &'a str,
    /// Reference to the Device; empty where there is none.
    pub device: &'a str,
    /// Reference to the laboratory; empty where none is named.
    pub laboratory: &'a str,
    /// The class of a registered method, for derived values: (list, key, column) → value.
    pub registry: &'a dyn Registered,
    /// The item of the split shape that is written.
    pub item: Option<&'a str>,
}

/// `meta` of a stored resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// `meta.versionId`.
    pub version: u32,
    /// `meta.lastUpdated`, in milliseconds since the epoch.
    pub updated: i64,
}

/// Where derived values look up registry rows.
pub trait Registered: Sync {
    /// The value of `column` in the row `key` of `list`.
    fn column(&self, list: &str, key: &str, column: &str) -> Option<&str>;
}

/// No registry: derived values are left out.
pub struct Unregistered;

impl Registered for Unregistered {
    fn column(&self, _: &str, _: &str, _: &str) -> Option<&str> {
        None
    }
}

impl Registered for Registries {
    fn column(&self, list: &str, key: &str, column: &str) -> Option<&str> {
        self.get(List::by_name(list)?, &[key])?.text(column)
    }
}

/// A value computed from a registry row: `"jlac10": {"from", "list", "column", "values"}`.
#[derive(Debug)]
pub struct Derived {
    /// The field whose text is the key of the row.
    pub from: usize,
    /// The registry list.
    pub list: String,
    /// Its column.
    pub column: String,
    /// What to write for each value of the column.
    pub values: Vec<(String, String)>,
}

impl Derived {
    fn value(&self, record: &Record, registry: &dyn Registered) -> Option<&str> {
        if record.cells[self.from].is_absent() {
            return None;
        }
        let class = registry.column(&self.list, record.text(self.from), &self.column)?;
        self.values
            .iter()
            .find(|(v, _)| v == class)
            .map(|(_, written)| written.as_str())
    }
}

/// Compiles a template.
pub fn compile(root: &Node, fields: &[Field]) -> Program {
    let mut compiler = Compiler {
        fields,
        ops: Vec::new(),
        run: Vec::new(),
        known: 0,
    };
    if let Node::Object(members) = root {
        compiler.object(members, true);
    }
    compiler.flush();
    let constant: usize = compiler
        .ops
        .iter()
        .map(|op| if let Op::Const(c) = op { c.len() } else { 24 })
        .sum();
    Program {
        ops: compiler.ops,
        size: constant,
    }
}

struct Compiler<'a> {
    fields: &'a [Field],
    ops: Vec<Op>,
    run: Vec<u8>,
    /// Holes known to have a value where the compiler stands.
    known: Bits,
}

impl Compiler<'_> {
    fn flush(&mut self) {
        if !self.run.is_empty() {
            self.ops
                .push(Op::Const(std::mem::take(&mut self.run).into_boxed_slice()));
        }
    }

    fn push(&mut self, op: Op) {
        self.flush();
        self.ops.push(op);
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Const(c) => self.run.extend_from_slice(c.json.as_bytes()),
            Node::Hole(hole) => self.push(Op::Hole(*hole)),
            Node::Object(members) => self.object(members, false),
            Node::Array(items) => {
                self.run.push(b'[');
                let mut before = Before::Nothing;
                for item in items {
                    let condition = self.condition(item);
                    self.optional(&condition, &mut before, |c| c.node(item));
                }
                self.run.push(b']');
            }
        }
    }

    fn object(&mut self, members: &[(String, Node)], top: bool) {
        self.run.push(b'{');
        let mut before = Before::Nothing;
        for (key, node) in members {
            let condition = match node {
                Node::Hole(hole) if is_meta(*hole) => Condition(vec![1 << META_BIT]),
                // What is left empty goes, wherever it stands.
                Node::Array(_) | Node::Object(_) => self.condition(node),
                _ if top => self.condition(node),
                // The element around it was already decided upon.
                _ => Condition::always(),
            };
            self.optional(&condition, &mut before, |c| {
                json::string_into(&mut c.run, key);
                c.run.push(b':');
                c.node(node);
            });
        }
        self.run.push(b'}');
    }

    /// Writes something that stands only under a condition, with the comma it needs.
    fn optional(
        &mut self,
        condition: &Condition,
        before: &mut Before,
        write: impl FnOnce(&mut Self),
    ) {
        if condition.is_always() {
            match before {
                Before::Nothing => {}
                Before::Something => self.run.push(b','),
                Before::Perhaps => self.push(Op::Comma),
            }
            write(self);
            *before = Before::Something;
            return;
        }
        self.flush();
        let at = self.ops.len();
        self.ops.push(Op::Unless(condition.clone(), 0));
        match before {
            Before::Nothing => {}
            Before::Something => self.run.push(b','),
            Before::Perhaps => self.ops.push(Op::Comma),
        }
        // What a single set of holes asks for need not be asked again inside.
        let known = self.known;
        if let [mask] = condition.0[..] {
            self.known |= mask;
        }
        write(self);
        self.known = known;
        self.flush();
        let skip = self.ops.len() - at - 1;
        self.ops[at] = Op::Unless(condition.clone(), skip);
        if matches!(before, Before::Nothing) {
            *before = Before::Perhaps;
        }
    }

    /// When a node (an array element, or the value of a member) is written.
    fn condition(&self, node: &Node) -> Condition {
        let mut content = Content::default();
        self.gather(node, &mut content);
        let sets = if content.holes {
            // One of its own holes is there, or one of the arrays within keeps an element.
            if content.direct {
                vec![content.mask]
            } else {
                content.arrays.iter().map(|m| m | content.mask).collect()
            }
        } else if content.constants {
            vec![0]
        } else if content.meta {
            vec![1 << META_BIT]
        } else {
            Vec::new()
        };
        Condition(sets.into_iter().map(|mask| mask & !self.known).collect())
    }

    fn gather(&self, node: &Node, content: &mut Content) {
        match node {
            Node::Const(_) => content.constants = true,
            Node::Hole(hole) if is_meta(*hole) => content.meta = true,
            Node::Hole(hole) => {
                content.mask |= self.bit(*hole);
                content.direct = true;
                content.holes = true;
            }
            Node::Object(members) => members.iter().for_each(|(_, n)| self.gather(n, content)),
            Node::Array(items) => {
                let mut holes = Vec::new();
                node.holes(&mut holes);
                if holes.is_empty() {
                    content.constants |= !items.is_empty();
                } else {
                    content.holes = true;
                    let sets = items.iter().flat_map(|item| self.condition(item).0);
                    content.arrays.extend(sets);
                }
            }
        }
    }

    /// The bit of a hole that may lack a value.
    fn bit(&self, hole: Hole) -> Bits {
        let field = |i: usize| if self.fields[i].required { 0 } else { 1 << i };
        match hole {
            Hole::Field(i) | Hole::Display(i) => field(i),
            Hole::Derived(i) => 1 << (DERIVED_BIT + i as u32),
            Hole::Piece(Piece::Laboratory) => self
                .fields
                .iter()
                .position(|f| f.name == super::LABORATORY)
                .map_or(0, field),
            Hole::Piece(_) => 0,
        }
    }
}

/// What stands in a node, arrays within counted by their elements.
#[derive(Default)]
struct Content {
    constants: bool,
    /// `{$version}` or `{$updated}`.
    meta: bool,
    /// Any other hole, at any depth.
    holes: bool,
    /// Any other hole outside the arrays within.
    direct: bool,
    /// The holes outside the arrays within that may lack a value.
    mask: Bits,
    /// The sets of holes of which one must be there for an array within to keep an element.
    arrays: Vec<Bits>,
}

/// Whether it is one of the pieces that take only themselves away.
fn is_meta(hole: Hole) -> bool {
    matches!(hole, Hole::Piece(Piece::Version | Piece::Updated))
}

#[derive(Clone, Copy)]
enum Before {
    Nothing,
    Perhaps,
    Something,
}

impl Program {
    /// Bytes that a resource takes, hardly ever more.
    pub fn size(&self) -> usize {
        self.size + 256
    }

    /// Appends the resource.
    pub fn write(&self, out: &mut Vec<u8>, record: &Record, context: &Context) {
        out.reserve(self.size());
        let derived = &record.kind.mapping.derived;
        let mut present: Bits = 0;
        for (i, cell) in record.cells.iter().enumerate() {
            present |= u64::from(!cell.is_absent()) << i;
        }
        for (i, d) in derived.iter().enumerate() {
            let there = d.value(record, context.registry).is_some();
            present |= u64::from(there) << (DERIVED_BIT + i as u32);
        }
        present |= u64::from(context.meta.is_some()) << META_BIT;

        let mut at = 0;
        while let Some(op) = self.ops.get(at) {
            at += 1;
            match op {
                Op::Const(bytes) => out.extend_from_slice(bytes),
                Op::Comma => {
                    if !matches!(out.last(), Some(b'[' | b'{')) {
                        out.push(b',');
                    }
                }
                Op::Unless(condition, skip) => {
                    if !condition.holds(present) {
                        at += skip;
                    }
                }
                Op::Hole(hole) => write_hole(out, *hole, record, context),
            }
        }
    }
}

fn write_hole(out: &mut Vec<u8>, hole: Hole, record: &Record, context: &Context) {
    match hole {
        Hole::Field(i) => write_field(out, i, record),
        Hole::Display(i) => {
            let items = &record.kind.fields[i].codes;
            let title = record.cells[i].raw().and_then(|c| items.get(c as usize));
            json::string_into(out, title.map_or("", |item| &item.title.ja));
        }
        Hole::Derived(i) => {
            let value = record.kind.mapping.derived[i].value(record, context.registry);
            json::string_into(out, value.unwrap_or_default());
        }
        Hole::Piece(piece) => write_piece(out, piece, record, context),
    }
}

fn write_field(out: &mut Vec<u8>, i: usize, record: &Record) {
    let field = &record.kind.fields[i];
    let cell = record.cells[i];
    match field.ty {
        Type::Number { decimals, .. } => decimal::write(out, cell, decimals),
        Type::Text { .. } => json::string_into(out, record.texts.get(cell.value())),
        Type::Code => {
            let code = field.codes.get(cell.value() as usize);
            json::string_into(out, code.map_or("", |item| &item.code));
        }
        Type::Time14 => {
            out.push(b'"');
            if record.kind.is_day(cell.value()) {
                time::write_date(out, cell.value());
            } else {
                time::write_date_time(out, cell.value());
            }
            out.push(b'"');
        }
        Type::Time17 => {
            out.push(b'"');
            time::write_instant(out, cell.value());
            out.push(b'"');
        }
    }
}

fn write_piece(out: &mut Vec<u8>, piece: Piece, record: &Record, context: &Context) {
    out.push(b'"');
    match piece {
        Piece::Id => context.key.encode_into(out),
        Piece::Version => {
            let version = context.meta.map_or(0, |m| m.version);
            out.extend_from_slice(version.to_string().as_bytes());
        }
        Piece::Updated => time::write_instant(out, context.meta.map_or(0, |m| m.updated)),
        Piece::Record => write_identity(out, record),
        Piece::Measurement => {
            write_identity(out, record);
            out.push(b':');
            out.extend_from_slice(context.item.unwrap_or_default().as_bytes());
        }
        Piece::Status => out.extend_from_slice(context.status.as_bytes()),
        Piece::Subject => out.extend_from_slice(context.subject.as_bytes()),
        Piece::Device => out.extend_from_slice(context.device.as_bytes()),
        Piece::Laboratory => out.extend_from_slice(context.laboratory.as_bytes()),
    }
    out.push(b'"');
}

/// `c:p:kind:observation_time:source`, each part escaped (mapping specification §2.2).
fn write_identity(out: &mut Vec<u8>, record: &Record) {
    // Consortium, person and kind are letters, digits and underscores.
    out.extend_from_slice(record.consortium_id.as_bytes());
    out.push(b':');
    out.extend_from_slice(record.person_id.as_bytes());
    out.push(b':');
    out.extend_from_slice(record.kind.name.as_bytes());
    out.push(b':');
    time::write14(out, record.seconds());
    out.push(b':');
    let source = record.source();
    if source.bytes().any(|b| matches!(b, b'%' | b':')) {
        let mut escaped = String::with_capacity(source.len() + 8);
        id::escape_part(source, &mut escaped);
        json::escape_into(out, &escaped);
    } else {
        json::escape_into(out, source);
    }
}

/// The identity of a record as one string.
pub fn identity(record: &Record) -> String {
    let source = record.source();
    let time = time::text(|out| time::write14(out, record.seconds()));
    id::join(&[
        record.consortium_id,
        record.person_id,
        &record.kind.name,
        &time,
        source,
    ])
}

/// What the id of the record with this identity says; `None` for what [`identity`] does not
/// write.
pub fn key_of(kinds: &Kinds, identity: &str) -> Option<ObservationKey> {
    let parts = id::split(identity);
    let [consortium, person, kind, at, source] = parts.as_slice() else {
        return None;
    };
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    if id::join(&parts) != identity {
        return None;
    }
    Some(ObservationKey {
        participant: id::participant_hash(consortium, person),
        kind: kinds.get(kind)?.hash,
        seconds: time::parse14(at)?,
        source: id::source_hash(source),
    })
}

/// What the id of a record says.
pub fn key(record: &Record, kind: &Kind) -> ObservationKey {
    ObservationKey {
        participant: id::participant_hash(record.consortium_id, record.person_id),
        kind: kind.hash,
        seconds: record.seconds(),
        source: id::source_hash(record.source()),
    }
}
