//! The cost of a search is linear in the length of its query: counted, not timed.

use std::sync::Arc;

use crate::fhir::resource::{Resource, Source, by_name};
use crate::fhir::search::{Limits, Scope, Search, form};
use crate::kind::Kinds;
use crate::store::db::bind;
use crate::store::test::{At, Compiler};
use crate::store::{RecordQuery, Store};
use crate::time;

/// The cost of a search: characters of SQL, bound values and steps of the compiler.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    text: usize,
    bound: usize,
    steps: usize,
}

impl Cost {
    fn at_most(self, times: f64, other: Cost) -> bool {
        let fits = |own: usize, former: usize| own as f64 <= times * former as f64 + 400.0;
        fits(self.text, other.text)
            && fits(self.bound, other.bound)
            && fits(self.steps, other.steps)
    }
}

async fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("cost.db").display());
    let kinds = Arc::new(Kinds::embedded().unwrap());
    (folder, Store::open(&url, kinds).await.unwrap())
}

fn read(resource: &Resource, query: &str, limits: Limits) -> Search {
    let pairs = form::pairs(query).unwrap();
    let search = Search::read(resource.searchable, &pairs, limits).unwrap();
    assert!(search.ignored.is_empty(), "{query}: {:?}", search.ignored);
    search
}

/// The cost of a search; the database takes all its statements.
async fn cost(store: &Store, resource: &Resource, query: &str, limits: Limits) -> Cost {
    let search = read(resource, query, limits);
    let scope = Scope {
        kinds: store.kinds(),
        base: "http://h/fhir",
        zone: time::JST,
        now: 0,
    };
    let mut cost = Cost::default();
    for source in resource.sources {
        let test = search.test(&scope, source).unwrap();
        let test = store.without_residue(&test).await.unwrap().into_owned();
        let known = store.know(&test).await.unwrap();
        let kinds: Vec<Option<usize>> = match source {
            Source::Record => (0..store.kinds().len()).map(Some).collect(),
            _ => vec![None],
        };
        for kind in kinds {
            let mut compiler = Compiler::new(&store.kinds, &store.layout, &known);
            let at = At::new(source.table(), "t", kind);
            let condition = compiler.condition(&test.for_kind(kind), &at);
            cost.steps += compiler.steps;
            cost.text += condition.sql.len();
            cost.bound += condition.bound.len();
            let text = format!(
                "EXPLAIN SELECT 1 FROM {} t WHERE {}",
                source.table().from(),
                condition.sql
            );
            let explained = bind(&text, &condition.bound).fetch_all(&store.read).await;
            assert!(explained.is_ok(), "{query:.200}: {:?}", explained.err());
        }
        if matches!(source, Source::Record) {
            let query = RecordQuery {
                test,
                sort: search.sort.clone(),
                from: None,
                limit: 50,
            };
            let access = crate::store::Access::operator();
            store.search(&access, &query).await.unwrap();
            store.count(&access, &query).await.unwrap();
        }
    }
    cost
}

fn list(n: usize, value: impl Fn(usize) -> String) -> String {
    (0..n).map(value).collect::<Vec<_>>().join(",")
}

fn and(n: usize, pair: impl Fn(usize) -> String) -> String {
    (0..n).map(pair).collect::<Vec<_>>().join("&")
}

type Of = fn(usize) -> String;

#[tokio::test]
async fn twice_the_values_cost_twice_at_most() {
    let (_folder, store) = store().await;
    let cases: [(&str, Of); 23] = [
        ("Patient", |n| {
            and(n, |n| format!("birthdate=ge{}", 1000 + n))
        }),
        ("Observation", |n| {
            format!("code={}", list(n, |n| format!("c{n}")))
        }),
        ("Observation", |n| {
            format!("code:not={}", list(n, |n| format!("s|c{n}")))
        }),
        ("Observation", |n| {
            format!("value-quantity={}", list(n, |n| format!("{}.5", 2 * n)))
        }),
        ("Observation", |n| {
            format!("combo-value-quantity={}", list(n, |n| format!("ge{n}||kg")))
        }),
        ("Observation", |n| {
            format!(
                "component-code-value-quantity={}",
                list(n, |n| format!("8480-6${}", 3 * n))
            )
        }),
        ("Observation", |n| {
            format!(
                "combo-code-value-quantity={}",
                list(n, |n| format!("c{n}${n}"))
            )
        }),
        ("Observation", |n| {
            format!("date={}", list(n, |n| format!("{}-01-01", 1000 + 2 * n)))
        }),
        ("Observation", |n| {
            and(n, |n| format!("date=ge{}", 1000 + n))
        }),
        ("Observation", |n| and(n, |n| format!("code:not=c{n}"))),
        ("Observation", |n| {
            format!("device.model={}", list(n, |n| format!("m{n:04}")))
        }),
        ("Observation", |n| {
            format!(
                "patient.identifier={}",
                list(n, |n| format!("http://s|v{n}"))
            )
        }),
        ("Observation", |n| {
            format!("_lastUpdated={}", list(n, |n| format!("{}", 1000 + 2 * n)))
        }),
        ("Observation", |n| {
            format!("patient.birthdate={}", list(n, |n| format!("{}", 1000 + n)))
        }),
        ("Observation", |n| {
            let id = |n: usize| {
                let person = crate::fhir::id::participant("A00001", &format!("P{n}"));
                format!("Patient/{person}")
            };
            format!("subject={}", list(n, id))
        }),
        ("Patient", |n| {
            format!("_id={}", list(n, |n| format!("id{n}")))
        }),
        ("Patient", |n| {
            format!("name={}", list(n, |n| format!("n{n:04}")))
        }),
        ("Patient", |n| {
            format!("identifier={}", list(n, |n| format!("v{n}")))
        }),
        ("Patient", |n| {
            format!(
                "_has:Observation:patient:value-quantity={}",
                list(n, |n| format!("{}.5", 2 * n))
            )
        }),
        ("Device", |n| {
            format!("model:contains={}", list(n, |n| format!("m{n}")))
        }),
        ("Device", |n| {
            format!("device-name:exact={}", list(n, |n| format!("m{n}")))
        }),
        ("Organization", |n| {
            format!("name={}", list(n, |n| format!("m{n:04}")))
        }),
        ("Provenance", |n| {
            format!("recorded={}", list(n, |n| format!("{}", 1000 + 2 * n)))
        }),
    ];
    for (name, of) in cases {
        let resource = by_name(name).unwrap();
        let mut former_n = 60;
        let mut former = cost(&store, resource, &of(60), Limits::default()).await;
        for n in [120, 960] {
            let query = of(n);
            let next = cost(&store, resource, &query, Limits::default()).await;
            let times = 1.05 * (n as f64) / (former_n as f64);
            assert!(
                next.at_most(times, former),
                "{name}?{query:.60}: {n}: {next:?} after {former:?}"
            );
            (former, former_n) = (next, n);
        }
    }
}

