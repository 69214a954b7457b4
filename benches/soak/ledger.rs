//! Ledger of what the server acknowledged, against which everything that it shows is checked.
//!
//! An Observation is written by one writer, which announces each content before it sends it and
//! settles it when the answer came. So at every moment it is known which version an answer may
//! show: none older than the newest one that was acknowledged when the request was sent, none
//! newer than the one announced. A version never changes: its digest is taken where it is first
//! seen, and must be the same wherever it is seen again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use serde_json::Value;

/// The ledger.
#[derive(Default)]
pub struct Ledger {
    observations: Mutex<HashMap<String, Observation>>,
    receipts: Mutex<Vec<String>>,
}

/// All versions of an Observation, oldest first.
#[derive(Default)]
struct Observation {
    versions: Vec<Version>,
    announced: Option<Content>,
}

/// The content of a version.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// It was there before any writer began, and nobody changes it.
    Standing,
    /// The digits of the value.
    Value(String),
    /// It is a deletion.
    Deleted,
}

struct Version {
    number: u32,
    content: Content,
    digest: Option<u64>,
    acknowledged: Instant,
}

/// An Observation as a writer needs it.
pub struct Current {
    /// Number of its newest version; 0 before the first.
    pub version: u32,
    /// Whether it can be read.
    pub alive: bool,
    /// Whether nobody changes it.
    pub standing: bool,
}

impl Observation {
    /// Checks a version that was shown.
    fn shows(&mut self, number: u32, resource: &Value) -> Result<(), String> {
        let value = resource["valueQuantity"]["value"].to_string();
        let newest = self.versions.last().map_or(0, |version| version.number);
        let Some(known) = self.versions.iter_mut().find(|v| v.number == number) else {
            return match &self.announced {
                Some(Content::Value(announced)) if number == newest + 1 && *announced == value => {
                    Ok(())
                }
                other => Err(format!(
                    "version {number} ({value}) after {newest}, announced {other:?}"
                )),
            };
        };
        match &known.content {
            Content::Value(expected) if *expected != value => {
                return Err(format!("version {number}: {value} for {expected}"));
            }
            Content::Deleted => return Err(format!("version {number} is a deletion")),
            _ => {}
        }
        let digest = digest(resource);
        match known.digest.replace(digest) {
            Some(before) if before != digest => Err(format!("version {number} changed")),
            _ => Ok(()),
        }
    }
}

impl Ledger {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Observation>> {
        self.observations.lock().expect("no panic")
    }

    /// Enters an Observation that nobody changes.
    pub fn stand(&self, resource: &Value) {
        let (Some(id), Some(number)) = (id(resource), version(resource)) else {
            return;
        };
        let version = Version {
            number,
            content: Content::Standing,
            digest: Some(digest(resource)),
            acknowledged: Instant::now(),
        };
        self.all().entry(id.to_owned()).or_default().versions = vec![version];
    }

    /// The state of an Observation.
    pub fn current(&self, id: &str) -> Current {
        let all = self.all();
        let newest = all.get(id).and_then(|known| known.versions.last());
        Current {
            version: newest.map_or(0, |version| version.number),
            alive: newest.is_some_and(|version| version.content != Content::Deleted),
            standing: newest.is_some_and(|version| version.content == Content::Standing),
        }
    }

    /// Says what is about to be sent.
    pub fn announce(&self, id: &str, content: Content) {
        let mut all = self.all();
        all.entry(id.to_owned()).or_default().announced = Some(content);
    }

    /// The announced content is the next version, or was refused.
    pub fn settle(&self, id: &str, stored: bool) {
        let mut all = self.all();
        let known = all.entry(id.to_owned()).or_default();
        let number = known.versions.last().map_or(0, |version| version.number) + 1;
        if let Some(content) = known.announced.take()
            && stored
        {
            known.versions.push(Version {
                number,
                content,
                digest: None,
                acknowledged: Instant::now(),
            });
        }
    }

    /// Enters a receipt.
    pub fn receipt(&self, id: String) {
        self.receipts.lock().expect("no panic").push(id);
    }

    /// All receipts.
    pub fn receipts(&self) -> Vec<String> {
        self.receipts.lock().expect("no panic").clone()
    }

