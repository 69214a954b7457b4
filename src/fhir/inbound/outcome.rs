//! What there is to say about an input, bounded whatever its length.

use std::collections::HashMap;

use crate::fault::{Code, Fault, Severity};

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
}

/// Everything that there is to say.
///
/// Faults stand one by one, up to a limit. Notices that many resources share (what is not
/// ours, a fallback that was used, what the protocol cannot say) are counted together.
#[derive(Debug)]
pub struct Outcome {
    /// The issues, in the order in which they were first met.
    pub issues: Vec<Issue>,
    /// Faults beyond the limit: counted, not told.
    pub untold: u64,
    /// Whether one of those was an error.
    untold_error: bool,
    faults_max: usize,
    tallies: HashMap<(Code, String), usize, foldhash::fast::RandomState>,
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
        }
    }

    /// Adds a fault of its own.
    pub fn push(&mut self, fault: Fault) {
        if self.issues.len() >= self.faults_max {
            self.untold += 1;
            self.untold_error |= fault.is_error();
            return;
        }
        self.issues.push(Issue {
            expressions: vec![fault.pointer.clone()],
            fault,
            count: 1,
            not_ours: false,
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
        let key = (code, key.to_owned());
        if let Some(&at) = self.tallies.get(&key) {
            let issue = &mut self.issues[at];
            issue.count += 1;
            if issue.expressions.len() < EXPRESSIONS_MAX {
                issue.expressions.push(expression());
            }
            return;
        }
        if self.issues.len() >= self.faults_max {
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

    /// Adds another outcome to this one.
    pub fn append(&mut self, other: Outcome) {
        self.untold += other.untold;
        self.untold_error |= other.untold_error;
        let from = self.issues.len();
        let keys = other.tallies;
        for (key, at) in keys {
            self.tallies.entry(key).or_insert(from + at);
        }
        self.issues.extend(other.issues);
    }
}
