//! An invented cohort in protocol format, with its registries.
//!
//! In: how many participants, how many days, a seed. Out: [`File`]s, each of which can
//! be written by itself; the same arguments give the same bytes on every machine.
//! Everything in them is valid and plausible by the protocol, so that a demo, a test
//! or a benchmark can load it without a refusal or a warning. All people, makers and
//! institutions are invented.
//!
//! ```
//! use kenko_fhir::synth::Cohort;
//!
//! let cohort = Cohort::new(120, 45, 1);
//! for file in cohort.files() {
//!     let bytes = file.bytes();
//!     println!("{} ({} bytes)", file.path(), bytes.len());
//! }
//! ```
//!
//! The cohort is a controlled trial: participants of the intervention arm come to walk
//! more and their HbA1c falls, those of the control arm stay as they are.

mod model;
mod object;
mod person;
mod random;
mod registry;
mod submission;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use chrono::{Datelike, Days, NaiveDate};

use object::Date;

/// Participants in one submission.
pub const CHUNK: u32 = 50;
/// Days in one submission.
pub const WINDOW: u32 = 30;

/// The most consortia a cohort has.
const CONSORTIA_MAX: u32 = 8;
/// Laboratories of each consortium.
const LABORATORIES: u32 = 3;
/// The prefecture in which each consortium is at home (JIS X 0401).
const PREFECTURES: [u32; CONSORTIA_MAX as usize] = [23, 13, 39, 33, 12, 1, 26, 14];
/// The last day that can be measured: what is sent a few days later still has a year
/// of four digits.
const LAST_DAY: NaiveDate = match NaiveDate::from_ymd_opt(9999, 12, 24) {
    Some(date) => date,
    None => NaiveDate::MIN,
};
const FIRST_DAY: NaiveDate = match NaiveDate::from_ymd_opt(2025, 4, 1) {
    Some(date) => date,
    None => NaiveDate::MIN,
};

/// An invented cohort.
///
/// Participation starts on the first day; about one in twenty participants leaves
/// before the last. Up to eight consortia (`A00001` …) share the participants evenly,
/// and each counts its own from `P0000000000000000001`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cohort {
    /// How many people take part.
    pub participants: u32,
    /// How many days are measured; none after the year 9999.
    pub days: u32,
    /// What tells one cohort of this size from another.
    pub seed: u64,
    /// The first day, in Japan.
    pub start: NaiveDate,
}

impl Cohort {
    /// A cohort that starts on 2025-04-01.
    pub fn new(participants: u32, days: u32, seed: u64) -> Cohort {
        Cohort {
            participants,
            days,
            seed,
            start: FIRST_DAY,
        }
    }

    /// The same cohort, starting on another day.
    pub fn starting(self, start: NaiveDate) -> Cohort {
        Cohort { start, ..self }
    }

    /// All files: the six registries, then the submissions in the order of their paths.
    pub fn files(&self) -> impl Iterator<Item = File> + use<> {
        let cohort = *self;
        let windows = cohort.windows();
        let submissions = (0..cohort.consortia()).flat_map(move |consortium| {
            (0..cohort.size(consortium).div_ceil(CHUNK)).flat_map(move |chunk| {
                (0..windows).map(move |window| Part::Submission {
                    consortium,
                    chunk,
                    window,
                })
            })
        });
        List::ALL
            .into_iter()
            .map(Part::Registry)
            .chain(submissions)
            .map(move |part| File { cohort, part })
    }

    /// How many files [`Cohort::files`] gives.
    pub fn file_count(&self) -> u64 {
        let chunks = |consortium| u64::from(self.size(consortium).div_ceil(CHUNK));
        let all: u64 = (0..self.consortia()).map(chunks).sum();
        List::ALL.len() as u64 + all * u64::from(self.windows())
    }

    /// Writes all files below `folder`, which is made where it is missing. `wrote` is
    /// told of each file and its size in bytes, for a progress bar.
    ///
    /// # Errors
    /// When a folder or a file cannot be written; the error names it.
    pub fn write_to(&self, folder: &Path, mut wrote: impl FnMut(&File, u64)) -> io::Result<()> {
        for below in ["registries", "submissions"] {
            let path = folder.join(below);
            fs::create_dir_all(&path).map_err(|e| at(&path, e))?;
        }
        for file in self.files() {
            let path = folder.join(file.path());
            let written = fs::File::create(&path).and_then(|out| {
                let mut out = BufWriter::new(out);
                let size = file.write(&mut out)?;
                out.flush()?;
                Ok(size)
            });
            wrote(&file, written.map_err(|e| at(&path, e))?);
        }
        Ok(())
    }

