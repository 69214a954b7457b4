//! What the store promises: resends, atomicity, lenient handling, quarantine, versions.

#[path = "support/database.rs"]
mod database;

use std::sync::Arc;

use database::Database;
use kenko_fhir::exchange::{self, Options, Submission};
use kenko_fhir::kind::{Edition, Kinds};
use kenko_fhir::mapping::forward;
use kenko_fhir::registry::{self, List};
use kenko_fhir::store::{
    Access, Counts, Handling, Outcome, Receipt, RecordQuery, Relation, SortBy, SortKey, Store,
    Submit, Test,
};

struct Fixture {
    store: Store,
    _database: Database,
}

impl Fixture {
    async fn new() -> Fixture {
        let database = Database::new().await;
        let store = Store::open(&database.url, Arc::new(Kinds::embedded().unwrap()))
            .await
            .unwrap();
        for list in List::ALL {
            let file = format!("examples/registries/{}.json", list.name);
            let read = registry::read_file(list, file.as_ref(), &registry::Options::default());
            let rows = read.unwrap().rows;
            store
                .change_registry(list, &rows, false)
                .await
                .unwrap()
                .unwrap();
        }
        Fixture {
            store,
            _database: database,
        }
    }

    fn read(&self, text: &str, lenient: bool) -> Submission {
        let options = Options {
            lenient,
            ..Options::default()
        };
        exchange::read(self.store.kinds(), options, text.as_bytes()).unwrap()
    }

    async fn send(&self, text: &str) -> Receipt {
        self.store
            .submit(&mut self.read(text, false), &Submit::default())
            .await
            .unwrap()
    }

    async fn send_lenient(&self, text: &str) -> Receipt {
        let how = Submit {
            handling: Handling::Lenient,
            ..Submit::default()
        };
        self.store
            .submit(&mut self.read(text, true), &how)
            .await
            .unwrap()
    }

    async fn all(&self) -> kenko_fhir::store::Records {
        let query = RecordQuery {
            limit: 100_000,
            ..RecordQuery::default()
        };
        let page = self.store.search(&Access::operator(), &query).await;
        page.unwrap().records
    }
}

fn weight(update_time: &str, value: &str) -> String {
    weight_at("20160901073015", update_time, value)
}

fn weight_at(time: &str, update_time: &str, value: &str) -> String {
    let record = format!(
        r#"{{"observation_time":"{time}","body_weight":{value},"model_manufacturer_code":"ACME","model_number":"WS-100","production_specification_serial":"WS0001234","data_input_code":"0","origin_of_time_code":"1","update_time":"{update_time}"}}"#
    );
    submission(&record)
}

fn submission(records: &str) -> String {
    format!(
        r#"{{"format_version":"1.0","send_time":"20161005120005123","consortium_id":"A00001","person_information":[{{"person_id":"P0000000000000000001","healthcare_information":{{"weighing_scale":[{records}]}}}}]}}"#
    )
}

fn first() -> String {
    std::fs::read_to_string("examples/first.json").unwrap()
}

