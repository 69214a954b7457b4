//! One JSON value as a flat array of nodes and one text arena.
//!
//! In: the events of a [`json::Reader`]. Out: a [`View`], a cursor that walks the
//! value without allocating. FHIR in reads one resource after the other into the
//! same tape, so that a Bundle of any length costs the memory of its largest entry.
//! Numbers keep their text, every node knows its line and column, and repeated keys
//! of an object are told (the first of them stands).

use std::io::Read;

use crate::decimal;
use crate::fault::Place;
use crate::json::{self, Event, Reader};

/// What a node of the tape is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// A string; its text is the content.
    String,
    /// A number; its text is the number as written.
    Number,
    /// `true` or `false`; its text tells which.
    Bool,
    /// `null`
    Null,
    /// The name of the member whose value follows.
    Key,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    kind: NodeKind,
    /// Where the text begins in the arena; unused for objects and arrays.
    from: u32,
    /// Where the text ends; for objects and arrays the node after the last one inside.
    to: u32,
    place: Place,
}

/// Objects of more members than this are searched for repeated keys by sorting.
const PAIRWISE_MAX: usize = 24;

/// A JSON value, read once.
#[derive(Debug, Default)]
pub struct Tape {
    nodes: Vec<Node>,
    text: String,
    /// Keys that stand a second time in their object.
    repeated: Vec<u32>,
    open: Vec<Open>,
    /// Key nodes of the objects that are open, innermost last.
    keys: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    node: u32,
    /// Where its keys begin in `keys`; `None` for an array.
    keys: Option<u32>,
    /// One bit for each class of keys seen, so that most objects need no comparison.
    classes: u64,
    /// Whether two keys fell into one class.
    suspect: bool,
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Tape {
        Tape::default()
    }

    /// Forgets what was read and keeps the buffers.
    pub fn clear(&mut self) {
        self.nodes.clear();
        self.text.clear();
        self.repeated.clear();
        self.open.clear();
        self.keys.clear();
    }

    /// Reads the value whose first event was just returned, in place of what was there.
    ///
    /// # Errors
    /// [`json::Error`] when the text is not JSON, or when the value needs more than `limit`
    /// bytes of memory.
    pub fn read<R: Read>(
        &mut self,
        reader: &mut Reader<R>,
        first: Event,
        limit: usize,
    ) -> json::Result<()> {
        self.clear();
        self.append(reader, first, limit)
    }

    /// Begins an object whose members are added one by one.
    pub(crate) fn begin_object(&mut self, place: Place) {
        self.clear();
        self.start(NodeKind::Object, place);
    }

    /// Adds the key that was just read to the object that is open.
    pub(crate) fn add_key<R: Read>(&mut self, reader: &Reader<R>) {
        self.key(reader.text(), reader.place());
    }

    /// The text of a member of the outermost object, which may still be open.
    pub(crate) fn open_member(&self, name: &str) -> Option<&str> {
        let members = Members {
            tape: self,
            at: 1,
            end: self.nodes.len() as u32,
        };
        members
            .into_iter()
            .find(|(k, _)| *k == name)
            .and_then(|(_, value)| value.string())
    }

    /// Ends the object.
    pub(crate) fn end_object(&mut self) {
        self.end();
    }

    /// Adds a value after the last node.
    ///
    /// # Errors
    /// As [`Tape::read`].
    pub(crate) fn append<R: Read>(
        &mut self,
        reader: &mut Reader<R>,
        first: Event,
        limit: usize,
    ) -> json::Result<()> {
        let outside = self.open.len();
        let mut event = first;
        loop {
            let place = reader.place();
            match event {
                Event::ObjectStart => self.start(NodeKind::Object, place),
                Event::ArrayStart => self.start(NodeKind::Array, place),
                Event::ObjectEnd | Event::ArrayEnd => self.end(),
                Event::Key => self.key(reader.text(), place),
                Event::String => self.scalar(NodeKind::String, reader.text(), place),
                Event::Number => self.scalar(NodeKind::Number, reader.text(), place),
                Event::Bool => self.scalar(NodeKind::Bool, reader.text(), place),
                Event::Null => self.scalar(NodeKind::Null, "", place),
                Event::End => return Ok(()),
            }
            if self.memory() > limit {
                return Err(json::Error::Syntax {
                    place,
                    reason: "a resource that is too large",
                });
            }
            if self.open.len() == outside {
                return Ok(());
            }
            event = reader.next()?;
        }
    }

