//! What is asked, and whether the answers are right.

use kenko_fhir::fhir::id;
use kenko_fhir::synth::Cohort;
use serde_json::Value;

use crate::client::Client;

/// Days of every cohort.
pub const DAYS: u32 = 90;
/// People whose records are asked for.
const PEOPLE: u32 = 200;

/// One query in many variants.
pub struct Query {
    /// Its name and what it asks.
    pub name: &'static str,
    /// The addresses.
    pub paths: Vec<String>,
    /// The most that SQLite may take, in CPU milliseconds.
    pub bar: f64,
}

/// A loaded cohort.
pub struct Workload {
    /// How many observations were stored.
    pub observations: u64,
    /// The people asked for: their Patient ids.
    pub patients: Vec<String>,
}

/// The entries of a page with a search mode.
fn found<'a>(bundle: &'a Value, mode: &str) -> Vec<&'a Value> {
    let entries = bundle["entry"].as_array().map_or(&[][..], Vec::as_slice);
    entries
        .iter()
        .filter(|e| e["search"]["mode"] == mode)
        .map(|e| &e["resource"])
        .collect()
}

impl Workload {
    /// Some people of a cohort, evenly from all of it.
    pub fn of(cohort: &Cohort, observations: u64) -> Workload {
        let consortia = cohort.participants.div_ceil(50).clamp(1, 8);
        let step = (cohort.participants / PEOPLE).max(1);
        let patients = (0..cohort.participants)
            .step_by(step as usize)
            .map(|n| {
                let consortium = format!("A{:05}", n % consortia + 1);
                let person = format!("P{:019}", n / consortia + 1);
                id::participant(&consortium, &person)
            })
            .collect();
        Workload {
            observations,
            patients,
        }
    }

    fn for_each(&self, path: impl Fn(&str) -> String) -> Vec<String> {
        self.patients.iter().map(|patient| path(patient)).collect()
    }

    /// The queries; each was asked once and gave what it must.
    pub fn queries(&self, client: &mut Client) -> Vec<Query> {
        const LOINC: &str = "http://loinc.org%7C";
        let high = format!("/fhir/Observation?code={LOINC}4548-4&value-quantity=ge6.5");
        let of = |rest: &'static str| {
            move |patient: &str| format!("/fhir/Observation?patient={patient}&{rest}")
        };
        let queries = vec![
            Query {
                name: "Q1 read",
                paths: self.read(client),
                bar: 0.05,
            },
            Query {
                name: "Q2 patient, code, 30 days",
                paths: self.for_each(of(
                    "code=http://loinc.org%7C41950-7&date=ge2025-05-01&date=lt2025-05-31&_count=50",
                )),
                bar: 0.5,
            },
            Query {
                name: "Q3 newest 20 vital signs",
                paths: self.for_each(of("category=vital-signs&_sort=-date&_count=20")),
                bar: 0.4,
            },
            Query {
                name: "Q4 HbA1c >= 6.5, 100 entries",
                paths: vec![format!("{high}&_count=100")],
                bar: 1.0,
            },
            Query {
                name: "Q5 the same, count only",
                paths: vec![format!("{high}&_summary=count")],
                bar: 0.3,
            },
            Query {
                name: "Q6 one person, up to 1000",
                paths: self.for_each(of("_count=1000")),
                bar: 3.0,
            },
            Query {
                name: "Q6e $everything",
                paths: self.for_each(|patient| format!("/fhir/Patient/{patient}/$everything")),
                bar: 3.0,
            },
            Query {
                name: "Q7 with two includes, 50 entries",
                paths: self.for_each(of(
                    "_include=Observation:device&_include=Observation:subject&_count=50",
                )),
                bar: 0.7,
            },
        ];
        check(client, &queries);
        queries
    }

    fn read(&self, client: &mut Client) -> Vec<String> {
        let mut paths = Vec::new();
        for patient in self.patients.iter().step_by(8) {
            let page = client.json(&format!("/fhir/Observation?patient={patient}&_count=40"));
            let ids = found(&page, "match")
                .into_iter()
                .filter_map(|r| r["id"].as_str());
            paths.extend(ids.map(|id| format!("/fhir/Observation/{id}")));
        }
        paths
    }

    /// The first page of all observations and a deep one.
    pub fn pages(&self, client: &mut Client, deep: usize) -> (String, String) {
        let first = "/fhir/Observation?_count=50".to_owned();
        let mut path = first.clone();
        for _ in 1..deep {
            let page = client.json(&path);
            assert_eq!(found(&page, "match").len(), 50, "{path}");
            let links = page["link"].as_array().expect("links");
            let next = links.iter().find(|l| l["relation"] == "next");
            let url = next.expect("a next page")["url"].as_str().expect("a link");
            let at = url.find("/fhir/").expect("a link of ours");
            path = url[at..].to_owned();
        }
        (first, path)
    }
}

/// Asks a few of each query and looks at the answers.
fn check(client: &mut Client, queries: &[Query]) {
    let value = |r: &Value| {
        r["valueQuantity"]["value"]
            .to_string()
            .parse()
            .unwrap_or(0.0_f64)
    };
    for query in queries {
        let step = (query.paths.len() / 5).max(1);
        for path in query.paths.iter().step_by(step) {
            let answer = client.json(path);
            let matches = found(&answer, "match");
            let right = match &query.name[..3] {
                "Q1 " => path.ends_with(answer["id"].as_str().expect("an id")),
                "Q2 " => (1..=30).contains(&matches.len()),
                "Q3 " => {
                    let times = matches.iter().map(|r| r["effectiveDateTime"].as_str());
                    matches.len() == 20 && times.rev().is_sorted()
                }
                "Q4 " => matches.len() == 100 && matches.iter().all(|r| value(r) >= 6.5),
                "Q5 " => answer["total"].as_u64().is_some_and(|n| n >= 100),
                // Not everybody measures every day.
                "Q6 " => matches.len() > 50,
                "Q6e" => {
                    let entries = answer["entry"].as_array().expect("entries");
                    let of = |name: &str| {
                        let named = entries
                            .iter()
                            .filter(|e| e["resource"]["resourceType"] == name);
                        named.count()
                    };
                    of("Patient") == 1 && of("Observation") > 50
                }
                "Q7 " => matches.len() == 50 && found(&answer, "include").len() >= 2,
                _ => false,
            };
            assert!(right, "{} at {path}", query.name);
        }
    }
}
