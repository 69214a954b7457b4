//! What Observations that are parts of one record say beyond their values: it comes together
//! beside the record, in one Bundle or late (mapping specification §5.3, §5.5).

use kenko_fhir::fhir::id;
use serde_json::{Value, json};

use crate::joins::{answers, bundle, diastolic, post, pulse, systolic};
use crate::server::{Answer, PERSON, Server, entries};

const OUTCOME: &[(&str, &str)] = &[("prefer", "return=OperationOutcome")];

/// A pulse with much that the protocol cannot say.
fn rich_pulse() -> Value {
    let mut sent = pulse(68);
    let more = json!({
        "id": "of-the-hospital",
        "meta": { "tag": [{ "system": "http://hospital.example/tags", "code": "ward-3" }] },
        "text": { "status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Pulse 68</div>" },
        "identifier": [{ "system": "http://hospital.example/observations", "value": "4712" }],
        "performer": [{ "reference": "Practitioner/p2" }],
        "interpretation": [{ "text": "regular" }],
        "note": [{ "text": "counted by hand" }],
        "referenceRange": [{ "text": "50 to 90" }],
        "extension": [{ "url": "http://hospital.example/bed", "valueString": "7" }],
    });
    for (name, value) in more.as_object().unwrap() {
        sent[name] = value.clone();
    }
    sent["code"]["coding"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "system": "http://hospital.example/codes", "code": "HR" }));
    sent["code"]["text"] = json!("Pulse by hand");
    sent
}

fn with(mut resource: Value, name: &str, value: Value) -> Value {
    resource[name] = value;
    resource
}

fn note(text: &str) -> Value {
    json!([{ "text": text }])
}

/// A blood pressure without a pulse, which says more than its values, is stored; its address.
async fn stored(server: &Server) -> String {
    let first = with(systolic(128), "note", note("sitting"));
    let second = with(diastolic(82), "interpretation", note("high"));
    let sent = bundle("transaction", &[first, second]);
    let answer = server.write("POST", "", &[], &sent).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let id = server.id("/Observation?code=85354-9&date=2016-11-01").await;
    format!("/Observation/{id}")
}

fn notes(of: &Value) -> Vec<&str> {
    let notes = of["note"].as_array().into_iter().flatten();
    notes.map(|note| note["text"].as_str().unwrap()).collect()
}

fn component<'v>(of: &'v Value, code: &str) -> &'v Value {
    let mut components = of["component"].as_array().unwrap().iter();
    let found = components.find(|c| c["code"]["coding"][0]["code"] == code);
    found.unwrap_or_else(|| panic!("{code}: {of:#}"))
}

/// The diagnostics that are told of an element.
fn told(answer: &Answer, element: &str) -> String {
    let outcome = answer.json();
    let issues = outcome["issue"].as_array().unwrap().iter();
    let of_it = issues.filter(|issue| {
        let expressions = issue["expression"].to_string();
        expressions.contains(&format!("Observation.{element}\""))
    });
    let texts = of_it.map(|issue| issue["diagnostics"].as_str().unwrap().to_owned());
    texts.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn what_a_late_pulse_says_comes_to_what_is_kept_of_its_record() {
    let server = Server::with_example().await;
    let path = stored(&server).await;
    let answer = server
        .write("POST", "/Observation", OUTCOME, &rich_pulse())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    for element in ["note", "performer[0]", "interpretation"] {
        let text = told(&answer, element);
        assert!(
            text.contains("kept beside the record"),
            "{element}: {}",
            answer.text
        );
    }
    // A text of the pulse alone is none of the whole.
    assert!(
        told(&answer, "text").contains("not kept"),
        "{}",
        answer.text
    );
    let read = server.found(&path).await;
    assert_eq!(read["meta"]["versionId"], "2");
    assert_eq!(notes(&read), ["sitting", "counted by hand"]);
    assert_eq!(
        read["performer"],
        json!([{ "reference": "Practitioner/p2" }])
    );
    assert_eq!(read["meta"]["tag"][0]["code"], "ward-3");
    assert!(
        read["extension"]
            .to_string()
            .contains("hospital.example/bed")
    );
    assert_eq!(read.get("text"), None);
    let own = component(&read, "8867-4");
    assert_eq!(own["valueQuantity"]["value"], 68);
    assert_eq!(own["interpretation"][0]["text"], "regular");
    assert_eq!(own["referenceRange"][0]["text"], "50 to 90");
    assert_eq!(own["code"]["text"], "Pulse by hand");
    // What was said of the other values holds.
    let other = component(&read, "8462-4");
    assert_eq!(other["interpretation"][0]["text"], "high");
    for query in [
        "component-code=http://hospital.example/codes|HR",
        "combo-code=HR",
        "performer=Practitioner/p2",
        "identifier=4712",
        "_tag=ward-3",
    ] {
        let id = server.id(&format!("/Observation?{query}")).await;
        assert_eq!(path, format!("/Observation/{id}"), "{query}");
    }
    let former = server.found(&format!("{path}/_history/1")).await;
    assert_eq!(notes(&former), ["sitting"]);
    assert!(!former.to_string().contains("hospital.example/bed"));
    // The same again is nothing new, and neither is what was read.
    let again = post(&server, &rich_pulse()).await;
    assert_eq!(
        (again.status.as_u16(), again.header("etag")),
        (200, "W/\"2\"")
    );
    let put = server.write("PUT", &path, &[], &read).await;
    assert_eq!(
        (put.status.as_u16(), put.header("etag")),
        (200, "W/\"2\""),
        "{}",
        put.text
    );
}

#[tokio::test]
async fn a_pulse_that_came_before_brings_what_it_did_not_say_then() {
    let server = Server::with_example().await;
    let path = stored(&server).await;
    let bare = post(&server, &pulse(68)).await;
    assert_eq!(
        (bare.status.as_u16(), bare.header("etag")),
        (200, "W/\"2\"")
    );
    let noted = with(pulse(68), "note", note("counted by hand"));
    let answer = post(&server, &noted).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("etag")),
        (200, "W/\"3\"")
    );
    assert_eq!(notes(&answer.json()), ["sitting", "counted by hand"]);
    // Two of one transaction come both.
    let sent = ["felt", "heard"].map(|text| with(pulse(68), "note", note(text)));
    let answer = server
        .write("POST", "", &[], &bundle("transaction", &sent))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let read = server.found(&path).await;
    assert_eq!(
        notes(&read),
        ["sitting", "counted by hand", "felt", "heard"]
    );
    let history = server.found(&format!("{path}/_history")).await;
    let numbers: Vec<usize> = entries(&history)
        .iter()
        .map(|e| notes(&e["resource"]).len())
        .collect();
    assert_eq!(numbers, [4, 3, 2, 1, 1]);
}