#[tokio::test]
async fn a_submission_is_stored_and_comes_back_as_it_was() {
    let f = Fixture::new().await;
    let receipt = f.send(&first()).await;
    assert_eq!(receipt.status, 201, "{:?}", receipt);
    assert_eq!(receipt.counts.received, receipt.counts.created);

    let submission = f.read(&first(), false);
    let kinds = f.store.kinds().clone();
    let mut expected: Vec<String> = Vec::new();
    for i in submission.canonical_order(&kinds) {
        let record = submission.record(&kinds, &submission.rows[i as usize]);
        let mut out = Vec::new();
        exchange::write_record(&mut out, &record, Edition::E2017);
        expected.push(forward::identity(&record) + &String::from_utf8(out).unwrap());
    }
    let stored = f.all().await;
    let mut got: Vec<String> = Vec::new();
    for row in &stored.rows {
        let record = stored.record(row);
        let mut out = Vec::new();
        exchange::write_record(&mut out, &record, Edition::E2017);
        got.push(forward::identity(&record) + &String::from_utf8(out).unwrap());
        assert_eq!((row.version, row.status), (1, "final"));
    }
    expected.sort();
    got.sort();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn the_same_submission_again_changes_nothing() {
    let f = Fixture::new().await;
    let created = f.send(&first()).await.counts.created;
    let again = f.send(&first()).await;
    assert_eq!(
        (again.status, again.counts.unchanged, again.counts.created),
        (200, created, 0)
    );
    assert_eq!(f.all().await.rows.len() as u64, created);
}

#[tokio::test]
async fn the_resend_table_holds() {
    let f = Fixture::new().await;
    let outcome = |r: &Receipt| {
        let c = r.counts;
        let n = [c.created, c.updated, c.unchanged, c.stale, c.conflict];
        let at = n.iter().position(|&n| n == 1).unwrap();
        ["created", "updated", "unchanged", "stale", "conflict"][at]
    };
    let a = f.send(&weight("20160901080000000", "65.50")).await;
    assert_eq!((outcome(&a), a.status), ("created", 201));
    let equal = f.send(&weight("20160901080000000", "65.5")).await;
    assert_eq!((outcome(&equal), equal.status), ("unchanged", 200));
    let conflict = f.send(&weight("20160901080000000", "66.0")).await;
    assert_eq!((outcome(&conflict), conflict.status), ("conflict", 422));
    let fault = &conflict.entries[0].faults[0];
    assert!(
        fault.expected.contains("65.50") && fault.found.contains("66.0"),
        "{fault:?}"
    );
    let newer_same = f.send(&weight("20160901080000002", "65.50")).await;
    assert_eq!(outcome(&newer_same), "unchanged");
    // The newer update_time is remembered: what lies between is stale now.
    let between = f.send(&weight("20160901080000001", "70.0")).await;
    assert_eq!((outcome(&between), between.status), ("stale", 200));
    assert_eq!(between.entries[0].outcome, Outcome::Stale);
    let newer = f.send(&weight("20160901080000003", "66.0")).await;
    assert_eq!((outcome(&newer), newer.status), ("updated", 201));
    let older = f.send(&weight("20160901070000000", "65.50")).await;
    assert_eq!(outcome(&older), "stale");

    let now = f.all().await;
    assert_eq!(now.rows.len(), 1);
    assert_eq!((now.rows[0].version, now.rows[0].status), (2, "corrected"));
    let history = f
        .store
        .history(&Access::operator(), &now.rows[0].id)
        .await
        .unwrap();
    let versions: Vec<u32> = history.rows.iter().map(|r| r.version).collect();
    assert_eq!(versions, [2, 1]);
    let weight = |row| history.record(row).cells[1].scaled();
    assert_eq!(
        (weight(&history.rows[0]), weight(&history.rows[1])),
        (6600, 6550)
    );
}

#[tokio::test]
async fn files_in_any_order_end_in_the_same_content() {
    let texts = [
        weight("20160901080000000", "65.50"),
        weight("20160901090000000", "66.00"),
        weight("20160901100000000", "64.00"),
    ];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let f = Fixture::new().await;
        for i in order {
            assert!(f.send(&texts[i]).await.status < 300);
        }
        let all = f.all().await;
        assert_eq!(
            all.record(&all.rows[0]).cells[1].scaled(),
            6400,
            "{order:?}"
        );
        assert_eq!(all.rows.len(), 1);
    }
}

