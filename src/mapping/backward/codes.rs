//! Which record kind an Observation is of, by its codes (mapping specification §5.1).

use std::collections::HashMap;
use std::sync::Arc;

use crate::kind::{Kind, Systems};
use crate::mapping::{CodePattern, FieldAccepts};
use crate::tape::View;

/// What a coding means for one record kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meaning {
    /// The Observation itself, in the units of the given entry of `by code`.
    Main(Option<u8>),
    /// The value of a field, likewise.
    Field(u8, Option<u8>),
    /// A value of this field only beside a certain component: the entry of `only with`.
    OnlyWith(u8, u8),
    /// A code that is refused.
    Refused,
}

/// What all codes of all kinds mean.
#[derive(Debug, Default)]
pub struct CodeIndex {
    /// System → code → kind and meaning.
    exact: HashMap<String, HashMap<String, Vec<(u16, Meaning)>>>,
    prefixes: Vec<(CodePattern, u16, Meaning)>,
}

impl CodeIndex {
    /// The index of `kinds`.
    pub fn new(kinds: &[Arc<Kind>]) -> CodeIndex {
        let mut index = CodeIndex::default();
        for kind in kinds {
            let place = kind.place as u16;
            let accepts = &kind.mapping.accepts;
            let main = kind.mapping.main;
            index.add_all(&accepts.code.codes, place, Meaning::Main(None));
            index.add_all(&accepts.code.refuse, place, Meaning::Refused);
            for (&field, of_field) in &accepts.fields {
                index.field(place, field as u8, main == Some(field), of_field);
            }
        }
        index
    }

    fn field(&mut self, kind: u16, field: u8, main: bool, accepts: &FieldAccepts) {
        let meaning = |entry: Option<u8>| match main {
            true => Meaning::Main(entry),
            false => Meaning::Field(field, entry),
        };
        self.add_all(&accepts.codes, kind, meaning(None));
        for (i, by_code) in accepts.by_code.iter().enumerate() {
            self.add_all(&by_code.codes, kind, meaning(Some(i as u8)));
        }
        for (i, only) in accepts.only_with.iter().enumerate() {
            let meaning = Meaning::OnlyWith(field, i as u8);
            self.add_all(std::slice::from_ref(&only.code), kind, meaning);
        }
        self.add_all(&accepts.refuse, kind, Meaning::Refused);
    }

    fn add_all(&mut self, patterns: &[CodePattern], kind: u16, meaning: Meaning) {
        for pattern in patterns {
            if pattern.prefix {
                self.prefixes.push((pattern.clone(), kind, meaning));
                continue;
            }
            let codes = self.exact.entry(pattern.system.clone()).or_default();
            let list = codes.entry(pattern.code.clone()).or_default();
            if !list.contains(&(kind, meaning)) {
                list.push((kind, meaning));
            }
        }
    }

    /// Whether a code is taken with units of its own only.
    pub(super) fn is_converted(&self, system: &str, code: &str) -> bool {
        let mut meanings = Vec::new();
        self.meanings(system, code, &mut meanings);
        let mut meanings = meanings.iter();
        meanings.any(|(_, m)| matches!(m, Meaning::Main(Some(_)) | Meaning::Field(_, Some(_))))
    }

    /// What a coding means, by kind. A prefix that is refused gives way to a code that is
    /// listed; what is refused exactly is refused.
    fn meanings(&self, system: &str, code: &str, out: &mut Vec<(u16, Meaning)>) {
        out.clear();
        let exact = self.exact.get(system).and_then(|codes| codes.get(code));
        out.extend(exact.into_iter().flatten());
        let exactly = out.len();
        for (pattern, kind, meaning) in &self.prefixes {
            if pattern.matches(system, code) && !out.contains(&(*kind, *meaning)) {
                out.push((*kind, *meaning));
            }
        }
        let listed: Vec<u16> = out
            .iter()
            .filter(|(_, m)| *m != Meaning::Refused)
            .map(|(kind, _)| *kind)
            .collect();
        let mut place = 0;
        out.retain(|(kind, meaning)| {
            place += 1;
            place <= exactly || *meaning != Meaning::Refused || !listed.contains(kind)
        });
    }
}

/// What the codings of a CodeableConcept mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Classified {
    /// No kind lists any of them.
    Unknown,
    /// They are listed as refused, and nothing else.
    Refused,
    /// They mean different quantities.
    Ambiguous,
    /// One quantity, of one or several kinds (which then share all codes).
    Of(Vec<(u16, Meaning)>),
}

/// Classifies a CodeableConcept, for one kind or for all.
pub(super) fn classify(
    index: &CodeIndex,
    systems: &Systems,
    concept: View,
    kind: Option<u16>,
) -> Classified {
    let mut meanings = Vec::new();
    let mut common: Option<Vec<(u16, Meaning)>> = None;
    let mut refused = false;
    for coding in concept.get("coding").into_iter().flat_map(View::items) {
        let (Some(system), Some(code)) = (coding.text_of("system"), coding.text_of("code")) else {
            continue;
        };
        index.meanings(systems.canonical(system), code, &mut meanings);
        if let Some(kind) = kind {
            meanings.retain(|(k, _)| *k == kind);
        }
        refused |= meanings.iter().any(|(_, m)| *m == Meaning::Refused);
        meanings.retain(|(_, m)| *m != Meaning::Refused);
        if meanings.is_empty() {
            continue;
        }
        match &mut common {
            None => common = Some(meanings.clone()),
            Some(common) => {
                // A code that needs a component beside it counts with the field's own code.
                let agrees = |&(k, m): &(u16, Meaning)| {
                    meanings.iter().any(|&(other, n)| k == other && same(m, n))
                };
                common.retain(agrees);
                if common.is_empty() {
                    return Classified::Ambiguous;
                }
                for (kind, meaning) in common {
                    let plain = meanings
                        .iter()
                        .find(|(k, m)| k == kind && !matches!(m, Meaning::OnlyWith(..)));
                    if let (Meaning::OnlyWith(..), Some((_, plain))) = (&meaning, plain) {
                        *meaning = *plain;
                    }
                }
            }
        }
    }
    match common {
        Some(_) if refused => Classified::Ambiguous,
        Some(common) => Classified::Of(common),
        None if refused => Classified::Refused,
        None => Classified::Unknown,
    }
}

/// Whether two meanings are one quantity.
fn same(a: Meaning, b: Meaning) -> bool {
    match (a, b) {
        (Meaning::OnlyWith(f, _), Meaning::Field(g, None))
        | (Meaning::Field(f, None), Meaning::OnlyWith(g, _)) => f == g,
        _ => a == b,
    }
}