#[tokio::test]
async fn a_late_pulse_that_contradicts_its_record_is_refused() {
    let server = Server::with_example().await;
    let of = |site: &str| json!({ "text": site });
    let sent = [
        with(systolic(128), "bodySite", of("左上腕")),
        with(diastolic(82), "bodySite", of("左上腕")),
    ];
    let answer = server
        .write("POST", "", &[], &bundle("transaction", &sent))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let other = post(&server, &with(pulse(68), "bodySite", of("右上腕"))).await;
    assert_eq!(other.status, 422, "{}", other.text);
    let same = post(&server, &with(pulse(68), "bodySite", of("左上腕"))).await;
    assert_eq!(
        (same.status.as_u16(), same.header("etag")),
        (200, "W/\"2\""),
        "{}",
        same.text
    );
}

#[tokio::test]
async fn a_pulse_may_name_a_record_of_its_own_transaction() {
    let server = Server::with_example().await;
    let site = json!({ "text": "手首" });
    let halves = [systolic(128), diastolic(82)].map(|half| with(half, "bodySite", site.clone()));
    let mut named = with(pulse(68), "note", note("counted by hand"));
    named["identifier"] = json!([{
        "system": "https://kenko-fhir.example/fhir/sid/record",
        "value": format!("A00001:{PERSON}:checkup_blood_pressure:20161101093000:"),
    }]);
    named["category"] = json!([{ "coding": [{
        "system": "https://kenko-fhir.example/fhir/CodeSystem/record-kind",
        "code": "checkup_blood_pressure",
    }] }]);
    let [first, second] = halves;
    let sent = bundle("transaction", &[named, first, second]);
    let answer = server.write("POST", "", &[], &sent).await;
    let found = server
        .matches("/Observation?code=85354-9&date=2016-11-01")
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(found.len(), 1);
    assert_eq!(component(&found[0], "8867-4")["valueQuantity"]["value"], 68);
    assert_eq!(found[0]["bodySite"]["text"], "手首");
    assert_eq!(notes(&found[0]), ["counted by hand"]);
}

#[tokio::test]
async fn what_the_parts_of_a_bundle_say_is_kept_of_each() {
    let server = Server::with_example().await;
    let text = |of: &str| json!({ "status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{of}</div>") });
    let mut first = with(systolic(128), "note", note("sitting"));
    first["performer"] = json!([{ "reference": "Practitioner/p1" }]);
    first["text"] = text("128");
    let mut second = with(diastolic(82), "note", note("phase V"));
    second["performer"] = first["performer"].clone();
    second["text"] = text("82");
    let mut third = rich_pulse();
    third["issued"] = json!("2016-11-03T00:00:00.000+09:00");
    let answer = server
        .write(
            "POST",
            "",
            OUTCOME,
            &bundle("transaction", &[third, first, second]),
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answers(&answer).len(), 3);
    for entry in entries(&answer.json()) {
        let outcome = entry["response"]["outcome"].to_string();
        assert!(
            outcome.contains("not kept") && outcome.contains(".text\""),
            "{outcome}"
        );
    }
    let found = server
        .matches("/Observation?code=85354-9&date=2016-11-01")
        .await;
    let [read] = found.as_slice() else {
        panic!("{found:?}")
    };
    let mut all = notes(read);
    all.sort_unstable();
    assert_eq!(all, ["counted by hand", "phase V", "sitting"]);
    assert_eq!(read["performer"].as_array().unwrap().len(), 2);
    // The later of the times, and the id of the record.
    assert_eq!(read["issued"], "2016-11-03T00:00:00.000+09:00");
    assert_eq!(read["id"].as_str().unwrap().len(), 43);
    let key = id::ObservationKey::decode(read["id"].as_str().unwrap());
    assert!(key.is_some());
}

#[tokio::test]
async fn an_id_that_was_written_is_none_of_the_record() {
    let server = Server::with_example().await;
    let mut sent = crate::server::observation("2016-10-01T07:00:00+09:00", "61.50");
    sent["id"] = json!("of-the-hospital");
    sent["note"] = note("after breakfast");
    let created = server.create(&sent).await;
    assert_ne!(created["id"], sent["id"]);
    let path = format!("/Observation/{}", created["id"].as_str().unwrap());
    assert_eq!(server.found(&path).await["id"], created["id"]);
    // The status that a later version shows is no difference to it.
    let mut noted = created.clone();
    noted["note"] = note("fasting");
    let second = server.write("PUT", &path, &[], &noted).await;
    assert_eq!(second.header("etag"), "W/\"2\"");
    let again = server.write("PUT", &path, &[], &second.json()).await;
    assert_eq!(again.header("etag"), "W/\"2\"", "{}", again.text);
}