#[tokio::test]
async fn sixteen_senders_at_once_leave_each_record_once() {
    let f = Arc::new(Fixture::new().await);
    let mut tasks = Vec::new();
    for sender in 0..16 {
        let f = f.clone();
        tasks.push(tokio::spawn(async move {
            let mut counts = Counts::default();
            for round in 0..8 {
                let minute = (sender + round) % 8;
                let text = weight(
                    &format!("201609010800000{minute:02}"),
                    &format!("6{minute}.0"),
                );
                let receipt = f.send(&text).await;
                assert_ne!(receipt.status, 422);
                counts.created += receipt.counts.created;
            }
            counts.created
        }));
    }
    let mut created = 0;
    for task in tasks {
        created += task.await.unwrap();
    }
    assert_eq!(created, 1);
    let all = f.all().await;
    assert_eq!(all.rows.len(), 1);
    assert_eq!(all.record(&all.rows[0]).cells[1].scaled(), 6700);
    // Every version that was ever current is readable, each number once.
    let history = f
        .store
        .history(&Access::operator(), &all.rows[0].id)
        .await
        .unwrap();
    let versions: Vec<u32> = history.rows.iter().map(|r| r.version).collect();
    assert_eq!(
        versions,
        (1..=all.rows[0].version).rev().collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn one_refused_record_and_nothing_is_stored() {
    let f = Fixture::new().await;
    let good = weight("20160901080000000", "65.50");
    let bad = good.replace(
        "\"weighing_scale\":[{",
        "\"weighing_scale\":[{\"observation_time\":\"20160902073015\",\"body_weight\":-1.505},{",
    );
    let receipt = f.send(&bad).await;
    assert_eq!(
        (
            receipt.status,
            receipt.counts.refused,
            receipt.counts.created
        ),
        (422, 1, 0)
    );
    assert_eq!(f.all().await.rows.len(), 0);
    let kept = f
        .store
        .receipt(&Access::operator(), &receipt.id, false)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.entries, receipt.entries);
    // Six required fields, and three rules that the weight breaks.
    assert!(kept.entries[0].faults.len() >= 8, "{:#?}", kept.entries);
}

#[tokio::test]
async fn lenient_handling_stores_the_good_and_quarantines_the_rest() {
    let f = Fixture::new().await;
    let good = weight("20160901080000000", "65.50");
    let mixed = good.replace("\"weighing_scale\":[{", "\"weighing_scale\":[{\"observation_time\":\"20160902073015\",\"body_weight\":65.505,\"model_manufacturer_code\":\"ACME\",\"model_number\":\"WS-100\",\"production_specification_serial\":\"WS0001234\",\"data_input_code\":\"0\",\"origin_of_time_code\":\"1\",\"update_time\":\"20160902081500123\"},{");
    let receipt = f.send_lenient(&mixed).await;
    assert_eq!(
        (
            receipt.status,
            receipt.counts.refused,
            receipt.counts.created
        ),
        (201, 1, 1)
    );
    let access = Access::operator();
    let waiting = f
        .store
        .quarantine(&access, Some("A00001"), 0, 10)
        .await
        .unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].receipt, receipt.id);
    // A later submission mends it; the receipt stays as it was.
    f.send(&weight_at("20160902073015", "20160902081500124", "65.50"))
        .await;
    assert!(
        f.store
            .quarantine(&access, None, 0, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let kept = f
        .store
        .receipt(&access, &receipt.id, true)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.counts, receipt.counts);
    let outcomes: Vec<Outcome> = kept.entries.iter().map(|e| e.outcome).collect();
    assert_eq!(outcomes, [Outcome::Refused, Outcome::Created]);
    assert_eq!(
        kept.entries[1].reference,
        Some(format!("Observation/{}", f.all().await.rows[0].id.encode()))
    );
}

/// A lenient submission of `n` weights with several faults each, a day apart.
fn faulty(n: usize) -> String {
    let records: Vec<String> = (0..n)
        .map(|i| {
            format!(
                r#"{{"observation_time":"201609{:02}{:02}{:02}{:02}","body_weight":1.2345,"x":1,"update_time":"20160901081500123"}}"#,
                1 + i / 86_400, i / 3600 % 24, i / 60 % 60, i % 60
            )
        })
        .collect();
    submission(&records.join(","))
}

#[tokio::test]
async fn every_refused_record_is_kept_however_many_faults_there_are() {
    let f = Fixture::new().await;
    let options = Options {
        lenient: true,
        faults_max: 20,
        ..Options::default()
    };
    let how = Submit {
        handling: Handling::Lenient,
        ..Submit::default()
    };
    let text = faulty(50);
    let read = |options| exchange::read(f.store.kinds(), options, text.as_bytes()).unwrap();
    let all = read(Options {
        faults_max: 10_000,
        ..options
    })
    .faults
    .len() as u64;
    let receipt = f.store.submit(&mut read(options), &how).await.unwrap();
    assert_eq!((receipt.counts.received, receipt.counts.refused), (50, 50));
    // As many entries as faults are listed, and how many there are beside them.
    assert_eq!(receipt.entries.len(), 20);
    let listed: usize = receipt.entries.iter().map(|e| e.faults.len()).sum();
    assert!(
        receipt
            .entries
            .iter()
            .all(|e| e.faults.iter().any(|f| f.is_error()))
    );
    assert_eq!(receipt.unlisted.records, 0);
    assert_eq!(receipt.unlisted.entries, 30);
    assert_eq!(receipt.unlisted.faults, all - listed as u64);
    let access = Access::operator();
    let waiting = f.store.quarantine(&access, None, 0, 1000).await.unwrap();
    assert_eq!(waiting.len(), 50);
    assert!(
        waiting
            .iter()
            .all(|row| row.faults.iter().any(|f| f.is_error()))
    );
    let kept = f
        .store
        .receipt(&access, &receipt.id, false)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (kept.entries, kept.unlisted),
        (receipt.entries, receipt.unlisted)
    );
    let kept = f
        .store
        .receipt(&access, &receipt.id, true)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((kept.entries.len(), kept.unlisted.entries), (50, 0));

    // Beyond the limit of refused records they are counted, and that is told.
    let few = Options {
        refused_max: 30,
        ..options
    };
    let receipt = f.store.submit(&mut read(few), &how).await.unwrap();
    let kept = f
        .store
        .quarantine(&access, None, 0, 1000)
        .await
        .unwrap()
        .len()
        - 50;
    assert!((30..50).contains(&kept), "{kept}");
    assert_eq!((receipt.counts.received, receipt.counts.refused), (50, 50));
    assert_eq!(receipt.unlisted.records, 50 - kept as u64);
    let listed: usize = receipt.entries.iter().map(|e| e.faults.len()).sum();
    assert_eq!(receipt.unlisted.faults, all - listed as u64);
}

