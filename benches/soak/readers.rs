//! Readers: reads by id, searches, walks, histories, operations, and the protocol's records.

use serde_json::Value;

use crate::ledger::version;
use crate::population::{Person, walk_all, weight_id};
use crate::session::{Answer, Session, resources};

/// A reader.
pub struct Reader<'a> {
    session: Session<'a>,
    people: &'a [Person],
    ids: Vec<String>,
}

/// Searches of a Patient, by what they cost: the name, and the query.
const SEARCHES: [(&str, &str); 4] = [
    (
        "search, code and days",
        "code=http://loinc.org%7C41950-7&date=ge2025-04-01&date=lt2025-05-01&_count=50",
    ),
    (
        "search, newest 20",
        "category=vital-signs&_sort=-date&_count=20",
    ),
    ("search, a person", "_count=1000"),
    (
        "search, includes",
        "_include=Observation:device&_include=Observation:subject&_count=50",
    ),
];

impl<'a> Reader<'a> {
    /// A reader of these people and Observations.
    pub fn new(session: Session<'a>, people: &'a [Person], ids: Vec<String>) -> Reader<'a> {
        Reader {
            session,
            people,
            ids,
        }
    }

    /// Reads until the run is over.
    pub fn run(mut self) {
        while self.session.turn() {
            let person = self.session.random.pick(self.people).clone();
            let patient = person.patient.as_str();
            match self.session.random.below(200) {
                0..70 => self.read(),
                70..90 => self.history(),
                90..150 => {
                    let (name, query) = *self.session.random.pick(&SEARCHES);
                    self.search(
                        name,
                        &format!("/fhir/Observation?patient={patient}&{query}"),
                    );
                }
                150..160 => {
                    let high = "/fhir/Observation?code=http://loinc.org%7C4548-4";
                    let query = format!("{high}&value-quantity=ge6.5&_count=100");
                    self.search("search, high values", &query);
                    self.session.get("count", &format!("{high}&_summary=count"));
                }
                160..172 => {
                    self.search(
                        "$everything",
                        &format!("/fhir/Patient/{patient}/$everything"),
                    );
                }
                172..184 => {
                    let path = format!("/fhir/Observation/$lastn?patient={patient}&max=3");
                    self.search("$lastn", &path);
                }
                184..197 => self.records(&person),
                _ => {
                    let sorts = ["", "&_sort=-date", "&_sort=_lastUpdated"];
                    let sort = *self.session.random.pick(&sorts);
                    walk_all(&mut self.session, &format!("_count=500{sort}"));
                }
            }
        }
    }

    fn search(&mut self, operation: &'static str, path: &str) {
        if let Some(answer) = self.session.get(operation, path) {
            let times = self.session.searchset(path, &answer);
            if let Some((id, n)) = times.iter().find(|(_, n)| **n > 1) {
                let run = self.session.run;
                run.fault(format!("{path}: Observation/{id} {n} times on a page"));
            }
        }
    }

    /// One that is written now and then, or never.
    fn read(&mut self) {
        let id = self.session.random.pick(&self.ids).clone();
        read(&mut self.session, &id);
    }

    fn history(&mut self) {
        let id = self.session.random.pick(&self.ids).clone();
        history(&mut self.session, &id);
    }

    /// The protocol's records of a person, or of all of a consortium: the weights are checked.
    fn records(&mut self, person: &Person) {
        let consortium = person.consortium.as_str();
        let mut path = format!("/exchange/records?consortium_id={consortium}");
        if self.session.random.below(10) > 0 {
            path += &format!("&person_id={}", person.person);
        }
        let Some(answer) = self.session.get("records", &path) else {
            return;
        };
        let run = self.session.run;
        for person in list(&answer.body["person_information"]) {
            let of = person["person_id"].as_str().unwrap_or_default();
            for record in list(&person["healthcare_information"]["weighing_scale"]) {
                let text = |name: &str| record[name].as_str().unwrap_or_default();
                let serial = text("production_specification_serial");
                let id = weight_id(consortium, of, text("observation_time"), serial);
                let value = record["body_weight"].to_string();
                let id = id.unwrap_or_default();
                let checked = run.ledger.shown_value(&id, &value, answer.asked);
                run.check(&path, checked);
            }
        }
    }
}

/// The items of an array, none where there is none.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Reads an Observation by its id, and checks what is there.
pub fn read(session: &mut Session<'_>, id: &str) {
    let path = format!("/fhir/Observation/{id}");
    let answer = session.send("read", ("GET", &path), &[], "", &[200, 404, 410]);
    let Some(answer) = answer else { return };
    let ledger = &session.run.ledger;
    let checked = match answer.status {
        200 => ledger.shown(&answer.body, answer.asked),
        _ => ledger.absent(id, answer.asked),
    };
    session.run.check(&path, checked);
}

/// Reads the history of an Observation, and checks that it has all versions.
pub fn history(session: &mut Session<'_>, id: &str) {
    let before = session.run.ledger.current(id).version;
    let first = format!("/fhir/Observation/{id}/_history?_count=1000");
    let answer = session.send("history", ("GET", &first), &[], "", &[200, 404]);
    let Some(answer) = answer else { return };
    let mut shown = 0;
    for entry in list(&answer.body["entry"]) {
        shown += 1;
        if entry["request"]["method"] != "DELETE" {
            let checked = session.run.ledger.shown_version(&entry["resource"]);
            session.run.check(&first, checked);
        }
    }
    if shown < before.min(1000) {
        let run = session.run;
        run.fault(format!("{first}: {shown} of {before} versions"));
    }
    // One of them by itself.
    let versions: Vec<u32> = resources(&answer.body).filter_map(version).collect();
    if !versions.is_empty() {
        let number = *session.random.pick(&versions);
        let path = format!("/fhir/Observation/{id}/_history/{number}");
        if let Some(Answer { body, .. }) = session.get("vread", &path)
            && body != Value::Null
        {
            let checked = session.run.ledger.shown_version(&body);
            session.run.check(&path, checked);
        }
    }
}
