//! Receipts as JSON (interface specification §2, "The receipt").

use serde::Serialize;
use utoipa::ToSchema;

use crate::fault::{Code, Fault, Lang, Severity};
use crate::http::error::FaultJson;
use crate::store::{Counts, Outcome, QuarantineRow, Receipt};
use crate::time;

/// What became of a submission.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Receipt)]
pub struct ReceiptJson {
    /// The receipt's id; later ones sort after earlier ones.
    #[schema(example = "01ARZ3NDEKTSV4RRFFQ69G5FAV")]
    id: String,
    /// Whose submission it was; null where the submission did not say.
    #[schema(example = "A00001")]
    consortium_id: Option<String>,
    /// `send_time` of the submission; null where it has none.
    #[schema(example = "20160901120000000")]
    send_time: Option<String>,
    /// When it came.
    #[schema(format = DateTime)]
    received_at: String,
    #[schema(schema_with = handlings)]
    handling: &'static str,
    /// Faults of the envelope.
    faults: Vec<FaultJson>,
    #[schema(inline)]
    counts: CountsJson,
    /// Every record that was not plainly created or unchanged, and every one with a warning;
    /// with `entries=all`, every record.
    entries: Vec<EntryJson>,
    /// Counts of what the entries leave out; absent where that is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    unlisted: Option<UnlistedJson>,
}

/// Counts of what the entries of a receipt leave out, because a submission has more faults or refused
/// records than are listed (`--faults-max`, `--refused-max`).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Unlisted)]
pub struct UnlistedJson {
    /// Refused records that were only counted: they are not in the quarantine either.
    records: u64,
    /// Refused records without an entry, those that were only counted among them. The others
    /// have one with `entries=all`, and those of a lenient submission wait in the quarantine.
    entries: u64,
    /// Faults that no entry tells.
    faults: u64,
}

/// How many records came to which end.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountsJson {
    received: u64,
    created: u64,
    updated: u64,
    unchanged: u64,
    stale: u64,
    conflict: u64,
    refused: u64,
    /// Stored with a warning.
    warned: u64,
}

/// What became of one record.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReceiptEntry)]
pub struct EntryJson {
    /// JSON pointer of the record in the submission.
    pointer: String,
    #[schema(schema_with = outcomes)]
    outcome: &'static str,
    /// `Observation/{id}` where there is one.
    reference: Option<String>,
    faults: Vec<FaultJson>,
}

/// A refused record that waits to be mended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QuarantineEntry)]
pub struct WaitingJson {
    id: i64,
    /// The receipt that tells of it.
    receipt: String,
    consortium_id: String,
    /// JSON pointer in its submission.
    pointer: String,
    faults: Vec<FaultJson>,
    #[schema(format = DateTime)]
    received_at: String,
}

fn words(words: &[&str]) -> utoipa::openapi::schema::Object {
    utoipa::openapi::schema::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::String)
        .enum_values(Some(words.iter().copied()))
        .build()
}

fn handlings() -> utoipa::openapi::schema::Object {
    words(&["strict", "lenient"])
}

fn outcomes() -> utoipa::openapi::schema::Object {
    words(&Outcome::ALL.map(Outcome::as_str))
}

fn instant(millis: i64) -> String {
    time::text(|out| time::write_instant(out, millis))
}

fn faults(faults: &[Fault], lang: Lang) -> Vec<FaultJson> {
    faults.iter().map(|f| FaultJson::new(f, lang)).collect()
}

impl ReceiptJson {
    /// The receipt, its messages in a language.
    pub fn new(receipt: &Receipt, lang: Lang) -> ReceiptJson {
        let Counts {
            received,
            created,
            updated,
            unchanged,
            stale,
            conflict,
            refused,
            warned,
        } = receipt.counts;
        ReceiptJson {
            id: receipt.id.clone(),
            consortium_id: Some(receipt.consortium_id.clone()).filter(|c| !c.is_empty()),
            send_time: (receipt.send_time != 0)
                .then(|| time::text(|out| time::write17(out, receipt.send_time))),
            received_at: instant(receipt.received_at),
            handling: if receipt.lenient { "lenient" } else { "strict" },
            faults: faults(&receipt.faults, lang),
            counts: CountsJson {
                received,
                created,
                updated,
                unchanged,
                stale,
                conflict,
                refused,
                warned,
            },
            unlisted: receipt.unlisted.is_any().then_some(UnlistedJson {
                records: receipt.unlisted.records,
                entries: receipt.unlisted.entries,
                faults: receipt.unlisted.faults,
            }),
            entries: receipt
                .entries
                .iter()
                .map(|entry| EntryJson {
                    pointer: entry.pointer.clone(),
                    outcome: entry.outcome.as_str(),
                    reference: entry.reference.clone(),
                    faults: faults(&entry.faults, lang),
                })
                .collect(),
        }
    }
}

impl WaitingJson {
    /// The row, its messages in a language.
    pub fn new(row: &QuarantineRow, lang: Lang) -> WaitingJson {
        WaitingJson {
            id: row.id,
            receipt: row.receipt.clone(),
            consortium_id: row.consortium_id.clone(),
            pointer: row.pointer.clone(),
            faults: faults(&row.faults, lang),
            received_at: instant(row.received_at),
        }
    }
}

/// Why nothing was stored, in a sentence.
pub fn refusal(receipt: &Receipt, lang: Lang) -> String {
    let counts = &receipt.counts;
    let bad = counts.refused + counts.conflict;
    let received = counts.received;
    let broken = receipt.faults.iter().any(Fault::is_error);
    match (lang, bad) {
        (Lang::En, 0) if broken => "nothing was stored: the envelope has faults".into(),
        (Lang::Ja, 0) if broken => "何も保存していません: 送信全体に誤りがあります".into(),
        (Lang::En, _) => {
            format!(
                "nothing was stored: {bad} of {received} records were refused or in conflict{}",
                unlisted(receipt, lang)
            )
        }
        (Lang::Ja, _) => {
            format!(
                "何も保存していません: {received} 件中 {bad} 件が拒否または競合しました{}",
                unlisted(receipt, lang)
            )
        }
    }
}

/// How many records have no entry, where there are such.
fn unlisted(receipt: &Receipt, lang: Lang) -> String {
    match (lang, receipt.unlisted.entries) {
        (_, 0) => String::new(),
        (Lang::En, n) => format!("; {n} of them have no entry here"),
        (Lang::Ja, n) => format!("（うち {n} 件はここに載せていません）"),
    }
}

/// The receipt of the specification, as the example of the OpenAPI document.
pub fn example() -> ReceiptJson {
    let record = "/person_information/0/healthcare_information/weighing_scale/3";
    let pointer = format!("{record}/body_weight");
    let place = crate::fault::Place {
        line: 41,
        column: 27,
    };
    let fault = Fault::new(Code::Decimals, pointer, place)
        .severity(Severity::Error)
        .expected("at most 2 decimals")
        .found("65.505");
    ReceiptJson {
        id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
        consortium_id: Some("A00001".into()),
        send_time: Some("20160901120000000".into()),
        received_at: "2016-09-01T12:00:01.250+09:00".into(),
        handling: "lenient",
        faults: Vec::new(),
        counts: CountsJson {
            received: 6,
            created: 3,
            updated: 1,
            unchanged: 1,
            stale: 0,
            conflict: 0,
            refused: 1,
            warned: 1,
        },
        unlisted: None,
        entries: vec![EntryJson {
            pointer: record.into(),
            outcome: Outcome::Refused.as_str(),
            reference: None,
            faults: faults(&[fault], Lang::En),
        }],
    }
}