#[tokio::test]
async fn warnings_beyond_the_limit_are_counted() {
    let f = Fixture::new().await;
    let records: Vec<String> = (0..30)
        .map(|i| weight_at(&format!("201609010730{i:02}"), "20160901080000000", "65.50"))
        .map(|text| text.replace("WS-100", "WS-999"))
        .map(|text| {
            text[text.find(r#"{"observation_time""#).unwrap()..text.rfind("]}}]}").unwrap()]
                .to_owned()
        })
        .collect();
    let text = submission(&records.join(","));
    let options = Options {
        faults_max: 5,
        ..Options::default()
    };
    let mut read = exchange::read(f.store.kinds(), options, text.as_bytes()).unwrap();
    let receipt = f.store.submit(&mut read, &Submit::default()).await.unwrap();
    assert_eq!((receipt.counts.created, receipt.counts.warned), (30, 30));
    assert_eq!((receipt.entries.len(), receipt.unlisted.faults), (30, 25));
}

#[tokio::test]
async fn what_waits_is_mended_by_its_identity_and_expires() {
    let f = Fixture::new().await;
    let access = Access::operator();
    let bad = |time: &str| weight_at(time, "20160902081500123", "65.505");
    for second in 0..5 {
        f.send_lenient(&bad(&format!("2016090207301{second}")))
            .await;
    }
    let waiting = async || f.store.quarantine(&access, None, 0, 100).await.unwrap();
    let before = waiting().await;
    assert_eq!(before.len(), 5);
    // One of them is mended, and the same record over again changes nothing else.
    let good = weight_at("20160902073012", "20160902081500124", "65.50");
    assert_eq!(f.send(&good).await.counts.created, 1);
    let after = waiting().await;
    assert_eq!(after.len(), 4);
    assert!(after.iter().all(|row| row.id != before[2].id));

    // Expired rows are on no list, cannot be dismissed, and are deleted by the next submission.
    f.store.keep_quarantine(std::time::Duration::ZERO);
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    assert!(waiting().await.is_empty());
    assert!(!f.store.dismiss(&access, after[0].id, "x").await.unwrap());
    f.send(&weight("20160901080000000", "65.50")).await;
    f.store
        .keep_quarantine(std::time::Duration::from_secs(3600));
    let left = waiting().await;
    let newest: Vec<i64> = before.iter().rev().take(1).map(|row| row.id).collect();
    assert_eq!(left.iter().map(|row| row.id).collect::<Vec<_>>(), newest);
}

#[tokio::test]
async fn a_registry_that_changes_meanwhile_is_judged_anew() {
    // A submission is judged before it may write; what counts is what the registries say then.
    let f = Fixture::new().await;
    let store = Arc::new(f.store);
    let held = store.hold(None).await.unwrap();
    let other = store.clone();
    let removal = tokio::spawn(async move {
        let list = List::by_name("laboratories").unwrap();
        other.change_registry(list, &[], true).await.unwrap()
    });
    let pause = async || tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    pause().await;
    let other = store.clone();
    let sent = tokio::spawn(async move {
        let text = first();
        let read = exchange::read(other.kinds(), Options::default(), text.as_bytes());
        other
            .submit(&mut read.unwrap(), &Submit::default())
            .await
            .unwrap()
    });
    pause().await;
    drop(held);
    assert!(removal.await.unwrap().is_ok());
    let receipt = sent.await.unwrap();
    assert_eq!((receipt.status, receipt.counts.created), (422, 0));
    let codes: Vec<&str> = receipt
        .entries
        .iter()
        .flat_map(|entry| entry.faults.iter().map(|fault| fault.code.as_str()))
        .collect();
    assert!(codes.contains(&"laboratory-unknown"), "{codes:?}");
}

#[tokio::test]
async fn what_the_registries_do_not_know_is_refused() {
    let f = Fixture::new().await;
    let good = weight("20160901080000000", "65.50");
    for (text, code) in [
        (good.replace("A00001", "A00009"), "consortium-unknown"),
        (
            good.replace("P0000000000000000001", "P9"),
            "participant-unknown",
        ),
        (
            good.replace("20160901073015", "20160831235959"),
            "outside-participation",
        ),
    ] {
        let receipt = f.send(&text).await;
        let faults: Vec<&str> = receipt
            .faults
            .iter()
            .chain(receipt.entries.iter().flat_map(|e| &e.faults))
            .map(|fault| fault.code.as_str())
            .collect();
        assert_eq!(receipt.status, 422);
        assert_eq!(faults, [code]);
    }
    assert_eq!(f.all().await.rows.len(), 0);
}

#[tokio::test]
async fn unknown_ones_are_registered_where_that_is_asked_for() {
    let f = Fixture::new().await;
    let text = weight("20160901080000000", "65.50").replace("A00001", "Z00001");
    let how = Submit {
        auto: true,
        ..Submit::default()
    };
    let receipt = f
        .store
        .submit(&mut f.read(&text, false), &how)
        .await
        .unwrap();
    assert_eq!(receipt.status, 201, "{receipt:?}");
    let access = Access::operator();
    let people = f
        .store
        .registry_page(&access, &registry::PARTICIPANTS, Some("Z00001"), None, 10)
        .await
        .unwrap();
    assert!(people[0].row.provisional);
    assert_eq!(
        people[0].row.text("participation_start_date"),
        Some("20160901")
    );
    assert_eq!(people[0].row.text("sex_code"), Some("0"));
}

#[tokio::test]
async fn pages_lose_and_repeat_nothing() {
    let f = Fixture::new().await;
    let mut created = f.send(&first()).await.counts.created;
    for day in 1..=28 {
        let text = weight_at(
            &format!("201609{day:02}1{:05}", day * 7),
            "20160930080000000",
            "60.1",
        );
        created += f.send(&text).await.counts.created;
    }
    let access = Access::operator();
    let key = |by, descending| vec![SortKey { by, descending }];
    let sorts = [
        Vec::new(),
        key(SortBy::Time, false),
        key(SortBy::Time, true),
        key(SortBy::Written, false),
        key(SortBy::Written, true),
    ];
    for (n, sort) in sorts.into_iter().enumerate() {
        for limit in [1, 3, 7, 100] {
            for people in [false, true] {
                let mut query = RecordQuery {
                    sort: sort.clone(),
                    limit,
                    ..RecordQuery::default()
                };
                let all = f.all().await;
                if people {
                    let hashes = all.rows.iter().map(|r| r.person.hash).collect();
                    let people = Test::Hash(hashes);
                    query.test = Test::related(Relation::RecordParticipant, people);
                }
                let mut seen = Vec::new();
                let mut times = Vec::new();
                loop {
                    let page = f.store.search(&access, &query).await.unwrap();
                    let rows = &page.records.rows;
                    seen.extend(rows.iter().map(|r| r.key));
                    times.extend(rows.iter().map(|r| (r.key.time, r.key.write)));
                    query.from = page.next;
                    if query.from.is_none() {
                        break;
                    }
                }
                assert_eq!(seen.len() as u64, created, "{sort:?} {limit} {people}");
                let count = f.store.count(&access, &query).await.unwrap();
                assert_eq!(count, created);
                match n {
                    0 => {}
                    1 => assert!(times.is_sorted_by_key(|t| t.0)),
                    2 => assert!(times.is_sorted_by_key(|t| -t.0)),
                    3 => assert!(times.is_sorted_by_key(|t| t.1)),
                    _ => assert!(times.is_sorted_by_key(|t| -t.1)),
                }
                seen.sort();
                seen.dedup();
                assert_eq!(seen.len() as u64, created);
            }
        }
    }
}

#[tokio::test]
async fn a_backup_is_a_database_and_comes_back() {
    if database::only_for_files("a_backup_is_a_database_and_comes_back") {
        return;
    }
    let f = Fixture::new().await;
    let created = f.send(&first()).await.counts.created;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("snapshot.db");
    f.store.backup(&file).await.unwrap();
    assert!(
        f.store.backup(&file).await.is_err(),
        "an existing file was overwritten"
    );
    let other = dir.path().join("other.db");
    kenko_fhir::store::restore(&file, &other).await.unwrap();
    let url = format!("sqlite://{}", other.display());
    let store = Store::open(&url, f.store.kinds().clone()).await.unwrap();
    let query = RecordQuery {
        limit: 100,
        ..RecordQuery::default()
    };
    let found = store.search(&Access::operator(), &query).await.unwrap();
    assert_eq!(found.records.rows.len() as u64, created);
    std::fs::write(dir.path().join("not.db"), "not a database").unwrap();
    assert!(
        kenko_fhir::store::restore(&dir.path().join("not.db"), &other)
            .await
            .is_err()
    );
}
