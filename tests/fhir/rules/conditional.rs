//! Conditions of writes, and PATCH (<https://hl7.org/fhir/R4/http.html#concurrency>).

use serde_json::{Value, json};

use super::write::{PATCH, PERSONS, Scale, participant, path_of, refused, with};

#[tokio::test]
async fn c1_06_a_stale_if_match_is_412_everywhere() {
    let scale = Scale::new().await;
    let made = scale.created("2016-11-01T07:00:00+09:00", "61.5").await;
    let path = path_of(&made);
    let text = |value: &str| made.to_string().replace("61.5,", &format!("{value},"));
    assert_eq!(
        scale.write("PUT", &path, &[], &text("62")).await.status,
        200
    );

    let patch = r#"[{"op":"replace","path":"/valueQuantity/value","value":99}]"#;
    // None of these is the second version, and none means "no condition".
    for tag in [
        "W/\"1\"", "\"1\"", "W/\"3\"", "W/\"x\"", "2", "W/2", "\"2", "", "W/\"\"", "x",
    ] {
        let condition = [("if-match", tag)];
        for answer in [
            scale.write("PUT", &path, &condition, &text("99")).await,
            scale
                .server
                .send("PATCH", &path, &[PATCH, condition[0]], patch)
                .await,
            scale.server.send("DELETE", &path, &condition, "").await,
        ] {
            // What is an entity tag is another one; what is none may be refused as such.
            let is_tag = ["W/\"1\"", "\"1\"", "W/\"3\"", "W/\"x\""].contains(&tag);
            let expected: &[u16] = if is_tag { &[412] } else { &[400, 412] };
            let status = answer.status.as_u16();
            assert!(expected.contains(&status), "{tag}: {status}");
            answer.issue();
        }
    }
    let read = scale.server.found(&path).await;
    assert_eq!(read["valueQuantity"]["value"].to_string(), "62");
    assert_eq!(read["meta"]["versionId"], "2");

    // The right one passes, as one of several, and "any".
    for (tag, value, version) in [
        ("W/\"2\"", "63", "W/\"3\""),
        ("W/\"9\", W/\"3\"", "64", "W/\"4\""),
        ("*", "65", "W/\"5\""),
        ("\"5\"", "66", "W/\"6\""),
    ] {
        let answer = scale
            .write("PUT", &path, &[("if-match", tag)], &text(value))
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("etag")),
            (200, version),
            "{tag}"
        );
    }
    let condition = [("if-match", "W/\"6\"")];
    assert_eq!(
        scale
            .server
            .send("DELETE", &path, &condition, "")
            .await
            .status,
        204
    );
    // What is not there matches no version.
    for tag in ["W/\"6\"", "*"] {
        let answer = scale
            .write("PUT", &path, &[("if-match", tag)], &text("70"))
            .await;
        refused(&answer, 412);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_07_if_none_exist_creates_once() {
    let scale = Scale::new().await;
    let person = participant(11);
    let number = person["identifier"][0]["value"].as_str().unwrap();
    let condition = format!("identifier={PERSONS}|{number}");
    let create = async |condition: &str, body: &str| {
        scale
            .write("POST", "/Patient", &[("if-none-exist", condition)], body)
            .await
    };
    let first = create(&condition, &person.to_string()).await;
    assert_eq!(first.status, 201, "{}", first.text);
    for form in [
        condition.clone(),
        format!("?{condition}"),
        format!("Patient?{condition}"),
        condition.replace('|', "%7C"),
    ] {
        // Another body: it is not read as an update.
        let other = with(&person, json!({ "gender": "male" }));
        let again = create(&form, &other).await;
        assert_eq!(again.status, 200, "{form}: {}", again.text);
        assert_eq!(again.json(), first.json());
        assert_eq!(again.header("etag"), "W/\"1\"");
    }
    refused(
        &create("gender=male,female", &participant(12).to_string()).await,
        412,
    );
    // What is not understood is no condition that holds.
    for wrong in [
        "",
        "no-such=1",
        "identifier=",
        "birthdate=x",
        "identifier=x&no-such=1",
    ] {
        refused(&create(wrong, &participant(12).to_string()).await, 400);
    }
    let absent = scale
        .server
        .number(&format!("/Patient?identifier=P{:019}", 12))
        .await;
    assert_eq!(absent, 0);

    // Eight at a time leave one.
    let body = scale.weight("2016-11-02T07:00:00+09:00", "62");
    let condition = format!(
        "patient={}&code=29463-7&date=2016-11-02T07:00:00%2B09:00",
        scale.patient
    );
    let headers = [("if-none-exist", condition.as_str())];
    let sends = (0..8).map(|_| scale.write("POST", "/Observation", &headers, &body));
    let answers = futures_util::future::join_all(sends).await;
    let mut statuses: Vec<u16> = answers.iter().map(|a| a.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);
    let found = scale
        .server
        .matches(&format!("/Observation?{condition}"))
        .await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["meta"]["versionId"], "1");
}

