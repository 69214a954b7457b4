//! The people of a run, and the records that writers keep about them.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use kenko_fhir::fhir::id::{ObservationKey, kind_hash, participant, participant_hash, source_hash};
use kenko_fhir::synth::Cohort;
use kenko_fhir::time::parse14;
use serde_json::{Value, json};

use crate::session::{Run, Session, resources};

/// Days of the cohort that stands before writers begin.
const DAYS: u32 = 7;
const SID: &str = "https://kenko-fhir.example/fhir/sid/record";

/// A person.
#[derive(Clone)]
pub struct Person {
    /// The row of the list of participants.
    pub row: Value,
    /// `consortium_id`
    pub consortium: String,
    /// `person_id`
    pub person: String,
    /// `Patient/{id}`
    pub patient: String,
}

/// A weight that one writer writes, again and again.
#[derive(Clone)]
pub struct Weight {
    /// The person it is of.
    pub consortium: String,
    /// `person_id`
    pub person: String,
    /// `Observation/{id}`
    pub id: String,
    patient: String,
    day: NaiveDate,
    minute: u32,
    serial: String,
}

/// Loads the lists and the records of a cohort through the server, and enters them.
pub fn load(session: &mut Session<'_>, participants: u32, seed: u64) -> Vec<Person> {
    let cohort = Cohort::new(participants, DAYS, seed);
    let json = [("Content-Type", "application/json")];
    for file in cohort.files() {
        let body = String::from_utf8(file.bytes()).expect("JSON");
        let request = match file.list() {
            Some(list) => ("PUT", format!("/exchange/registries/{list}")),
            None => ("POST", "/exchange/submissions".to_owned()),
        };
        let request = (request.0, request.1.as_str());
        let sent = session.send("load", request, &json, &body, &[200, 201]);
        sent.expect("a cohort that is taken");
    }
    let all = "/fhir/Observation?_count=1000";
    let walked = session.walk("load", all, "next", |session, _, answer| {
        resources(&answer.body).for_each(|resource| session.run.ledger.stand(resource));
    });
    walked.expect("a cohort that can be read");
    let list = session.get("load", "/exchange/registries/participants");
    let rows = list.expect("a list").body;
    let rows = rows.as_array().cloned().unwrap_or_default();
    rows.into_iter().filter_map(Person::of).collect()
}

impl Person {
    fn of(row: Value) -> Option<Person> {
        let consortium = row["consortium_id"].as_str()?.to_owned();
        let person = row["person_id"].as_str()?.to_owned();
        Some(Person {
            patient: participant(&consortium, &person),
            consortium,
            person,
            row,
        })
    }

    /// Whether the person takes part to the end.
    fn stays(&self) -> bool {
        self.row["participation_end_date"].is_null()
    }
}

impl Weight {
    /// So many weights of a writer, of all people of a consortium in turn: a submission is of one.
    pub fn all(people: &[Person], writer: u32, number: usize) -> Vec<Weight> {
        let consortia: Vec<&str> = {
            let mut all: Vec<&str> = people.iter().map(|p| p.consortium.as_str()).collect();
            all.dedup();
            all
        };
        let consortium = consortia[writer as usize % consortia.len()];
        let of = |person: &&Person| person.consortium == consortium && person.stays();
        let people: Vec<&Person> = people.iter().filter(of).collect();
        let numbers = 0..number;
        let weights = numbers.map(|n| Weight::of(people[n % people.len()], writer, n));
        weights.collect()
    }

    fn of(person: &Person, writer: u32, number: usize) -> Weight {
        let first = NaiveDate::from_ymd_opt(2025, 4, 1).expect("a day");
        let day = first + Days::new((number % DAYS as usize) as u64);
        let mut weight = Weight {
            consortium: person.consortium.clone(),
            person: person.person.clone(),
            patient: person.patient.clone(),
            id: String::new(),
            day,
            minute: number as u32 % 1440,
            serial: format!("SOAK{writer:02}-{number:05}"),
        };
        let time = weight.time14();
        let id = weight_id(&weight.consortium, &weight.person, &time, &weight.serial);
        weight.id = id.expect("a time");
        weight
    }

