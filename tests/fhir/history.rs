//! Histories of a resource, of a type and of all.

use serde_json::{Value, json};

use crate::server::{PERSON, Server, entries, link, observation, weight};

/// Version and id of the entries, after a look at their form.
fn versions(bundle: &Value) -> Vec<(String, String)> {
    assert_eq!(bundle["type"], "history");
    entries(bundle)
        .iter()
        .map(|entry| {
            let url = entry["fullUrl"].as_str().unwrap();
            let id = url.rsplit('/').next().unwrap().to_owned();
            let deleted = entry["request"]["method"] == "DELETE";
            assert_eq!(entry.get("resource").is_none(), deleted);
            assert!(entry["response"]["lastModified"].is_string());
            (entry["response"]["etag"].as_str().unwrap().to_owned(), id)
        })
        .collect()
}

/// With a weight of two versions and a deletion, beside the example.
async fn with_versions() -> (Server, String) {
    let server = Server::with_example().await.since_new_year().await;
    for (value, update_time) in [("60.0", "20160601080000000"), ("61.0", "20160602080000000")] {
        let text = weight(PERSON, "20160601070000", value, update_time);
        server.submit(&text).await;
    }
    let id = server.id("/Observation?code=29463-7&date=2016-06-01").await;
    let gone = server
        .send("DELETE", &format!("/Observation/{id}"), &[], "")
        .await;
    assert!(gone.status.is_success());
    (server, id)
}

/// Walks to the end and back again: the same pages.
async fn walk(server: &Server, path: &str, count: usize) -> Vec<(String, String)> {
    let mut at = format!("{path}?_count={count}");
    let mut forth = vec![server.found(&at).await];
    assert_eq!(link(&forth[0], "previous"), None);
    while let Some(next) = link(forth.last().unwrap(), "next") {
        at = next;
        forth.push(server.found(&at).await);
    }
    let mut all = Vec::new();
    for page in &forth {
        let here = versions(page);
        assert!((1..=count).contains(&here.len()));
        all.extend(here);
    }
    let mut back = forth.last().unwrap().clone();
    for page in forth.iter().rev().skip(1) {
        back = server.found(&link(&back, "previous").unwrap()).await;
        assert_eq!(versions(&back), versions(page));
        assert!(link(&back, "next").is_some());
    }
    assert_eq!(link(&back, "previous"), None);
    all
}

#[tokio::test]
async fn pages_of_a_history_are_walked_both_ways() {
    let (server, id) = with_versions().await;
    let own = format!("/Observation/{id}/_history");
    let whole = versions(&server.found(&own).await);
    let tags: Vec<&str> = whole.iter().map(|(tag, _)| tag.as_str()).collect();
    assert_eq!(tags, ["W/\"3\"", "W/\"2\"", "W/\"1\""]);
    for count in [1, 2, 3, 10] {
        assert_eq!(walk(&server, &own, count).await, whole, "{count}");
    }
    let of_type = versions(&server.found("/Observation/_history").await);
    assert_eq!(of_type.len(), 14);
    assert_eq!(of_type[..3], whole);
    for count in [1, 4, 7, 13, 14] {
        assert_eq!(
            walk(&server, "/Observation/_history", count).await,
            of_type,
            "{count}"
        );
    }
}

/// The entries of a page whose resources are of a type.
fn of_type(all: &[Value], ty: &str) -> Vec<Value> {
    let own = format!("/{ty}/");
    let is = |e: &&Value| e["fullUrl"].as_str().unwrap().contains(&own);
    all.iter().filter(is).cloned().collect()
}

#[tokio::test]
async fn c1_39_the_history_of_all_has_every_type_that_keeps_versions() {
    let (server, _) = with_versions().await;
    // A Patient who is changed and goes.
    let patient = json!({
        "resourceType": "Patient", "gender": "male", "birthDate": "1961-04",
        "identifier": [{
            "system": "https://kenko-fhir.example/fhir/sid/consortium/A00001/person",
            "value": "X1",
        }],
    });
    let mut made = server.create(&patient).await;
    let id = made["id"].as_str().unwrap().to_owned();
    made["gender"] = json!("female");
    let path = format!("/Patient/{id}");
    assert_eq!(server.write("PUT", &path, &[], &made).await.status, 200);
    assert_eq!(server.send("DELETE", &path, &[], "").await.status, 204);

    let whole = server.found("/_history?_count=1000").await;
    let all = entries(&whole);
    let times = all.iter().map(|e| e["response"]["lastModified"].as_str());
    assert!(times.is_sorted_by(|a, b| a >= b));
    let observations = server.found("/Observation/_history").await;
    assert_eq!(of_type(&all, "Observation"), entries(&observations));
    for ty in ["Patient", "ResearchSubject"] {
        let own = of_type(&all, ty);
        let deleted = own.iter().filter(|e| e["request"]["method"] == "DELETE");
        assert_eq!(deleted.count(), 1, "{ty}");
        for one in server.matches(&format!("/{ty}")).await {
            let id = one["id"].as_str().unwrap();
            let history = server.found(&format!("/{ty}/{id}/_history")).await;
            let ends = format!("/{id}");
            let listed: Vec<Value> = own
                .iter()
                .filter(|e| e["fullUrl"].as_str().unwrap().ends_with(&ends))
                .cloned()
                .collect();
            assert_eq!(listed, entries(&history), "{ty}/{id}");
        }
        let gone = server.found(&format!("/{ty}/{id}/_history")).await;
        assert_eq!(entries(&gone).len(), 3);
    }
    let number = ["Observation", "Patient", "ResearchSubject"].map(|ty| of_type(&all, ty).len());
    assert_eq!(number.iter().sum::<usize>(), all.len());

    let listed = versions(&whole);
    for count in [1, 2, 5, 7] {
        assert_eq!(walk(&server, "/_history", count).await, listed, "{count}");
    }
    // What was stored at a time, and since.
    let middle = all[all.len() / 2]["response"]["lastModified"]
        .as_str()
        .unwrap();
    let since = middle.replace('+', "%2B");
    let later = server
        .found(&format!("/_history?_count=1000&_since={since}"))
        .await;
    let expected = all
        .iter()
        .filter(|e| e["response"]["lastModified"].as_str().unwrap() >= middle);
    assert_eq!(entries(&later).len(), expected.count());
    // A cursor belongs to its address.
    let first = server.found("/_history?_count=2").await;
    assert_eq!(link(&first, "self").unwrap(), "/_history?_count=2");
    let other = link(&first, "next")
        .unwrap()
        .replace("/_history", "/Observation/_history");
    assert_eq!(server.get(&other).await.status, 400);
    let statement = server.found("/metadata").await;
    let claimed = statement["rest"][0]["interaction"].as_array().unwrap();
    assert!(claimed.iter().any(|i| i["code"] == "history-system"));
}

