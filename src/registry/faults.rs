//! A bounded collection of faults: however many there are, memory and answer stay small.

use crate::fault::{Area, Fault};

/// Faults in the order they were found; beyond a given number they are only counted.
#[derive(Debug, Clone)]
pub struct Faults {
    kept: Vec<Fault>,
    max: usize,
    total: u64,
    errors: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Faults::with_max(Faults::DEFAULT_MAX)
    }
}

impl Faults {
    /// How many faults are kept unless told otherwise.
    pub const DEFAULT_MAX: usize = 100_000;

    /// How many faults make it pointless to look for more.
    pub const TOTAL_MAX: u64 = 1_000_000;

    /// A collection that keeps at most `max` faults.
    pub fn with_max(max: usize) -> Faults {
        Faults {
            kept: Vec::new(),
            max,
            total: 0,
            errors: 0,
        }
    }

    /// Adds a fault, or counts it when enough are kept.
    pub fn push(&mut self, mut fault: Fault) {
        if fault.area == Area::Submission {
            fault.area = Area::Registry;
        }
        self.total += 1;
        self.errors += u64::from(fault.is_error());
        if self.kept.len() < self.max {
            self.kept.push(fault);
        }
    }

    /// The faults kept, the first ones.
    pub fn kept(&self) -> &[Fault] {
        &self.kept
    }

    /// The faults kept, the first ones.
    pub fn into_kept(self) -> Vec<Fault> {
        self.kept
    }

    /// How many there were, kept or not.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Whether there are so many that reading ends.
    pub fn is_full(&self) -> bool {
        self.total >= Faults::TOTAL_MAX
    }

    /// Whether any of them refuses the input.
    pub fn refuses(&self) -> bool {
        self.errors > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Code, Place};

    #[test]
    fn a_million_faults_are_enough() {
        let mut faults = Faults::with_max(1);
        for _ in 0..Faults::TOTAL_MAX {
            assert!(!faults.is_full());
            faults.push(Fault::new(Code::Type, "/1", Place::default()));
        }
        assert!(faults.is_full());
    }

    #[test]
    fn faults_beyond_the_maximum_are_counted() {
        let mut faults = Faults::with_max(1);
        assert!(!faults.refuses());
        faults.push(Fault::new(Code::Implausible, "/0", Place::default()));
        assert!(!faults.refuses());
        faults.push(Fault::new(Code::Type, "/1", Place::default()));
        assert!(faults.refuses());
        assert_eq!((faults.kept().len(), faults.total()), (1, 2));
    }
}