    fn time14(&self) -> String {
        let (hour, minute) = (self.minute / 60, self.minute % 60);
        format!("{}{hour:02}{minute:02}00", self.day.format("%Y%m%d"))
    }

    /// `[base]/Observation?identifier=…`, without the base.
    pub fn by_identifier(&self) -> String {
        let Weight {
            consortium, person, ..
        } = self;
        let time = self.time14();
        let serial = &self.serial;
        format!("identifier={SID}%7C{consortium}:{person}:weighing_scale:{time}:{serial}")
    }

    /// The record of the protocol.
    pub fn record(&self, kilograms: &str, update_time: &str) -> Value {
        json!({
            "observation_time": self.time14(),
            "body_weight": number(kilograms),
            "model_manufacturer_code": "ACME",
            "model_number": "WS-100",
            "production_specification_serial": self.serial,
            "data_input_code": "0",
            "origin_of_time_code": "1",
            "update_time": update_time,
        })
    }

    /// The Observation of another system, with a note that the protocol cannot say.
    pub fn observation(&self, kilograms: &str) -> Value {
        let (hour, minute) = (self.minute / 60, self.minute % 60);
        json!({
            "resourceType": "Observation",
            "id": self.id,
            "status": "final",
            "code": { "coding": [{ "system": "http://loinc.org", "code": "29463-7" }] },
            "contained": [{
                "resourceType": "Device", "id": "scale",
                "manufacturer": "ACME", "modelNumber": "WS-100", "serialNumber": self.serial,
            }],
            "device": { "reference": "#scale" },
            "subject": { "reference": format!("Patient/{}", self.patient) },
            "effectiveDateTime": format!("{}T{hour:02}:{minute:02}:00+09:00", self.day),
            "issued": now().format("%Y-%m-%dT%H:%M:%S%.3f+09:00").to_string(),
            "valueQuantity": {
                "value": number(kilograms), "unit": "kg",
                "system": "http://unitsofmeasure.org", "code": "kg",
            },
            "note": [{ "text": format!("weighed at {kilograms}") }],
        })
    }
}

/// The id of a weight's Observation; `None` where the time is none.
pub fn weight_id(consortium: &str, person: &str, time: &str, serial: &str) -> Option<String> {
    let key = ObservationKey {
        participant: participant_hash(consortium, person),
        kind: kind_hash("weighing_scale"),
        seconds: parse14(time)?,
        source: source_hash(serial),
    };
    Some(key.encode())
}

/// A number with its digits.
pub fn number(digits: &str) -> Value {
    digits.parse().map(Value::Number).expect("a number")
}

/// The time in Japan.
fn now() -> DateTime<Utc> {
    Utc::now() + TimeDelta::hours(9)
}

/// The time in Japan as a time17.
pub fn time17() -> String {
    now().format("%Y%m%d%H%M%S%3f").to_string()
}

/// A submission of records, each with its `person_id`.
pub fn submission(consortium: &str, records: &[(&str, Value)]) -> String {
    let people = records.iter().map(|(person, record)| {
        json!({
            "person_id": person,
            "healthcare_information": { "weighing_scale": [record] },
        })
    });
    json!({
        "format_version": "1.0",
        "send_time": time17(),
        "consortium_id": consortium,
        "person_information": people.collect::<Vec<_>>(),
    })
    .to_string()
}

/// The whole of Observations by a walk in both directions, each checked by the ledger.
pub fn walk_all(session: &mut Session<'_>, query: &str) {
    let run: &Run = session.run;
    let mut path = format!("/fhir/Observation?{query}");
    // The way back begins at the last page of the way there: what was written since that one was
    // asked for may stand behind it.
    let began = std::time::Instant::now();
    for relation in ["next", "previous"] {
        let mut times = std::collections::HashMap::new();
        let walked = session.walk("walk", &path, relation, |session, path, answer| {
            for (id, n) in session.searchset(path, answer) {
                *times.entry(id).or_default() += n;
            }
        });
        let Some(last) = walked else { return };
        let walk = format!("walk of {query} by {relation}");
        for wrong in run.ledger.listed(&times, began) {
            run.fault(format!("{walk}: {wrong}"));
        }
        path = last;
    }
}
