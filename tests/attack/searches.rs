//! Attacks by what a search asks for.

use crate::attacker::Attacker;

/// `_has` in `_has`, 1 to 12 deep.
pub fn nested_has(attacker: &mut Attacker<'_>) {
    let depth = 1 + attacker.random.below(12);
    let unit = *attacker.random.pick(&[
        (
            "Patient",
            "_has:Observation:patient:patient._has:Observation:subject:subject.",
        ),
        (
            "Patient",
            "_has:Observation:patient:_has:Provenance:target:target.",
        ),
        ("Observation", "_has:Provenance:target:target."),
        ("Device", "_has:Observation:device:device."),
    ]);
    let (resource, step) = unit;
    attacker.get(&format!("/fhir/{resource}?{}_id=a", step.repeat(depth)));
}

/// Chains, 1 to 12 deep.
pub fn chains(attacker: &mut Attacker<'_>) {
    let depth = 1 + attacker.random.below(12);
    let step = *attacker.random.pick(&[
        "subject:Patient._has:Observation:patient:",
        "patient._has:Observation:subject:",
        "device._has:Observation:device:",
    ]);
    let end = *attacker
        .random
        .pick(&["code=29463-7", "value-quantity=gt1", "subject=a"]);
    attacker.get(&format!("/fhir/Observation?{}{end}", step.repeat(depth)));
}

/// Long lists of values of every type of parameter.
pub fn or_lists(attacker: &mut Attacker<'_>) {
    let (parameter, value) = *attacker.random.pick(&[
        ("device.model", "m"),
        ("code", "c"),
        ("_id", "i"),
        ("value-quantity", "gt"),
        ("date", "ge2016-01-01T00:00:"),
        ("subject", "Patient/"),
        ("category", "http://a|"),
        ("patient.identifier", "p"),
        ("patient.organization.name", "n"),
        ("code-value-quantity", "29463-7$gt"),
        ("patient:not", "p"),
        ("code:not", "c"),
        ("_profile", "http://a/"),
        ("identifier", "i|"),
    ]);
    let number = [100, 328, 1001, 4000][attacker.random.below(4)];
    let values: Vec<String> = (0..number)
        .map(|n| match parameter {
            "date" => format!("{value}{:02}Z", n % 60),
            _ => format!("{value}{n}"),
        })
        .collect();
    let query = format!("{parameter}={}", values.join(","));
    if attacker.random.below(2) == 0 {
        attacker.get(&format!("/fhir/Observation?{query}"));
    } else {
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        attacker.send(
            "POST",
            "/fhir/Observation/_search",
            &headers,
            query.as_bytes(),
        );
    }
}

/// Parameters, sort keys and includes that are repeated.
pub fn repetitions(attacker: &mut Attacker<'_>) {
    let pair = *attacker.random.pick(&[
        "code=29463-7",
        "patient.gender=male",
        "_has:Provenance:target:recorded=gt2016",
        "_sort=-date,_id,date,_lastUpdated",
        "_include=Observation:subject",
        "_revinclude=Provenance:target",
        "_include:iterate=*",
        "value-quantity=gt1",
        "date=gt2000",
        "device.model:contains=a",
        "patient.name:contains=a",
    ]);
    let number = [10, 64, 200, 1000][attacker.random.below(4)];
    let query = vec![pair; number].join("&");
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    attacker.send(
        "POST",
        "/fhir/Observation/_search",
        &headers,
        query.as_bytes(),
    );
}

/// An expensive search that is valid.
pub fn expensive(attacker: &mut Attacker<'_>) -> String {
    let search = *attacker.random.pick(&[
        "Observation?_has:Provenance:target:recorded=gt2000&_sort=-date&_total=accurate&_count=1000",
        "Observation?patient._has:Observation:patient:value-quantity=gt1&_total=accurate&_count=1000",
        "Patient?_has:Observation:patient:value-quantity=gt1&_has:Observation:patient:code:not=x&_total=accurate",
        "Observation?value-quantity:missing=false&device.model:contains=W&_sort=_lastUpdated&_total=accurate",
        "Observation?code:not=x&category:not=y&patient.gender:not=other&_total=accurate&_count=1000",
        "Observation?patient._has:Observation:patient:device._has:Observation:device:value-quantity=ne1&_total=accurate",
    ]);
    format!("/fhir/{search}")
}

/// Expensive searches, and what streams everything.
pub fn expensive_searches(attacker: &mut Attacker<'_>) {
    let path = expensive(attacker);
    attacker.get(&path);
}

/// Everything that the operations give.
pub fn operations(attacker: &mut Attacker<'_>) {
    let patient = attacker.random.pick(attacker.target.patients).clone();
    let path = match attacker.random.below(4) {
        0 => format!("/fhir/Patient/{patient}/$everything?_count=1000"),
        1 => "/fhir/Observation/$lastn?max=1000&_count=1000".to_owned(),
        2 => "/fhir/Observation/_history?_count=1000".to_owned(),
        _ => "/exchange/records".to_owned(),
    };
    attacker.get(&path);
}
