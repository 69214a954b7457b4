//! The OpenAPI document, the schema and the pages.

use std::collections::HashSet;

use kenko_fhir::http;
use kenko_fhir::kind::Kinds;
use serde_json::Value;

use crate::server::*;

fn walk(value: &Value, visit: &mut dyn FnMut(&Value)) {
    visit(value);
    match value {
        Value::Object(object) => object.values().for_each(|v| walk(v, visit)),
        Value::Array(items) => items.iter().for_each(|v| walk(v, visit)),
        _ => {}
    }
}

#[tokio::test]
async fn the_committed_document_is_the_one_of_the_code() {
    let document = http::openapi(&Kinds::embedded().unwrap());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all("openapi").unwrap();
        std::fs::write("openapi/openapi.json", &document).unwrap();
    }
    let committed = std::fs::read_to_string("openapi/openapi.json").unwrap_or_default();
    assert!(
        committed == document,
        "openapi/openapi.json is old: run the test with UPDATE=1"
    );
    let server = Server::empty().await;
    let served = server.get("/openapi.json").await;
    assert_eq!(
        (served.header("content-type"), served.text()),
        (JSON, document)
    );
}

#[test]
fn the_document_is_whole() {
    let document: Value =
        serde_json::from_str(&http::openapi(&Kinds::embedded().unwrap())).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap_or_default();
            assert!(
                ids.insert(id.to_owned()),
                "{method} {path}: operationId {id:?}"
            );
            assert!(operation["summary"].is_string(), "{method} {path}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let described = response["description"]
                    .as_str()
                    .is_some_and(|d| !d.is_empty());
                assert!(described, "{method} {path} {status}");
            }
        }
    }
    walk(&document, &mut |value| {
        if let Some(target) = value.get("$ref").and_then(Value::as_str) {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
    });
    let parts = &document["components"]["schemas"];
    for kind in Kinds::embedded().unwrap().iter() {
        let schema = &parts[format!("Submission.{}", kind.name)];
        assert!(
            schema["properties"][&kind.fields[0].name].is_object(),
            "{}",
            kind.name
        );
    }
}

#[tokio::test]
async fn the_examples_of_the_document_run() {
    let server = Server::empty().await;
    let document: Value = server.get("/openapi.json").await.json();
    let content = |path: &str, method: &str| {
        document["paths"][path][method]["requestBody"]["content"].clone()
    };
    let lists = content("/exchange/registries/{list}", "patch");
    for (media, form) in [(JSON, false), ("text/csv", true)] {
        for (list, example) in lists[media]["examples"].as_object().unwrap() {
            let body = match &example["value"] {
                Value::String(text) if form => text.clone(),
                value => value.to_string(),
            };
            let path = format!("/exchange/registries/{list}");
            let answer = server
                .send(request(axum::http::Method::PATCH, &path, media, body))
                .await;
            assert_eq!(answer.status, 200, "{list}: {}", answer.text());
        }
    }
    let submissions = content("/exchange/submissions", "post");
    let example = submissions[JSON]["examples"]["first"]["value"].to_string();
    assert!(example.contains("65.50"));
    assert_eq!(server.submit(&example).await.status, 201);
}

#[tokio::test]
async fn the_schema_is_that_of_the_mappings() {
    let server = Server::empty().await;
    let answer = server.get("/exchange/schema").await;
    assert_eq!(answer.header("content-type"), "application/schema+json");
    let schema = answer.json();
    let text: Value = serde_json::from_str(&first()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&text));
    let plain = server
        .send(with(get("/exchange/schema"), "accept", JSON))
        .await;
    assert_eq!((plain.header("content-type"), plain.json()), (JSON, schema));
}

#[tokio::test]
async fn pages_load_nothing_from_elsewhere() {
    let server = Server::empty().await;
    let redirect = server.get("/docs").await;
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (308, "docs/")
    );
    for (path, lang) in [("/", "en"), ("/", "ja"), ("/docs/", "en")] {
        let answer = server.send(with(get(path), "accept-language", lang)).await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").starts_with("text/html"));
        assert!(
            answer
                .header("content-security-policy")
                .starts_with("default-src '")
        );
        let page = answer.text();
        for attribute in [
            "src=\"http",
            "href=\"http",
            "src=\"//",
            "href=\"//",
            "@import",
            "url(",
        ] {
            assert!(!page.contains(attribute), "{path}: {attribute}");
        }
        // Every file that the page names is here.
        for part in page.split(" src=\"").skip(1).chain(
            page.split("rel=\"stylesheet\" type=\"text/css\" href=\"")
                .skip(1),
        ) {
            let file = part.split('"').next().unwrap().trim_start_matches("./");
            let answer = server.get(&format!("/docs/{file}")).await;
            assert_eq!(answer.status, 200, "{file}");
        }
    }
    let initializer = server.get("/docs/swagger-initializer.js").await.text();
    assert!(
        initializer.contains("\"url\": \"../openapi.json\""),
        "{initializer}"
    );
    assert!(
        initializer.contains("\"validatorUrl\": \"none\""),
        "{initializer}"
    );
    server.get("/docs/nothing.js").await.problem(404);
    let japanese = server.send(with(get("/"), "accept-language", "ja")).await;
    assert_eq!(japanese.header("content-language"), "ja");
    // The links of the landing page lead somewhere (FHIR's own tests look after theirs).
    let page = server.get("/").await.text();
    for link in page
        .split("href=\"")
        .skip(1)
        .map(|p| p.split('"').next().unwrap())
    {
        if !link.starts_with("fhir/") {
            assert_eq!(server.get(&format!("/{link}")).await.status, 200, "{link}");
        }
    }
}
