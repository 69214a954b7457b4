//! Pollers: clients that ask again and again for what is new, and must miss nothing.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use crate::ledger::version;
use crate::session::{Session, resources};

/// Follows `_lastUpdated`, the newest that was seen at a time.
pub fn observations(mut session: Session<'_>) {
    let mut seen: HashMap<String, u32> = HashMap::new();
    let mut newest = "1970-01-01T00:00:00.000+09:00".to_owned();
    loop {
        let last = session.run.written.load(Ordering::SeqCst);
        let after = newest.replace('+', "%2B");
        let path =
            format!("/fhir/Observation?_lastUpdated=gt{after}&_sort=_lastUpdated&_count=1000");
        session.walk(
            "poll, _lastUpdated",
            &path,
            "next",
            |session, path, answer| {
                session.searchset(path, answer);
                for resource in resources(&answer.body) {
                    let updated = resource["meta"]["lastUpdated"].as_str();
                    let (Some(id), Some(updated)) = (resource["id"].as_str(), updated) else {
                        continue;
                    };
                    let known = seen.entry(id.to_owned()).or_default();
                    *known = (*known).max(version(resource).unwrap_or(0));
                    // All are of one offset.
                    if updated > newest.as_str() {
                        newest = updated.to_owned();
                    }
                }
            },
        );
        if last {
            break;
        }
        session.turn();
    }
    let run = session.run;
    for (id, current) in run.ledger.newest() {
        let seen = seen.get(&id).copied().unwrap_or(0);
        if current.alive && seen < current.version {
            run.fault(format!(
                "poll by _lastUpdated: Observation/{id}: missed version {}, saw {seen}",
                current.version
            ));
        }
    }
}

/// Follows the receipts by `since`.
pub fn receipts(mut session: Session<'_>) {
    let mut seen: HashSet<String> = HashSet::new();
    let mut since = "1970-01-01T00:00:00.000+09:00".to_owned();
    loop {
        let last = session.run.written.load(Ordering::SeqCst);
        let path = format!(
            "/exchange/submissions?count=500&since={}",
            since.replace('+', "%2B")
        );
        session.walk("poll, receipts", &path, "next", |_, _, answer| {
            for receipt in answer.body["receipts"].as_array().into_iter().flatten() {
                let received = receipt["received_at"].as_str().unwrap_or_default();
                if received > since.as_str() {
                    since = received.to_owned();
                }
                seen.insert(receipt["id"].as_str().unwrap_or_default().to_owned());
            }
        });
        if last {
            break;
        }
        session.turn();
    }
    for id in session.run.ledger.receipts() {
        if !seen.contains(&id) {
            session.run.fault(format!("poll of receipts: missed {id}"));
        }
    }
}