#[tokio::test]
async fn the_history_of_all_is_walked_while_others_write() {
    let (server, _) = with_versions().await;
    let before = versions(&server.found("/_history?_count=1000").await);
    let mut walked = Vec::new();
    let mut next = Some("/_history?_count=3".to_owned());
    let mut minute = 0;
    while let Some(path) = next {
        let page = server.found(&path).await;
        walked.extend(versions(&page));
        next = link(&page, "next");
        let time = format!("201607010700{minute:02}");
        server
            .submit(&weight(PERSON, &time, "60.0", "20160701080000000"))
            .await;
        minute += 1;
    }
    assert_eq!(walked, before);
}

#[tokio::test]
async fn what_a_history_is_asked_for() {
    let (server, id) = with_versions().await;
    for path in [
        "/_history",
        "/Observation/_history",
        &format!("/Observation/{id}/_history"),
    ] {
        let none = server
            .found(&format!("{path}?_since=2999-01-01T00:00:00Z"))
            .await;
        assert_eq!(none.get("entry"), None);
        let all = server
            .found(&format!("{path}?_since=2000-01-01T00:00:00%2B09:00"))
            .await;
        assert_eq!(versions(&all), versions(&server.found(path).await));
        for wrong in [
            "_since=2016-01-01",
            "_since=x",
            "_at=2016",
            "_list=1",
            "_count=x",
            "_count=-1",
            "_count=",
            "_cursor=abc",
            "_summary=count",
        ] {
            let answer = server.get(&format!("{path}?{wrong}")).await;
            assert_eq!(answer.status, 400, "{path}?{wrong}");
            answer.issue();
        }
        let empty = server.found(&format!("{path}?_count=0")).await;
        assert_eq!(
            (empty.get("entry"), empty["link"].as_array().unwrap().len()),
            (None, 1)
        );
        let strict = [("prefer", "handling=strict")];
        let unknown = format!("{path}?no-such=1");
        assert_eq!(server.send("GET", &unknown, &strict, "").await.status, 400);
        assert_eq!(server.get(&unknown).await.status, 200);
    }
}

/// One writes a record over and over; what others read of it meanwhile is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn versions_are_whole_while_they_are_written() {
    const VERSIONS: u64 = 60;
    let server = std::sync::Arc::new(Server::with_example().await);
    let sent = observation("2016-10-01T07:00:00+09:00", "60.00");
    let made = server.create(&sent).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let path = format!("/Observation/{id}");
    let patient = made["subject"]["reference"].as_str().unwrap().to_owned();
    let writer = {
        let (server, path) = (server.clone(), path.clone());
        tokio::spawn(async move {
            for n in 1..VERSIONS {
                let mut next = sent.clone();
                next["id"] = path.rsplit('/').next().unwrap().into();
                next["valueQuantity"]["value"] = (60 + n % 40).into();
                let answer = server.write("PUT", &path, &[], &next).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
                // A Patient's row has versions, too.
                let mut person = server.found(&format!("/{patient}")).await;
                person["birthDate"] = format!("19{:02}-04", 40 + n % 50).into();
                let answer = server
                    .write("PUT", &format!("/{patient}"), &[], &person)
                    .await;
                assert_eq!(answer.status, 200, "{}", answer.text);
            }
        })
    };
    let patient = made["subject"]["reference"].as_str().unwrap().to_owned();
    let mut rounds = 0;
    while !writer.is_finished() {
        rounds += 1;
        for of in [&path[1..], &patient] {
            let history = server.found(&format!("/{of}/_history?_count=500")).await;
            let numbers = numbers_of(&history, of);
            let newest = numbers.len() as u64;
            let want: Vec<u64> = (1..=newest).rev().collect();
            assert_eq!(numbers, want, "{of}");
            assert_eq!(history["total"], newest);
            let last = format!("/{of}/_history/{newest}");
            assert_eq!(server.get(&last).await.status, 200);
            let all = server.found("/_history?_count=500").await;
            let numbers = numbers_of(&all, of);
            let newest = numbers.len() as u64;
            let want: Vec<u64> = (1..=newest).rev().collect();
            assert_eq!(numbers, want, "{of}");
        }
    }
    writer.await.unwrap();
    assert!(rounds > 0);
}

/// The numbers of the versions of a resource, as a history lists them.
fn numbers_of(history: &Value, of: &str) -> Vec<u64> {
    let end = format!("/{of}");
    let entries = history["entry"].as_array().unwrap().iter();
    let own = entries.filter(|e| e["fullUrl"].as_str().unwrap().ends_with(&end));
    own.map(|e| {
        e["resource"]["meta"]["versionId"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    })
    .collect()
}