#[tokio::test]
async fn a_link_more_costs_what_the_one_before_did() {
    let (_folder, store) = store().await;
    let cases: [(&str, &str, &str); 5] = [
        (
            "Patient",
            "_has:Observation:patient:patient:Patient.",
            "_id=x",
        ),
        (
            "Patient",
            "_has:Observation:patient:_has:Provenance:target:target:Patient.",
            "_id=x",
        ),
        ("Observation", "device._has:Observation:device:", "code=x"),
        (
            "Observation",
            "patient._has:Observation:patient:",
            "value-quantity=ge1",
        ),
        (
            "Observation",
            "patient.organization._has:Patient:organization:_has:Observation:patient:",
            "date=ge2016",
        ),
    ];
    for (name, link, end) in cases {
        let resource = by_name(name).unwrap();
        let of = |n: usize| link.repeat(n) + end;
        let mut former = cost(&store, resource, &of(1), Limits::OWN).await;
        for n in [2, 4] {
            let next = cost(&store, resource, &of(n), Limits::OWN).await;
            assert!(
                next.at_most(2.6, former),
                "{name}?{}: {next:?} after {former:?}",
                of(n)
            );
            former = next;
        }
    }
}

#[test]
fn what_a_search_asks_for_is_limited() {
    let observation = by_name("Observation").unwrap();
    let patient = by_name("Patient").unwrap();
    let provenance = by_name("Provenance").unwrap();
    let deep = "_has:Observation:patient:patient.";
    for (resource, query, option) in [
        (
            observation,
            format!("code={}", list(1001, |n| n.to_string())),
            "--search-values-max",
        ),
        (
            observation,
            and(1001, |n| format!("code={n}")),
            "--search-values-max",
        ),
        (
            observation,
            and(1001, |n| format!("_include=Observation:{n}")),
            "--search-values-max",
        ),
        (
            observation,
            format!("_sort={}", list(1001, |n| n.to_string())),
            "--search-values-max",
        ),
        (
            observation,
            and(1001, |n| format!("unknown{n}=")),
            "--search-values-max",
        ),
        (
            patient,
            format!("{}_id=x", deep.repeat(3)),
            "--search-depth-max",
        ),
        (
            patient,
            format!("{}_id=x", deep.repeat(1000)),
            "--search-depth-max",
        ),
        (
            provenance,
            format!("{}_id=x", "target._has:Provenance:target:".repeat(8)),
            "--search-depth-max",
        ),
        (
            provenance,
            and(9, |n| {
                format!("target._has:Provenance:target:target._id=x{n}")
            }),
            "--search-joins-max",
        ),
    ] {
        let pairs = form::pairs(&query).unwrap();
        let wrong = Search::read(resource.searchable, &pairs, Limits::default()).unwrap_err();
        assert!(wrong.en.contains(option), "{query:.80}: {}", wrong.en);
        assert!(wrong.ja.contains(option), "{query:.80}: {}", wrong.ja);
    }
    // However deep it may be, it is not followed along every way.
    let limits = Limits {
        depth: 1000,
        ..Limits::default()
    };
    let query = format!("{}_id=x", "target._has:Provenance:target:".repeat(400));
    let pairs = form::pairs(&query).unwrap();
    let wrong = Search::read(provenance.searchable, &pairs, limits).unwrap_err();
    assert!(wrong.en.contains("--search-joins-max"), "{}", wrong.en);
    // Said twice is said once.
    let search = read(
        observation,
        &and(500, |_| "code=a,b".into()),
        Limits::default(),
    );
    assert_eq!(search.criteria.len(), 1);
}
