//! Writers: submissions, and every way to write over FHIR. Each has Observations of its own.

use serde_json::{Value, json};

use crate::ledger::Content;
use crate::population::{Weight, number, submission, time17};
use crate::session::Session;

/// Records of a large submission.
const LARGE: usize = 300;

/// A writer.
pub struct Writer<'a> {
    session: Session<'a>,
    weights: Vec<Weight>,
    /// One that is only ever refused.
    refused: Weight,
    written: usize,
}

impl<'a> Writer<'a> {
    /// A writer of these, of which it keeps the last for what is refused.
    pub fn new(session: Session<'a>, mut weights: Vec<Weight>) -> Writer<'a> {
        let refused = weights.pop().expect("some weights");
        Writer {
            session,
            weights,
            refused,
            written: 0,
        }
    }

    /// Writes until the run is over.
    pub fn run(mut self) {
        while self.session.turn() {
            let weight = self.pick();
            let alive = self.session.run.ledger.current(&weight.id).alive;
            match self.session.random.below(100) {
                0 => self.submit(LARGE, false),
                1..20 => {
                    let number = self.session.random.below(8) + 1;
                    self.submit(number, false);
                }
                20..25 => self.submit(3, true),
                25..28 => self.submit_refused(),
                28..38 => self.create(&weight),
                38..50 => self.update(&weight),
                50..58 if alive => self.patch(&weight),
                58..63 if alive => self.delete(&weight),
                63..71 => self.update_by_identifier(&weight),
                71..76 if alive => self.create_once(&weight),
                76..81 if alive => self.update_stale(&weight),
                81..91 => self.bundle("transaction"),
                91..100 => self.bundle("batch"),
                _ => self.update(&weight),
            }
        }
    }

    fn pick(&mut self) -> Weight {
        self.session.random.pick(&self.weights).clone()
    }

    /// So many different ones.
    fn some(&mut self, number: usize) -> Vec<Weight> {
        let from = self.session.random.below(self.weights.len());
        let all = self.weights.iter().cycle().skip(from);
        all.take(number.min(self.weights.len())).cloned().collect()
    }

    /// Another value than the last ones.
    fn value(&mut self) -> String {
        self.written += 1;
        let hundredths = self.written % 9000;
        format!("{}.{:02}", 40 + hundredths / 100, hundredths % 100)
    }

    /// Announces a value for an Observation.
    fn announce(&mut self, weight: &Weight) -> String {
        let value = self.value();
        let content = Content::Value(number(&value).to_string());
        self.session.run.ledger.announce(&weight.id, content);
        value
    }

    /// Settles what an answer says of an Observation, and checks what it shows.
    fn settle(&self, what: &str, weight: &Weight, answer: Option<&Value>) {
        let ledger = &self.session.run.ledger;
        ledger.settle(&weight.id, answer.is_some());
        if let Some(body @ Value::Object(_)) = answer
            && body["resourceType"] == "Observation"
        {
            let checked = ledger.shown(body, std::time::Instant::now());
            self.session.run.check(what, checked);
        }
    }

    fn submit(&mut self, number: usize, lenient: bool) {
        let weights = self.some(number);
        let mut records = Vec::new();
        for weight in &weights {
            let value = self.announce(weight);
            let record = weight.record(&value, &time17());
            records.push((weight.person.as_str(), record));
        }
        let mut headers = vec![("Content-Type", "application/json")];
        let refused = self.refused.clone();
        if lenient {
            headers.push(("Prefer", "handling=lenient"));
            // Three decimals where two are allowed.
            let record = refused.record("61.505", &time17());
            records.push((refused.person.as_str(), record));
        }
        let body = submission(&refused.consortium, &records);
        let operation = match number {
            LARGE => "submission, large",
            _ => "submission",
        };
        let request = ("POST", "/exchange/submissions");
        let answer = self
            .session
            .send(operation, request, &headers, &body, &[201]);
        let stored = answer.as_ref().map(|_| &Value::Null);
        for weight in &weights {
            self.settle(operation, weight, stored);
        }
        let Some(answer) = answer else { return };
        let run = self.session.run;
        let counts = &answer.body["counts"];
        let count = |name: &str| counts[name].as_u64().unwrap_or(0) as usize;
        if (count("created") + count("updated"), count("refused"))
            != (weights.len(), usize::from(lenient))
        {
            run.fault(format!("submission of {}: {counts}", records.len()));
        }
        let id = answer.body["id"].as_str().unwrap_or_default();
        run.ledger.receipt(id.to_owned());
    }

    /// A submission that is refused as a whole: nothing of it may be seen.
    fn submit_refused(&mut self) {
        let weights = self.some(3);
        let mut records = Vec::new();
        for weight in &weights {
            let value = self.value();
            records.push((weight.person.as_str(), weight.record(&value, &time17())));
        }
        let refused = self.refused.clone();
        let record = refused.record("61.505", &time17());
        records.push((refused.person.as_str(), record));
        let body = submission(&refused.consortium, &records);
        let request = ("POST", "/exchange/submissions");
        let headers = [("Content-Type", "application/json")];
        let operation = "submission, refused";
        let answer = self
            .session
            .send(operation, request, &headers, &body, &[422]);
        if let Some(answer) = answer {
            let id = answer.body["id"].as_str().unwrap_or_default();
            self.session.run.ledger.receipt(id.to_owned());
        }
    }

    /// Sends an Observation with another value.
    fn write(
        &mut self,
        operation: &'static str,
        weight: &Weight,
        request: (&str, &str),
        headers: &[(&str, &str)],
    ) {
        let value = self.announce(weight);
        let mut body = weight.observation(&value);
        if request.0 == "POST" {
            body.as_object_mut().map(|body| body.remove("id"));
        }
        let expected = [200, 201];
        let answer = self
            .session
            .write(operation, request, headers, &body, &expected);
        self.settle(operation, weight, answer.as_ref().map(|a| &a.body));
    }

    fn create(&mut self, weight: &Weight) {
        self.write("create", weight, ("POST", "/fhir/Observation"), &[]);
    }

    fn update(&mut self, weight: &Weight) {
        let current = self.session.run.ledger.current(&weight.id);
        let tag = format!("W/\"{}\"", current.version);
        let headers = [("If-Match", tag.as_str())];
        let headers = if current.alive { &headers[..] } else { &[] };
        let path = format!("/fhir/Observation/{}", weight.id);
        self.write("update", weight, ("PUT", &path), headers);
    }

    fn update_by_identifier(&mut self, weight: &Weight) {
        let path = format!("/fhir/Observation?{}", weight.by_identifier());
        self.write("conditional update", weight, ("PUT", &path), &[]);
    }

    fn patch(&mut self, weight: &Weight) {
        let value = self.announce(weight);
        let path = format!("/fhir/Observation/{}", weight.id);
        let patch = json!([
            { "op": "replace", "path": "/valueQuantity/value", "value": number(&value) },
        ]);
        let headers = [("Content-Type", "application/json-patch+json")];
        let request = ("PATCH", path.as_str());
        let body = patch.to_string();
        let answer = self.session.send("patch", request, &headers, &body, &[200]);
        self.settle("patch", weight, answer.as_ref().map(|a| &a.body));
    }

    fn delete(&mut self, weight: &Weight) {
        let ledger = &self.session.run.ledger;
        ledger.announce(&weight.id, Content::Deleted);
        let path = format!("/fhir/Observation/{}", weight.id);
        let request = ("DELETE", path.as_str());
        let answer = self.session.send("delete", request, &[], "", &[204]);
        self.settle("delete", weight, answer.as_ref().map(|_| &Value::Null));
    }

    /// A conditional create of what is there: nothing is written.
    fn create_once(&mut self, weight: &Weight) {
        let body = weight.observation(&self.value());
        let condition = weight.by_identifier();
        let headers = [("If-None-Exist", condition.as_str())];
        let request = ("POST", "/fhir/Observation");
        self.session
            .write("conditional create", request, &headers, &body, &[200]);
    }

    /// An update of another version than the current one: nothing is written.
    fn update_stale(&mut self, weight: &Weight) {
        let body = weight.observation(&self.value());
        let path = format!("/fhir/Observation/{}", weight.id);
        let headers = [("If-Match", "W/\"999999\"")];
        self.session
            .write("update, stale", ("PUT", &path), &headers, &body, &[412]);
    }

    /// A transaction of updates, or a batch of them with one that is refused.
    fn bundle(&mut self, kind: &'static str) {
        let number = self.session.random.below(12) + 2;
        let weights = self.some(number);
        let mut entries = Vec::new();
        for weight in &weights {
            let value = self.announce(weight);
            entries.push(entry(weight, weight.observation(&value)));
        }
        if kind == "batch" {
            let mut refused = self.refused.observation("61.50");
            refused["status"] = json!("preliminary");
            entries.push(entry(&self.refused, refused));
        }
        let bundle = json!({ "resourceType": "Bundle", "type": kind, "entry": entries });
        let request = ("POST", "/fhir");
        let answer = self.session.write(kind, request, &[], &bundle, &[200]);
        let run = self.session.run;
        for (at, weight) in weights.iter().enumerate() {
            let response = answer.as_ref().map(|a| &a.body["entry"][at]["response"]);
            let status = response.and_then(|r| r["status"].as_str()?.get(..3));
            let stored = matches!(status, Some("200" | "201"));
            if response.is_some() && !stored {
                run.fault(format!("{kind}: {response:?}"));
            }
            self.settle(kind, weight, stored.then_some(&Value::Null));
            let version = run.ledger.current(&weight.id).version;
            let told = response.and_then(|r| r["etag"].as_str());
            if stored && told != Some(format!("W/\"{version}\"").as_str()) {
                run.fault(format!("{kind}: {told:?} for version {version}"));
            }
        }
        if let Some(answer) = answer
            && kind == "batch"
        {
            let status = &answer.body["entry"][weights.len()]["response"]["status"];
            if status
                .as_str()
                .is_none_or(|status| !status.starts_with("422"))
            {
                run.fault(format!("batch: {status} for what must be refused"));
            }
        }
    }
}

/// An update by its id, in a Bundle.
fn entry(weight: &Weight, resource: Value) -> Value {
    let url = format!("Observation/{}", weight.id);
    json!({ "resource": resource, "request": { "method": "PUT", "url": url } })
}