    /// Bytes in use, those of the values before included.
    fn memory(&self) -> usize {
        let keys = self.keys.len() + self.repeated.len();
        self.text.len() + self.nodes.len() * size_of::<Node>() + keys * size_of::<u32>()
    }

    fn start(&mut self, kind: NodeKind, place: Place) {
        let keys = (kind == NodeKind::Object).then_some(self.keys.len() as u32);
        self.open.push(Open {
            node: self.nodes.len() as u32,
            keys,
            classes: 0,
            suspect: false,
        });
        self.nodes.push(Node {
            kind,
            from: 0,
            to: 0,
            place,
        });
    }

    fn scalar(&mut self, kind: NodeKind, text: &str, place: Place) {
        let from = self.text.len() as u32;
        self.text.push_str(text);
        self.nodes.push(Node {
            kind,
            from,
            to: self.text.len() as u32,
            place,
        });
    }

    fn key(&mut self, text: &str, place: Place) {
        if let Some(open) = self.open.last_mut() {
            let first = text.as_bytes().first().copied().unwrap_or_default();
            let last = text.as_bytes().last().copied().unwrap_or_default();
            let class = u64::from(first) ^ u64::from(last) << 2 ^ (text.len() as u64) << 1;
            let bit = 1 << (class & 63);
            open.suspect |= open.classes & bit != 0;
            open.classes |= bit;
            self.keys.push(self.nodes.len() as u32);
        }
        self.scalar(NodeKind::Key, text, place);
    }

    fn end(&mut self) {
        let Some(open) = self.open.pop() else { return };
        self.nodes[open.node as usize].to = self.nodes.len() as u32;
        if let Some(keys) = open.keys {
            let keys = keys as usize;
            if open.suspect {
                self.find_repeated(keys);
            }
            self.keys.truncate(keys);
        }
    }

    /// Looks for equal keys among those from `from` on.
    fn find_repeated(&mut self, from: usize) {
        let Tape {
            nodes, text, keys, ..
        } = self;
        let name = |key: u32| {
            let node = &nodes[key as usize];
            &text.as_bytes()[node.from as usize..node.to as usize]
        };
        let keys = &mut keys[from..];
        let before = self.repeated.len();
        if keys.len() <= PAIRWISE_MAX {
            for (i, &key) in keys.iter().enumerate() {
                if keys[..i].iter().any(|&k| name(k) == name(key)) {
                    self.repeated.push(key);
                }
            }
        } else {
            keys.sort_by(|&a, &b| name(a).cmp(name(b)).then(a.cmp(&b)));
            for pair in keys.windows(2) {
                if name(pair[0]) == name(pair[1]) {
                    self.repeated.push(pair[1]);
                }
            }
            self.repeated[before..].sort_unstable();
        }
    }

    /// The value; `None` where nothing was read.
    pub fn root(&self) -> Option<View<'_>> {
        (!self.nodes.is_empty()).then_some(View { tape: self, at: 0 })
    }

    /// The node with this number (see [`View::node`]).
    pub fn view(&self, node: u32) -> Option<View<'_>> {
        ((node as usize) < self.nodes.len()).then_some(View {
            tape: self,
            at: node,
        })
    }

    /// Values of keys that stood in their object before.
    pub fn repeated(&self) -> impl Iterator<Item = View<'_>> {
        self.repeated.iter().map(|&key| View {
            tape: self,
            at: key + 1,
        })
    }

    fn next(&self, at: u32) -> u32 {
        let node = &self.nodes[at as usize];
        match node.kind {
            NodeKind::Object | NodeKind::Array => node.to,
            _ => at + 1,
        }
    }
}