#[tokio::test]
async fn c1_08_conditional_updates_patches_and_deletes() {
    let scale = Scale::new().await;
    let at = |day: &str| format!("2016-11-{day}T07:00:00+09:00");
    let by = |day: &str| {
        format!(
            "/Observation?patient={}&code=29463-7&date=2016-11-{day}",
            scale.patient
        )
    };
    // None: created. One: updated.
    let answer = scale
        .write("PUT", &by("01"), &[], &scale.weight(&at("01"), "61"))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let made = answer.json();
    let answer = scale
        .write("PUT", &by("01"), &[], &scale.weight(&at("01"), "62"))
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("etag")),
        (200, "W/\"2\""),
        "{}",
        answer.text
    );
    assert_eq!(answer.json()["id"], made["id"]);
    let right = made.to_string().replace("\"value\":61,", "\"value\":63,");
    assert_eq!(scale.write("PUT", &by("01"), &[], &right).await.status, 200);
    // Another id, or several.
    let other = with(&made, json!({ "id": "other" }));
    refused(&scale.write("PUT", &by("01"), &[], &other).await, 400);
    scale.created(&at("02"), "61").await;
    let several = format!("/Observation?patient={}&date=ge2016-11-01", scale.patient);
    let body = scale.weight(&at("03"), "61");
    let issue = refused(&scale.write("PUT", &several, &[], &body).await, 412);
    assert_eq!(issue["code"], "multiple-matches");
    // A condition that is not understood, or none.
    for wrong in [
        "/Observation?no-such=1",
        "/Observation?",
        "/Observation?code=",
        "/Observation?date=x",
    ] {
        refused(&scale.write("PUT", wrong, &[], &body).await, 400);
        refused(
            &scale.server.send("PATCH", wrong, &[PATCH], "[]").await,
            400,
        );
        refused(&scale.server.send("DELETE", wrong, &[], "").await, 400);
    }

    let patch = r#"[{"op":"replace","path":"/valueQuantity/value","value":64.0}]"#;
    refused(
        &scale.server.send("PATCH", &by("09"), &[PATCH], patch).await,
        404,
    );
    refused(
        &scale.server.send("PATCH", &several, &[PATCH], patch).await,
        412,
    );
    let answer = scale.server.send("PATCH", &by("01"), &[PATCH], patch).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.text.contains("\"value\":64.0,"), "{}", answer.text);

    let before = scale.number().await;
    assert_eq!(
        scale.server.send("DELETE", &by("09"), &[], "").await.status,
        204
    );
    assert_eq!(scale.number().await, before);
    let statement = scale.server.found("/metadata").await;
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    let observation = resources
        .iter()
        .find(|r| r["type"] == "Observation")
        .unwrap();
    let answer = scale.server.send("DELETE", &several, &[], "").await;
    match observation["conditionalDelete"].as_str() {
        Some("single") => {
            assert_eq!(refused(&answer, 412)["code"], "multiple-matches");
            assert_eq!(scale.number().await, before);
        }
        Some("multiple") => {
            assert!(answer.status.is_success(), "{}", answer.text);
            assert_eq!(scale.server.number(&several).await, 0);
        }
        other => panic!("conditionalDelete: {other:?}"),
    }
    scale.created(&at("05"), "61").await;
    assert!(
        scale
            .server
            .send("DELETE", &by("05"), &[], "")
            .await
            .status
            .is_success()
    );
    assert_eq!(scale.server.number(&by("05")).await, 0);
}

