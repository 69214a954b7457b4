//! What there is to say about an input, bounded whatever its length.

use std::collections::HashMap;

use crate::fault::{Code, Fault, Lang, Severity};
use crate::fhir::outcome;

/// The most expressions that one issue lists.
pub const EXPRESSIONS_MAX: usize = 1000;

/// One issue: a fault, and where it was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// What it is; its pointer is the first of the expressions.
    pub fault: Fault,
    /// FHIRPath expressions, at most [`EXPRESSIONS_MAX`].
    pub expressions: Vec<String>,
    /// How often it was met.
    pub count: u64,
    /// Whether it is about something that is not ours, which refuses nothing.
    pub not_ours: bool,
    /// The entry that it is about, where each entry has its own.
    pub entry: Option<u32>,
}

impl Issue {
    /// A fault that was met once.
    pub fn of(fault: Fault) -> Issue {
        Issue {
            expressions: vec![fault.pointer.clone()],
            fault,
            count: 1,
            not_ours: false,
            entry: None,
        }
    }

    /// The issue as an OperationOutcome tells it, with how often it was met.
    pub fn told(&self, lang: Lang) -> outcome::Issue {
        let mut issue = outcome::Issue::of(&self.fault, lang);
        let mut expressions = self.expressions.clone();
        expressions.retain(|e| !e.is_empty() && !e.starts_with('/'));
        if !expressions.is_empty() {
            issue.expression = expressions;
        }
        if self.count > 1 {
            issue.diagnostics.push_str(&match lang {
                Lang::En => format!(" ({} times)", self.count),
                Lang::Ja => format!("（{} 件）", self.count),
            });
        }
        issue
    }
}

/// Everything that there is to say.
///
/// Faults stand one by one, up to a limit. Notices that many resources share (what is not
/// ours, a fallback that was used, what the protocol cannot say) are counted together.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The issues, in the order in which they were first met.
    pub issues: Vec<Issue>,
    /// Faults beyond the limit: counted, not told.
    pub untold: u64,
    /// Whether one of those was an error.
    untold_error: bool,
    faults_max: usize,
    tallies: HashMap<(Option<u32>, Code, String), usize, foldhash::fast::RandomState>,
    /// The entry that is spoken of, where each entry has its own issues.
    entry: Option<u32>,
    /// How many issues it has.
    told: usize,
}

impl Outcome {
    /// Nothing to say yet; at most `faults_max` issues.
    pub fn new(faults_max: usize) -> Outcome {
        Outcome {
            issues: Vec::new(),
            untold: 0,
            untold_error: false,
            faults_max,
            tallies: HashMap::default(),
            entry: None,
            told: 0,
        }
    }

    /// What follows is about this entry, and belongs to no other; the limit holds for each.
    pub fn about(&mut self, entry: u32) {
        if self.entry != Some(entry) {
            self.entry = Some(entry);
            self.told = 0;
        }
    }

    /// What follows is about none of the entries.
    pub fn about_none(&mut self) {
        self.entry = None;
    }

    fn is_full(&self) -> bool {
        let told = match self.entry {
            Some(_) => self.told,
            None => self.issues.len(),
        };
        told >= self.faults_max
    }

    /// Adds a fault of its own.
    pub fn push(&mut self, fault: Fault) {
        let of_entry = self.entry.is_some();
        // An entry that is refused says so, however much there is to say of it.
        if self.is_full() && !(of_entry && fault.is_error() && self.told == self.faults_max) {
            self.untold += 1;
            self.untold_error |= fault.is_error();
            return;
        }
        self.told += 1;
        self.issues.push(Issue {
            entry: self.entry,
            ..Issue::of(fault)
        });
    }

    /// Counts a fault with those of the same code and `key`.
    pub fn tally(
        &mut self,
        code: Code,
        key: &str,
        expression: impl FnOnce() -> String,
        fault: impl FnOnce(String) -> Fault,
    ) {
        // The key is owned only when it is new; a look-up by reference needs a pair.
        let key = (self.entry, code, key.to_owned());
        if let Some(&at) = self.tallies.get(&key) {
            let issue = &mut self.issues[at];
            issue.count += 1;
            if issue.expressions.len() < EXPRESSIONS_MAX {
                issue.expressions.push(expression());
            }
            return;
        }
        if self.is_full() {
            self.untold += 1;
            return;
        }
        let at = self.issues.len();
        self.push(fault(expression()));
        self.tallies.insert(key, at);
    }

    /// Counts something that is not ours.
    pub fn tally_not_ours(
        &mut self,
        code: Code,
        name: &str,
        expression: impl FnOnce() -> String,
        fault: impl FnOnce(String) -> Fault,
    ) {
        let before = self.issues.len();
        self.tally(code, name, expression, fault);
        if let Some(new) = self.issues.get_mut(before) {
            new.not_ours = true;
        }
    }

    /// Whether something of ours was refused.
    pub fn has_errors(&self) -> bool {
        self.untold_error || self.issues.iter().any(|i| i.fault.is_error())
    }

    /// Turns what is not ours into errors: where nothing was converted, that is why.
    pub fn refuse_what_is_not_ours(&mut self) {
        for issue in &mut self.issues {
            if issue.not_ours {
                issue.fault.severity = Severity::Error;
            }
        }
    }

    /// Adds another outcome to this one, up to the limit of this one.
    pub fn append(&mut self, other: Outcome) {
        self.untold += other.untold;
        self.untold_error |= other.untold_error;
        let from = self.issues.len();
        let room = self.faults_max.saturating_sub(from);
        for (key, at) in other.tallies {
            if at < room {
                self.tallies.entry(key).or_insert(from + at);
            }
        }
        let mut issues = other.issues.into_iter();
        self.issues.extend(issues.by_ref().take(room));
        for issue in issues {
            self.untold += issue.count;
            self.untold_error |= issue.fault.is_error();
        }
    }
}
