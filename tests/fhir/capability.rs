//! `GET /metadata` says what is there, and no more.

use kenko_fhir::fhir::check;
use serde_json::Value;

use crate::server::Server;

#[tokio::test]
async fn c1_40_metadata_lists_exactly_what_answers() {
    let server = Server::with_example().await;
    let statement = server.found("/metadata").await;
    assert!(statement.to_string().len() < 200_000);
    let rest = &statement["rest"][0];
    for resource in rest["resource"].as_array().unwrap() {
        let name = resource["type"].as_str().unwrap();
        let has = |code: &str| {
            let codes = resource["interaction"].as_array().unwrap();
            codes.iter().any(|i| i["code"] == code)
        };
        let id = server.matches(&format!("/{name}?_count=1")).await[0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        for operation in resource["operation"].as_array().unwrap() {
            let operation = operation["name"].as_str().unwrap();
            let mut answers = false;
            for path in [
                format!("/{name}/${operation}"),
                format!("/{name}/{id}/${operation}"),
            ] {
                let status = server.send("POST", &path, &[], "").await.status.as_u16();
                assert!(status < 500, "{path}: {status}");
                answers |= !matches!(status, 404 | 405);
            }
            assert!(answers, "{name} ${operation}");
        }
        for (code, method, path) in [
            ("read", "GET", format!("/{name}/{id}")),
            ("vread", "GET", format!("/{name}/{id}/_history/1")),
            ("history-instance", "GET", format!("/{name}/{id}/_history")),
            ("history-type", "GET", format!("/{name}/_history")),
            ("search-type", "GET", format!("/{name}")),
            ("create", "POST", format!("/{name}")),
            ("update", "PUT", format!("/{name}/{id}")),
            ("patch", "PATCH", format!("/{name}/{id}")),
            ("delete", "DELETE", format!("/{name}/{id}")),
        ] {
            // What there is answers well, or says which version there is not, or that a body
            // is missing.
            let status = server.send(method, &path, &[], "").await.status.as_u16();
            let answers = match status {
                404 => code == "vread",
                415 => matches!(code, "create" | "update" | "patch"),
                // There are records of it.
                409 => code == "delete",
                status => matches!(status, 200 | 204),
            };
            let missing = matches!(status, 404 | 405);
            assert!(
                if has(code) { answers } else { missing },
                "{method} {path}: {status}"
            );
        }
        for parameter in resource["searchParam"].as_array().unwrap() {
            let (parameter, ty) = (&parameter["name"], &parameter["type"]);
            let value = match ty.as_str().unwrap() {
                "date" | "quantity" | "number" => "2016",
                "composite" => "x$2016",
                _ => "x",
            };
            let path = format!("/{name}?{}={value}", parameter.as_str().unwrap());
            let strict = server
                .send("GET", &path, &[("prefer", "handling=strict")], "")
                .await;
            assert_eq!(strict.status, 200, "{path}: {}", strict.text);
        }
    }
    for operation in rest["operation"].as_array().unwrap() {
        let path = format!("/${}", operation["name"].as_str().unwrap());
        // What converts a document asks for one.
        let status = server.send("POST", &path, &[], "").await.status.as_u16();
        assert!(matches!(status, 200 | 415), "{path}: {status}");
    }
}

#[tokio::test]
async fn metadata_has_modes_and_a_tag() {
    let server = Server::with_example().await;
    let full = server.get("/metadata").await;
    let etag = full.header("etag").to_owned();
    assert_eq!(server.get("/metadata").await.header("etag"), etag);
    let again = server
        .send("GET", "/metadata", &[("if-none-match", &etag)], "")
        .await;
    assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""));
    for (mode, resource) in [
        ("full", "CapabilityStatement"),
        ("normative", "CapabilityStatement"),
        ("terminology", "TerminologyCapabilities"),
    ] {
        let answer = server.get(&format!("/metadata?mode={mode}")).await;
        let value: Value = answer.json();
        assert_eq!(value["resourceType"], resource);
        assert_eq!(check::check(&value), Ok(()));
        assert_eq!(answer.header("etag") == etag, mode == "full");
    }
    assert_eq!(server.get("/metadata?mode=x").await.status, 400);
}