    fn days(&self) -> u32 {
        let left = LAST_DAY.signed_duration_since(self.start).num_days() + 1;
        self.days.min(u32::try_from(left).unwrap_or(0))
    }

    fn windows(&self) -> u32 {
        self.days().div_ceil(WINDOW)
    }

    fn consortia(&self) -> u32 {
        self.participants.div_ceil(CHUNK).clamp(1, CONSORTIA_MAX)
    }

    /// How many participants a consortium (from 0) has.
    fn size(&self, consortium: u32) -> u32 {
        let all = self.consortia();
        self.participants / all + u32::from(consortium < self.participants % all)
    }

    fn day(&self, day: u32) -> NaiveDate {
        self.start
            .checked_add_days(Days::new(day.into()))
            .unwrap_or(LAST_DAY)
    }

    fn date(&self, day: u32) -> Date {
        let date = self.day(day);
        let mut rest = date.year().clamp(0, 9999) as u32 * 10_000 + date.month() * 100 + date.day();
        let mut digits = [b'0'; 8];
        for digit in digits.iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        digits
    }

    /// Monday is 0.
    fn weekday(&self, day: u32) -> u32 {
        self.day(day).weekday().num_days_from_monday()
    }
}

/// One file of a [`Cohort`]; nothing of it is computed before it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    cohort: Cohort,
    part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Registry(List),
    Submission {
        consortium: u32,
        chunk: u32,
        window: u32,
    },
}

impl File {
    /// Where the file stands below the cohort's folder, with `/`:
    /// `registries/{list}.json` or `submissions/{consortium}-{chunk}-{window}.json`.
    pub fn path(&self) -> String {
        match self.part {
            Part::Registry(list) => format!("registries/{}.json", list.name()),
            Part::Submission {
                consortium,
                chunk,
                window,
            } => {
                format!(
                    "submissions/{}-{chunk:05}-{window:03}.json",
                    consortium_id(consortium)
                )
            }
        }
    }

    /// The name of the list, where the file is a registry.
    pub fn list(&self) -> Option<&'static str> {
        match self.part {
            Part::Registry(list) => Some(list.name()),
            Part::Submission { .. } => None,
        }
    }

    /// Writes the file in blocks of some kilobytes, and gives its size in bytes. However
    /// many participants there are, one block is in memory.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, mut out: impl Write) -> io::Result<u64> {
        let mut size = 0;
        self.blocks(|block| {
            size += block.len() as u64;
            out.write_all(block)
        })?;
        Ok(size)
    }

    /// The whole file. The participants of a large cohort are better written in blocks.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let Ok(()) = self.blocks(|block| {
            out.extend_from_slice(block);
            Ok::<_, Infallible>(())
        });
        out
    }

    fn blocks<E>(&self, block: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        match self.part {
            Part::Registry(list) => registry::write(&self.cohort, list, block),
            Part::Submission {
                consortium,
                chunk,
                window,
            } => submission::write(&self.cohort, consortium, chunk, window, block),
        }
    }
}

/// The six lists that are registered before data flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Consortia,
    Participants,
    Laboratories,
    Devices,
    Hba1cMethods,
    ActivityRecordingTimes,
}

impl List {
    const ALL: [List; 6] = [
        List::Consortia,
        List::Participants,
        List::Laboratories,
        List::Devices,
        List::Hba1cMethods,
        List::ActivityRecordingTimes,
    ];

    fn name(self) -> &'static str {
        match self {
            List::Consortia => "consortia",
            List::Participants => "participants",
            List::Laboratories => "laboratories",
            List::Devices => "devices",
            List::Hba1cMethods => "hba1c-methods",
            List::ActivityRecordingTimes => "activity-recording-times",
        }
    }
}

/// The error with the path at which it happened.
fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The id of the consortium counted from 0.
fn consortium_id(consortium: u32) -> String {
    format!("A{:05}", consortium + 1)
}

/// The id of the laboratory counted from 0, the same in every consortium.
fn laboratory_id(laboratory: u32) -> String {
    format!("{:012}", laboratory + 1)
}