    /// Checks an Observation that an answer to a request of this time shows as current.
    pub fn shown(&self, resource: &Value, asked: Instant) -> Result<(), String> {
        self.check(resource, Some(asked))
    }

    /// Checks one that an answer shows as a version among others.
    pub fn shown_version(&self, resource: &Value) -> Result<(), String> {
        self.check(resource, None)
    }

    fn check(&self, resource: &Value, asked: Option<Instant>) -> Result<(), String> {
        let (Some(id), Some(number)) = (id(resource), version(resource)) else {
            return Err(format!("no id or version: {resource}"));
        };
        let at = |reason: String| format!("Observation/{id}: {reason}");
        let mut all = self.all();
        let known = all.get_mut(id).ok_or_else(|| at("unknown".into()))?;
        let least = asked.map_or(0, |asked| {
            let before = known.versions.iter().rfind(|v| v.acknowledged <= asked);
            before.map_or(0, |version| version.number)
        });
        if number < least {
            let stale = format!("version {number} where {least} was acknowledged");
            return Err(at(stale));
        }
        known.shows(number, resource).map_err(at)
    }

    /// Checks the value of a current version that is shown without its number.
    pub fn shown_value(&self, id: &str, value: &str, asked: Instant) -> Result<(), String> {
        let all = self.all();
        let Some(known) = all.get(id) else {
            return Err(format!("Observation/{id}: unknown"));
        };
        let from = known.versions.iter().rposition(|v| v.acknowledged <= asked);
        let versions = known.versions[from.unwrap_or(0)..].iter();
        let mut contents = versions.map(|v| &v.content).chain(&known.announced);
        match contents.any(|c| *c == Content::Standing || *c == Content::Value(value.to_owned())) {
            true => Ok(()),
            false => Err(format!("Observation/{id}: {value} is old or unknown")),
        }
    }

    /// Checks that an Observation may have been absent from an answer.
    pub fn absent(&self, id: &str, asked: Instant) -> Result<(), String> {
        let all = self.all();
        let Some(known) = all.get(id) else {
            return Ok(());
        };
        // One deletion since the last version before the request, or at it.
        let from = known.versions.iter().rposition(|v| v.acknowledged <= asked);
        let mut since = known.versions[from.unwrap_or(0)..].iter();
        let deleted = since.any(|v| v.content == Content::Deleted)
            || known.announced == Some(Content::Deleted);
        match deleted || from.is_none() {
            true => Ok(()),
            false => Err(format!("Observation/{id}: lost")),
        }
    }

    /// Checks a listing of everything that began at a time: Observations that nobody touched
    /// since are in it once.
    pub fn listed(&self, times: &HashMap<String, u32>, began: Instant) -> Vec<String> {
        let mut wrong = Vec::new();
        for (id, known) in self.all().iter() {
            let Some(last) = known.versions.last() else {
                continue;
            };
            if last.acknowledged > began || known.announced.is_some() {
                continue;
            }
            let expected = u32::from(last.content != Content::Deleted);
            let times = times.get(id).copied().unwrap_or(0);
            if times != expected {
                wrong.push(format!("Observation/{id}: {times} times for {expected}"));
            }
        }
        wrong
    }

    /// The state of each Observation that was written, deleted ones too.
    pub fn newest(&self) -> Vec<(String, Current)> {
        let ids: Vec<String> = self.all().keys().cloned().collect();
        let state = |id: String| {
            let current = self.current(&id);
            (id, current)
        };
        let all = ids.into_iter().map(state);
        all.filter(|(_, current)| current.version > 0).collect()
    }

    /// How many versions of how many Observations were acknowledged.
    pub fn size(&self) -> (usize, usize) {
        let all = self.all();
        let versions = all.values().map(|known| known.versions.len()).sum();
        (versions, all.len())
    }
}

fn id(resource: &Value) -> Option<&str> {
    resource["id"].as_str()
}

/// `meta.versionId` as a number.
pub fn version(resource: &Value) -> Option<u32> {
    resource["meta"]["versionId"].as_str()?.parse().ok()
}

fn digest(resource: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    resource.to_string().hash(&mut hasher);
    hasher.finish()
}