#[tokio::test]
async fn c1_09_patch_takes_json_patch_and_judges_the_result() {
    let scale = Scale::new().await;
    let narrative = json!({ "status": "additional", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">61.5 kg</div>" });
    let sent: Value =
        serde_json::from_str(&scale.weight("2016-11-01T07:00:00+09:00", "61.5")).unwrap();
    let answer = scale
        .write(
            "POST",
            "/Observation",
            &[],
            &with(&sent, json!({ "text": narrative })),
        )
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let path = path_of(&answer.json());
    let patch = async |media: &str, body: &str| {
        let headers = [("content-type", media)];
        scale.server.send("PATCH", &path, &headers, body).await
    };
    let json_patch = "application/json-patch+json";
    let replace = r#"[{"op":"test","path":"/status","value":"final"},{"op":"replace","path":"/valueQuantity/value","value":65.70}]"#;
    let answer = patch(json_patch, replace).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("etag")),
        (200, "W/\"2\""),
        "{}",
        answer.text
    );
    assert!(answer.text.contains("\"value\":65.70,"), "{}", answer.text);
    assert_eq!(scale.server.found(&path).await, answer.json());
    // Whatever became of the narrative, it does not tell the former value.
    assert!(!answer.text.contains("61.5"), "{}", answer.text);
    let fat = r#"{"code":{"coding":[{"system":"http://loinc.org","code":"41982-0"}]},"valueQuantity":{"value":18.20,"unit":"%","system":"http://unitsofmeasure.org","code":"%"}}"#;
    let add = format!(
        r#"[{{"op":"add","path":"/component","value":[{fat}]}},{{"op":"copy","from":"/component/0","path":"/component/-"}},{{"op":"remove","path":"/component/1"}}]"#
    );
    let answer = patch("application/json-patch+json; charset=utf-8", &add).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["component"].as_array().unwrap().len(), 1);
    assert!(answer.text.contains("\"value\":18.20,"), "{}", answer.text);

    let before = scale.server.found(&path).await;
    for wrong in [
        // Not a patch.
        "",
        "{",
        "{}",
        "[{}]",
        r#"[{"op":"change","path":"/status","value":"final"}]"#,
        r#"[{"op":"replace","path":"status","value":"final"}]"#,
        r#"[{"op":"replace","path":"/status"}]"#,
        // Nothing there, or something else.
        r#"[{"op":"remove","path":"/nothing"}]"#,
        r#"[{"op":"test","path":"/status","value":"amended"}]"#,
        r#"[{"op":"add","path":"/component/9","value":{}}]"#,
        // A result that is no Observation, another one, or breaks a rule.
        r#"[{"op":"remove","path":"/code"}]"#,
        r#"[{"op":"add","path":"/colour","value":"red"}]"#,
        r#"[{"op":"replace","path":"/valueQuantity/value","value":"65"}]"#,
        r#"[{"op":"replace","path":"/id","value":"other"}]"#,
        r#"[{"op":"replace","path":"/resourceType","value":"Patient"}]"#,
        r#"[{"op":"replace","path":"/effectiveDateTime","value":"2016-11-02T07:00:00+09:00"}]"#,
        r#"[{"op":"replace","path":"/valueQuantity/code","value":"[stone_av]"}]"#,
        // All or nothing.
        r#"[{"op":"replace","path":"/valueQuantity/value","value":70},{"op":"remove","path":"/nothing"}]"#,
    ] {
        let answer = patch(json_patch, wrong).await;
        assert!(
            matches!(answer.status.as_u16(), 400 | 409 | 422),
            "{wrong}: {}",
            answer.text
        );
        answer.issue();
        assert_eq!(scale.server.found(&path).await, before, "{wrong}");
    }
    for media in [
        "application/json",
        "application/fhir+json",
        "application/merge-patch+json",
        "application/xml-patch+xml",
    ] {
        let answer = patch(media, replace).await;
        refused(&answer, 415);
    }
    let unknown = format!("/Observation/{}", "A".repeat(43));
    let answer = scale
        .server
        .send("PATCH", &unknown, &[PATCH], replace)
        .await;
    refused(&answer, 404);
    scale.server.send("DELETE", &path, &[], "").await;
    refused(&patch(json_patch, replace).await, 410);
}
