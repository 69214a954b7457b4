//! What the database makes of the statements of common searches: no walk over all records.

use std::sync::Arc;

use super::plan::Way;
use crate::fhir::id;
use crate::fhir::resource::Source;
use crate::fhir::search::{Limits, OBSERVATION, Scope, Search, form};
use crate::kind::Kinds;
use crate::store::db::{Bound, bind};
use crate::store::{RecordQuery, Store};
use crate::time;

async fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("plan.db").display());
    let kinds = Arc::new(Kinds::embedded().unwrap());
    (folder, Store::open(&url, kinds).await.unwrap())
}

/// The plan of a statement, a line a step.
async fn explain(store: &Store, sql: &str, bound: &[Bound]) -> Vec<String> {
    let rows = bind(&format!("EXPLAIN QUERY PLAN {sql}"), bound).fetch_all(&store.read);
    let rows = rows.await.unwrap();
    let steps = rows.iter().map(|row| row.try_get::<String>(3).unwrap());
    steps.collect()
}

/// The plans of a search and of its total.
async fn plans(store: &Store, text: &str) -> (Way, Vec<String>, Vec<String>) {
    let pairs = form::pairs(text).unwrap();
    let search = Search::read(&OBSERVATION, &pairs, Limits::default()).unwrap();
    assert!(search.ignored.is_empty(), "{text}: {:?}", search.ignored);
    let scope = Scope {
        kinds: store.kinds(),
        base: "http://h/fhir",
        zone: time::JST,
        now: 0,
    };
    let query = RecordQuery {
        test: search.test(&scope, &Source::Record).unwrap(),
        sort: search.sort.clone(),
        from: None,
        limit: 50,
    };
    let walk = store.plan(&query).await.unwrap();
    let units = walk.units();
    let (sql, bound) = match walk.way {
        Way::Sorted => store.select_merged(&walk, &units, 51).merged(),
        _ => {
            let units: Vec<_> = units.iter().collect();
            store.select_in_turn(&walk, &units, 51).in_turn()
        }
    }
    .unwrap();
    let found = explain(store, &sql, &bound).await;
    let (sql, bound) = store.counting(&walk, &units).unwrap();
    (walk.way, found, explain(store, &sql, &bound).await)
}

#[tokio::test]
async fn common_searches_walk_along_a_key() {
    let (_folder, store) = store().await;
    let patient = id::participant("A00001", "P1");
    let primary = "USING PRIMARY KEY (participant=? AND kind=?";
    let by_time = "USING INDEX record_kind_time (kind=?";
    let hba1c = store.layout.of(store.kinds().get("hba1c").unwrap().place);
    let by_value = format!("USING INDEX record_kind_{}_c1 (kind=?", hba1c.id);
    let by_value = by_value.as_str();
    for (query, way, key) in [
        (
            format!("patient={patient}&code=41950-7&date=ge2016-09-01&date=lt2016-09-15"),
            Way::Named,
            primary,
        ),
        (
            format!("patient={patient}&category=vital-signs&_sort=-date"),
            Way::Sorted,
            primary,
        ),
        (format!("patient={patient}"), Way::Named, primary),
        (
            format!("patient={patient}&code:not=4548-4&status=final"),
            Way::Named,
            primary,
        ),
        (
            "code=4548-4&value-quantity=ge6.5".into(),
            Way::Kinds,
            by_value,
        ),
        (
            "code=4548-4&value-quantity=ge6.5&date=2016-09-01".into(),
            Way::Kinds,
            by_time,
        ),
        ("code=4548-4".into(), Way::Kinds, by_time),
        ("code=4548-4&_sort=-date".into(), Way::Sorted, by_time),
        (
            "category=vital-signs&date=2016-09".into(),
            Way::Kinds,
            by_time,
        ),
        ("_sort=-date".into(), Way::Sorted, by_time),
        (
            "code=4548-4&_sort=-value-quantity".into(),
            Way::Sorted,
            by_value,
        ),
        (
            "component-code-value-quantity=8480-6$ge140".into(),
            Way::Kinds,
            by_time,
        ),
    ] {
        let (found_way, steps, _) = plans(&store, &query).await;
        assert_eq!(found_way, way, "{query}");
        let records = steps.iter().filter(|step| step.contains(" r "));
        let records: Vec<&String> = records.collect();
        assert!(!records.is_empty(), "{query}: {steps:?}");
        for step in records {
            assert!(
                step.starts_with("SEARCH r ") && step.contains(key),
                "{query}: {step}"
            );
        }
        // What is walked in its order is not sorted; units that are merged are, few as they
        // are.
        let sorts = steps.iter().any(|step| step.contains("TEMP B-TREE"));
        assert!(!sorts || way == Way::Sorted, "{query}: {steps:?}");
    }
}

#[tokio::test]
async fn totals_that_the_tallies_know_read_no_record() {
    let (_folder, store) = store().await;
    for query in [
        "",
        "code=4548-4",
        "code=4548-4&value-quantity=ge6.5",
        "code=4548-4&value-quantity=ge6.5&value-quantity=lt8",
        "category=vital-signs",
    ] {
        let (.., steps) = plans(&store, query).await;
        let from_tally = steps.iter().filter(|step| step.contains("tally")).count();
        assert!(from_tally > 0, "{query}: {steps:?}");
        assert!(
            steps.iter().all(|step| !step.contains(" r ")),
            "{query}: {steps:?}"
        );
    }
    let (.., steps) = plans(&store, "code=4548-4&date=2016").await;
    assert!(
        steps.iter().all(|step| step.contains("SEARCH r")),
        "{steps:?}"
    );
}