/// A value on a tape.
#[derive(Debug, Clone, Copy)]
pub struct View<'t> {
    tape: &'t Tape,
    at: u32,
}

impl<'t> View<'t> {
    fn raw(self) -> &'t Node {
        &self.tape.nodes[self.at as usize]
    }

    /// What it is.
    pub fn kind(self) -> NodeKind {
        self.raw().kind
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.kind() == NodeKind::Object
    }

    /// The content of a string, a number or boolean as written; empty for anything else.
    pub fn text(self) -> &'t str {
        let node = self.raw();
        match node.kind {
            NodeKind::Object | NodeKind::Array => "",
            _ => self
                .tape
                .text
                .get(node.from as usize..node.to as usize)
                .unwrap_or_default(),
        }
    }

    /// The content of a string; `None` for anything else.
    pub fn string(self) -> Option<&'t str> {
        (self.kind() == NodeKind::String).then(|| self.text())
    }

    /// The nodes of the value in their order, itself first, keys among them.
    pub fn nodes(self) -> impl Iterator<Item = View<'t>> {
        (self.at..self.tape.next(self.at)).map(move |at| View {
            tape: self.tape,
            at,
        })
    }

    /// How many nodes an object or a list takes; 1 for anything else.
    pub fn span(self) -> u32 {
        self.tape.next(self.at) - self.at
    }

    /// The value with this number on the same tape; the last one for a number beyond it.
    pub fn at(self, node: u32) -> View<'t> {
        let last = self.tape.nodes.len().saturating_sub(1) as u32;
        View {
            tape: self.tape,
            at: node.min(last),
        }
    }

    /// Its number on the tape, which [`Tape::view`] takes.
    pub fn node(self) -> u32 {
        self.at
    }

    /// Line and column at which it begins.
    pub fn place(self) -> Place {
        self.raw().place
    }

    /// The member of an object.
    pub fn get(self, name: &str) -> Option<View<'t>> {
        self.members().find(|(k, _)| *k == name).map(|(_, v)| v)
    }

    /// The content of a member that is a string.
    pub fn text_of(self, name: &str) -> Option<&'t str> {
        self.get(name)?.string()
    }

    /// The members of an object, in written order; none for anything else.
    pub fn members(self) -> Members<'t> {
        let node = self.raw();
        Members {
            tape: self.tape,
            at: self.at + 1,
            end: if node.kind == NodeKind::Object {
                node.to
            } else {
                0
            },
        }
    }

    /// The elements of an array; none for anything else.
    pub fn items(self) -> Items<'t> {
        let node = self.raw();
        Items {
            tape: self.tape,
            at: self.at + 1,
            end: if node.kind == NodeKind::Array {
                node.to
            } else {
                0
            },
        }
    }

    /// Appends the path from this value to the node `inner`, as FHIRPath writes it:
    /// `.component[0].code`.
    pub fn path_to(self, inner: u32, out: &mut String) {
        let mut at = self;
        while at.at != inner {
            let holds = |v: View| inner >= v.at && inner < v.tape.next(v.at);
            let step = match at.kind() {
                NodeKind::Object => at.members().find(|(_, v)| holds(*v)).map(|(name, v)| {
                    out.push('.');
                    out.push_str(&crate::fault::shorten(name));
                    v
                }),
                NodeKind::Array => at
                    .items()
                    .enumerate()
                    .find(|(_, v)| holds(*v))
                    .map(|(i, v)| {
                        out.push_str(&format!("[{i}]"));
                        v
                    }),
                _ => None,
            };
            match step {
                Some(next) => at = next,
                None => return,
            }
        }
    }

    /// Appends the value as JSON, numbers with the digits that were written and no exponent.
    pub fn write(self, out: &mut Vec<u8>) {
        match self.kind() {
            NodeKind::Object => {
                out.push(b'{');
                for (i, (name, value)) in self.members().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    json::string_into(out, name);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
            NodeKind::Array => {
                out.push(b'[');
                for (i, value) in self.items().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    value.write(out);
                }
                out.push(b']');
            }
            NodeKind::String | NodeKind::Key => json::string_into(out, self.text()),
            NodeKind::Number => {
                let text = self.text();
                let plain = decimal::written_out(text);
                out.extend_from_slice(plain.as_deref().unwrap_or(text).as_bytes());
            }
            NodeKind::Bool => out.extend_from_slice(self.text().as_bytes()),
            NodeKind::Null => out.extend_from_slice(b"null"),
        }
    }
}

