//! Changes of the lists: rows of participants, devices and methods, and Patients over FHIR.

use serde_json::{Value, json};

use crate::population::Person;
use crate::session::Session;

const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

/// The one that changes the lists; it knows what stands in them.
pub struct Registrar<'a> {
    session: Session<'a>,
    people: Vec<Person>,
    changes: usize,
}

impl<'a> Registrar<'a> {
    /// Of these people.
    pub fn new(session: Session<'a>, people: &[Person]) -> Registrar<'a> {
        Registrar {
            session,
            people: people.to_vec(),
            changes: 0,
        }
    }

    /// Changes until the run is over, then compares the list.
    pub fn run(mut self) {
        while self.session.turn() {
            self.changes += 1;
            match self.session.random.below(10) {
                0..4 => self.patient(),
                4..7 => self.participants(),
                7 => self.replace(),
                8 => self.device(),
                _ => self.methods(),
            }
        }
        self.compare();
    }

    fn list(&mut self, method: &str, list: &str, rows: &Value) {
        let path = format!("/exchange/registries/{list}");
        let body = rows.to_string();
        let request = (method, path.as_str());
        self.session.send("registry", request, &JSON, &body, &[200]);
    }

    /// Another gender over FHIR.
    fn patient(&mut self) {
        let at = self.session.random.below(self.people.len());
        let person = &mut self.people[at];
        let (code, gender) = match person.row["sex_code"].as_str() {
            Some("1") => ("2", "female"),
            _ => ("1", "male"),
        };
        person.row["sex_code"] = json!(code);
        let path = format!("/fhir/Patient/{}", person.patient);
        let patch = json!([{ "op": "replace", "path": "/gender", "value": gender }]);
        let headers = [("Content-Type", "application/json-patch+json")];
        let request = ("PATCH", path.as_str());
        let body = patch.to_string();
        self.session
            .send("Patient", request, &headers, &body, &[200]);
        if let Some(read) = self.session.get("Patient", &path)
            && read.body["gender"] != gender
        {
            let run = self.session.run;
            run.fault(format!("{path}: {} for {gender}", read.body["gender"]));
        }
    }

    /// Another way to work of a few people.
    fn participants(&mut self) {
        let mut rows = Vec::new();
        for _ in 0..5 {
            let at = self.session.random.below(self.people.len());
            let row = &mut self.people[at].row;
            row["commute_code"] = json!((self.changes % 5).to_string());
            rows.push(row.clone());
        }
        // The same key twice in a list is refused.
        rows.sort_by_key(key);
        rows.dedup_by_key(|row| key(row));
        self.list("PATCH", "participants", &Value::Array(rows));
    }

    /// The whole list.
    fn replace(&mut self) {
        let rows = self.people.iter().map(|person| person.row.clone());
        let rows = Value::Array(rows.collect());
        self.list("PUT", "participants", &rows);
    }

    fn device(&mut self) {
        let row = json!({
            "model_manufacturer_code": "SOAK", "model_number": "S-1",
            "device_name": format!("scale {}", self.changes), "device_type_code": "1",
        });
        self.list("PATCH", "devices", &json!([row]));
    }

    fn methods(&mut self) {
        let row = json!({
            "measurement_method_code": "S00001", "method_class_code": "9",
            "method_name": format!("method {}", self.changes),
        });
        self.list("PATCH", "hba1c-methods", &json!([row]));
    }

    fn compare(&mut self) {
        let list = self
            .session
            .get("registry", "/exchange/registries/participants");
        let Some(list) = list else { return };
        let mut stored = list.body.as_array().cloned().unwrap_or_default();
        let mut expected: Vec<Value> = self.people.iter().map(|p| p.row.clone()).collect();
        stored.sort_by_key(key);
        expected.sort_by_key(key);
        for row in expected.iter().filter(|row| {
            stored
                .binary_search_by_key(&key(row), key)
                .map_or(true, |at| stored[at] != **row)
        }) {
            self.session
                .run
                .fault(format!("participants: lost or changed: {row}"));
        }
    }
}

fn key(row: &Value) -> String {
    format!("{} {}", row["consortium_id"], row["person_id"])
}
