//! What requests to write are answered with: what became of them, or why they are refused.

use axum::http::StatusCode;

use crate::fault::{Code, Fault, Place, Severity};
use crate::fhir::inbound;
use crate::fhir::resource::Resource;
use crate::http::error::{Kind, Problem, Result};
use crate::store::{Change, Outcome};

/// What became of a request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// 200, 201 or 204.
    pub status: StatusCode,
    /// The type.
    pub resource: &'static Resource,
    /// The resource, where there is one.
    pub id: Option<String>,
    /// Its current version, where it is known.
    pub number: Option<u32>,
    /// When that was written, where it was written now.
    pub at: Option<i64>,
    /// What there is to say.
    pub notices: Vec<inbound::Issue>,
}

/// What became of each request; `None` where the entry is none of them.
pub type Answers = Vec<Option<Result<Answer>>>;

impl Answer {
    /// There is nothing to tell of.
    pub fn nothing(resource: &'static Resource) -> Answer {
        Answer {
            status: StatusCode::NO_CONTENT,
            resource,
            id: None,
            number: None,
            at: None,
            notices: Vec::new(),
        }
    }

    /// A resource that was there already.
    pub fn of(resource: &'static Resource, status: StatusCode, id: String) -> Answer {
        Answer {
            status,
            id: Some(id),
            ..Answer::nothing(resource)
        }
    }

    /// A resource that was written, or had nothing new in it.
    pub fn became(
        resource: &'static Resource,
        id: String,
        change: &Change,
        at: i64,
        notices: Vec<inbound::Issue>,
    ) -> Answer {
        let status = match change.is_new {
            true => StatusCode::CREATED,
            false => StatusCode::OK,
        };
        let written = matches!(change.outcome, Outcome::Created | Outcome::Updated);
        Answer {
            // A repetition in the same Bundle has none of its own.
            number: (change.version > 0).then_some(change.version),
            at: written.then_some(at),
            notices,
            ..Answer::of(resource, status, id)
        }
    }
}

/// Whether the stored record stays as it was, against what was asked.
pub fn is_refusal(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Conflict | Outcome::Stale)
}

/// What is wrong with a resource: 400 where it is no FHIR, 422 where a rule refuses it
/// (<https://hl7.org/fhir/R4/http.html#rejecting-updates>).
pub fn refusal(mut faults: Vec<Fault>) -> Problem {
    // What refuses it is told before what else there is to say.
    faults.sort_by_key(|fault| !fault.is_error());
    let kind = match faults.iter().any(|f| f.is_error() && is_structural(f)) {
        true => Kind::Malformed,
        false => Kind::Refused,
    };
    Problem::faults(kind, faults)
}

/// Whether R4 itself has no such resource, whatever the rules of records are.
fn is_structural(fault: &Fault) -> bool {
    let stands_at = |elements: &[&str]| {
        let name = fault.pointer.rsplit('.').next().unwrap_or_default();
        elements.contains(&name)
    };
    match fault.code {
        // R4's strings may have tabs and ends of lines; those of a record may not.
        Code::Type if fault.expected == "a text without control characters" => false,
        Code::Type | Code::UnknownField | Code::DuplicateKey | Code::TimeInvalid => true,
        Code::RequiredMissing => stands_at(&["status", "code"]),
        Code::CodeUnknown => stands_at(&["status", "gender"]),
        _ => false,
    }
}

/// The stored record stays: 409.
pub fn conflict(mut faults: Vec<Fault>) -> Problem {
    for fault in &mut faults {
        if matches!(fault.code, Code::Stale | Code::Conflict) {
            fault.severity = Severity::Error;
        }
    }
    Problem::faults(Kind::Conflict, faults)
}

/// What says that a record has the time of receipt.
pub fn dated(pointer: String, place: Place) -> Fault {
    Fault::new(Code::FallbackUsed, pointer + ".issued", place)
        .expected("issued after that of the stored version")
        .found("time of receipt")
}

/// Another entry of the same transaction writes the same resource.
pub fn overlap(first: u32) -> Problem {
    Problem::new(Kind::Malformed).issue_type("duplicate").detail(
        format!("entry {first} of the transaction writes the same resource; keep one of them"),
        format!("トランザクションのエントリー {first} が同じリソースに書き込みます。一つにしてください"),
    )
}

/// The id in a body is not that of what it is written to.
pub fn other_id(id: &str) -> Problem {
    Problem::new(Kind::Parameter)
        .detail(
            format!("the id of the resource must be that of the address, {id}"),
            format!("リソースの id はアドレスの id（{id}）と一致する必要があります"),
        )
        .at("Resource.id")
}