/// The members of an object.
#[derive(Debug, Clone)]
pub struct Members<'t> {
    tape: &'t Tape,
    at: u32,
    end: u32,
}

impl<'t> Iterator for Members<'t> {
    type Item = (&'t str, View<'t>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let tape = self.tape;
        let key = View { tape, at: self.at };
        let value = View {
            tape,
            at: self.at + 1,
        };
        self.at = tape.next(value.at);
        Some((key.text(), value))
    }
}

/// The elements of an array.
#[derive(Debug, Clone)]
pub struct Items<'t> {
    tape: &'t Tape,
    at: u32,
    end: u32,
}

impl<'t> Iterator for Items<'t> {
    type Item = View<'t>;

    #[inline]
    fn next(&mut self) -> Option<View<'t>> {
        if self.at >= self.end {
            return None;
        }
        let value = View {
            tape: self.tape,
            at: self.at,
        };
        self.at = self.tape.next(self.at);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tape(text: &str) -> Tape {
        let mut reader = Reader::new(text.as_bytes());
        let first = reader.next().unwrap();
        let mut tape = Tape::new();
        tape.read(&mut reader, first, 1 << 20).unwrap();
        tape
    }

    fn written(view: View) -> String {
        let mut out = Vec::new();
        view.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_value_reads_back_as_it_was_written() {
        for text in [
            r#"{"a":[1,2.50,{"b":null}],"c":"体\"","d":true,"e":{},"f":[]}"#,
            "6.50",
            "[]",
        ] {
            assert_eq!(written(tape(text).root().unwrap()), text);
        }
    }

    #[test]
    fn a_cursor_finds_members_and_their_places() {
        let tape = tape("{\"a\": {\"x\": 1},\n \"b\": [{\"c\": \"d\"}, 2]}");
        let root = tape.root().unwrap();
        let b = root.get("b").unwrap();
        let c = b.items().next().unwrap().get("c").unwrap();
        assert_eq!((c.text(), c.place().line, c.place().column), ("d", 2, 14));
        assert!(root.get("z").is_none());
        assert!(c.get("x").is_none());
        let mut path = String::new();
        root.path_to(c.node(), &mut path);
        assert_eq!(path, ".b[0].c");
    }

    #[test]
    fn repeated_keys_are_told_in_small_and_large_objects() {
        let small = tape(r#"{"a":1,"b":{"x":1,"x":2},"a":3}"#);
        let told: Vec<_> = small.repeated().map(View::text).collect();
        assert_eq!(told, ["2", "3"]);
        assert_eq!(small.root().unwrap().get("a").unwrap().text(), "1");
        let members: Vec<String> = (0..500).map(|i| format!("\"k{}\":{i}", i % 400)).collect();
        let large = tape(&format!("{{{}}}", members.join(",")));
        assert_eq!(large.repeated().count(), 100);
        assert_eq!(tape(r#"{"ab":1,"ba":2}"#).repeated().count(), 0);
    }

    #[test]
    fn a_value_beyond_the_limit_is_refused() {
        let text = format!("[{}1]", "1,".repeat(10_000));
        let mut reader = Reader::new(text.as_bytes());
        let first = reader.next().unwrap();
        assert!(Tape::new().read(&mut reader, first, 10_000).is_err());
    }

    #[test]
    fn a_tape_is_used_again() {
        let mut reader = Reader::new("{\"a\":1}\n[2]".as_bytes());
        let mut tape = Tape::new();
        let first = reader.next_document().unwrap();
        tape.read(&mut reader, first, 1000).unwrap();
        let first = reader.next_document().unwrap();
        tape.read(&mut reader, first, 1000).unwrap();
        assert_eq!(written(tape.root().unwrap()), "[2]");
    }
}
