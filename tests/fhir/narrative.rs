//! Narratives: <https://hl7.org/fhir/R4/narrative.html>.

use serde_json::{Value, json};

use crate::server::{Server, entry, observation};

const AT: &str = "2016-10-01T07:00:00+09:00";
const HARMLESS: &str = "<p style=\"color: red\">61.5 kg <a href=\"https://example.org\">x</a></p>";

/// Narratives that are not R4's, and where the mistake stands within them.
fn refused() -> Vec<(Value, &'static str)> {
    let mut list: Vec<(Value, &str)> = [
        "x<script>alert(1)</script>",
        "<p onclick=\"alert(1)\">x</p>",
        "<a href=\"javascript:alert(1)\">x</a>",
        "<form action=\"https://example.org\"><input name=\"x\"/></form>",
        "<iframe src=\"https://example.org\"/>",
        "<p>x",
        "&nbsp;",
        " ",
    ]
    .into_iter()
    .map(|content| (narrative(content), ".div"))
    .collect();
    list.extend([
        (json!({ "status": "generated" }), ""),
        (
            json!({ "status": "generated", "div": "<div>x</div>" }),
            ".div",
        ),
        (json!({ "status": "generated", "div": "x" }), ".div"),
    ]);
    let mut unknown = narrative("x");
    unknown["status"] = json!("final");
    list.push((unknown, ".status"));
    unknown = narrative("x");
    unknown.as_object_mut().unwrap().remove("status");
    list.push((unknown, ""));
    list
}

fn narrative(content: &str) -> Value {
    let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{content}</div>");
    json!({ "status": "generated", "div": div })
}

fn with(text: &Value) -> Value {
    let mut sent = observation(AT, "61.50");
    sent["text"] = text.clone();
    sent
}

#[tokio::test]
async fn a_narrative_of_r4_is_kept_as_it_was_written() {
    let server = Server::with_example().await;
    let made = server.create(&with(&narrative(HARMLESS))).await;
    assert_eq!(made["text"], narrative(HARMLESS));
    let path = format!("/Observation/{}", made["id"].as_str().unwrap());
    assert_eq!(server.found(&path).await["text"], narrative(HARMLESS));
}

#[tokio::test]
async fn any_other_is_refused_with_its_place_on_every_way_in() {
    let server = Server::with_example().await;
    let made = server.create(&observation(AT, "61.50")).await;
    let path = format!("/Observation/{}", made["id"].as_str().unwrap());
    for (text, place) in refused() {
        let sent = with(&text);
        let at = format!("Observation.text{place}");
        let answer = server.write("POST", "/Observation", &[], &sent).await;
        assert_eq!(answer.status, 400, "{text}: {}", answer.text);
        let issue = &answer.json()["issue"][0];
        assert_eq!(issue["expression"][0], at.as_str(), "{}", answer.text);

        let patch = json!([{ "op": "add", "path": "/text", "value": text }]).to_string();
        let media = ("content-type", "application/json-patch+json");
        let answer = server.send("PATCH", &path, &[media], &patch).await;
        assert_eq!(answer.status, 400, "{text}: {}", answer.text);

        let mut around = observation(AT, "61.50");
        around["contained"] = json!([{ "resourceType": "Practitioner", "id": "p", "text": text }]);
        around["performer"] = json!([{ "reference": "#p" }]);
        let answer = server.write("POST", "/Observation", &[], &around).await;
        assert_eq!(answer.status, 400, "{text}: {}", answer.text);

        let entries = [entry("POST", "Observation", Some(sent.clone()))];
        let bundle = json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries });
        let answer = server.write("POST", "", &[], &bundle).await;
        assert_eq!(answer.status, 400, "{text}: {}", answer.text);

        let answer = server
            .write("POST", "/Observation/$validate", &[], &sent)
            .await;
        assert_eq!(answer.status, 200, "{text}: {}", answer.text);
        let outcome = answer.json();
        let error = outcome["issue"].as_array().unwrap().iter();
        let mut error = error.filter(|issue| issue["severity"] == "error");
        assert_eq!(
            error.next().unwrap()["expression"][0],
            at.as_str(),
            "{}",
            answer.text
        );
    }
    assert_eq!(server.found(&path).await["meta"]["versionId"], "1");
}
