//! The one error of the HTTP side, and how it looks on the wire.
//!
//! A handler gives a [`Problem`]; what is sent depends on where it happens: under `/fhir` an
//! OperationOutcome, everywhere else problem details (RFC 9457), in the language asked for.
//! The handler knows neither: it answers with the status and the problem as an extension of
//! the response, and [`render`] (called around all routes) writes the body. Errors of the
//! framework (no such route, wrong method, a limit, a panic) have a status only; it
//! gives them the same form.
//!
//! | [`Kind`] | HTTP | issue type | when |
//! |---|---:|---|---|
//! | `Malformed` | 400 | structure | not JSON, not FHIR, a body that cannot be read |
//! | `Parameter` | 400 | invalid | a query parameter that is unknown or has no such value |
//! | `Login` | 401 | login | who calls is not known |
//! | `Forbidden` | 403 | forbidden | who calls may not |
//! | `NotFound` | 404 | not-found | never existed, or may not be known |
//! | `Method` | 405 | not-supported | the address is there, the method is not (`Allow`) |
//! | `NotAcceptable` | 406 | not-supported | only other media types can be given |
//! | `SlowSender` | 408 | timeout | the body did not come in time |
//! | `Conflict` | 409 | conflict | what is stored stands against it |
//! | `Duplicate` | 409 | duplicate | it is there already |
//! | `Gone` | 410 | deleted | it was there |
//! | `Precondition` | 412 | conflict | `If-Match` and its like do not hold |
//! | `Several` | 412 | multiple-matches | a condition matches several |
//! | `TooLarge` | 413 | too-long | the body is over the limit |
//! | `MediaType` | 415 | not-supported | a body in a media type or coding not read here |
//! | `Misdirected` | 421 | security | the host of the request is not one of this server |
//! | `Refused` | 422 | processing | well-formed, but against a rule; the faults say which |
//! | `TooCostly` | 422 | too-costly | it would take more time, work or memory than a limit allows |
//! | `Throttled` | 429 | throttled | too many requests (`Retry-After`) |
//! | `Internal` | 500 | exception | our fault; logged with the request id, never explained |
//! | `NotImplemented` | 501 | not-supported | of the standard, not of this program |
//! | `Unavailable` | 503 | transient | busy or shutting down (`Retry-After`) |
//! | `StorageFull` | 507 | no-store | the disk of the database is full; nothing was stored |
//!
//! 503 is used where a retry helps (a busy database, no room for another body); what a
//! retry does not help is 500.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_LANGUAGE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, HeaderName,
    HeaderValue, RETRY_AFTER,
};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{App, negotiate, query};
use crate::fault::{Fault, Lang, Severity};
use crate::fhir::canonical::Canonical;
use crate::fhir::outcome::{Issue, outcome};
use crate::metrics;
use crate::store;

/// Result of a handler.
pub type Result<T> = std::result::Result<T, Problem>;

/// The media type of problem details.
pub const PROBLEM_JSON: &str = "application/problem+json";

macro_rules! kinds {
    ($($kind:ident $status:literal $issue:literal $en:literal $ja:literal;)*) => {
        /// What sort of problem it is: decides status and issue type (see the module's table).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind { $(#[doc = $en] $kind,)* }

        impl Kind {
            /// The HTTP status.
            pub fn status(self) -> StatusCode {
                let code = match self { $(Kind::$kind => $status,)* };
                StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            /// The code of FHIR's `issue-type`.
            pub fn issue_type(self) -> &'static str {
                match self { $(Kind::$kind => $issue,)* }
            }
            /// What it says where nothing more is known.
            pub fn title(self, lang: Lang) -> &'static str {
                match (self, lang) { $((Kind::$kind, Lang::En) => $en, (Kind::$kind, Lang::Ja) => $ja,)* }
            }
            /// The first kind with this status; of others the one of their class.
            pub fn of(status: StatusCode) -> Kind {
                match status.as_u16() {
                    $($status if Kind::$kind.is_first() => Kind::$kind,)*
                    400..=499 => Kind::Malformed,
                    _ => Kind::Internal,
                }
            }
        }
    };
}

kinds! {
    Malformed 400 "structure" "The request cannot be read" "リクエストを読み取れません";
    Parameter 400 "invalid" "A parameter is wrong" "パラメータが正しくありません";
    Login 401 "login" "Authentication is required" "認証が必要です";
    Forbidden 403 "forbidden" "Not permitted" "許可されていません";
    NotFound 404 "not-found" "Not found" "見つかりません";
    Method 405 "not-supported" "The method is not supported here" "このメソッドには対応していません";
    NotAcceptable 406 "not-supported" "The media type asked for cannot be given" "要求された形式では応答できません";
    SlowSender 408 "timeout" "The body did not come in time" "本文が時間内に届きませんでした";
    Conflict 409 "conflict" "In conflict with what is stored" "保存済みの内容と矛盾します";
    Duplicate 409 "duplicate" "It exists already" "すでに存在します";
    Gone 410 "deleted" "Deleted" "削除されています";
    Precondition 412 "conflict" "The condition does not hold" "条件を満たしません";
    Several 412 "multiple-matches" "The condition matches several" "条件に複数が一致します";
    TooLarge 413 "too-long" "The body is too large" "本文が大きすぎます";
    MediaType 415 "not-supported" "The media type of the body is not supported" "本文の形式に対応していません";
    Misdirected 421 "security" "The host is not one of this server" "このサーバーのホスト名ではありません";
    Refused 422 "processing" "Refused by a rule" "規則により受理できません";
    TooCostly 422 "too-costly" "It would cost too much" "処理の負荷が大きすぎます";
    Throttled 429 "throttled" "Too many requests" "リクエストが多すぎます";
    Internal 500 "exception" "An error of the server" "サーバー内部のエラーです";
    NotImplemented 501 "not-supported" "Not implemented" "実装されていません";
    Unavailable 503 "transient" "Busy; try again later" "混み合っています。後でもう一度お試しください";
    StorageFull 507 "no-store" "The disk of the database is full" "データベースのディスクがいっぱいです";
}

impl Kind {
    /// Of kinds that share a status, the one that a bare status means.
    fn is_first(self) -> bool {
        !matches!(
            self,
            Kind::Parameter | Kind::Duplicate | Kind::Several | Kind::TooCostly
        )
    }
}

/// A text in both languages.
#[derive(Debug, Clone)]
pub struct Message {
    /// English.
    pub en: String,
    /// Japanese.
    pub ja: String,
}

impl Message {
    /// A text in both languages.
    pub fn new(en: impl Into<String>, ja: impl Into<String>) -> Message {
        Message {
            en: en.into(),
            ja: ja.into(),
        }
    }

    /// The text in a language.
    pub fn get(&self, lang: Lang) -> &str {
        match lang {
            Lang::En => &self.en,
            Lang::Ja => &self.ja,
        }
    }
}

/// Why a request failed.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What sort of problem.
    pub kind: Kind,
    /// What is wrong with the content, each with its place.
    pub faults: Vec<Fault>,
    /// What happened, for people.
    pub detail: Option<Box<Message>>,
    /// FHIRPath expressions of what the detail is about.
    pub expression: Vec<String>,
    /// A FHIR issue type more to the point than that of the kind.
    pub issue_type: Option<&'static str>,
    /// Faults that are counted and not listed.
    unlisted: u32,
    /// Headers of the answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What caused it: logged once, never sent.
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Problem {
    /// A problem of this kind and no more.
    pub fn new(kind: Kind) -> Problem {
        let mut headers = Vec::new();
        if matches!(kind, Kind::Unavailable | Kind::Throttled) {
            headers.push((RETRY_AFTER, HeaderValue::from_static("2")));
        }
        Problem {
            kind,
            faults: Vec::new(),
            detail: None,
            expression: Vec::new(),
            issue_type: None,
            unlisted: 0,
            headers,
            source: None,
        }
    }

    /// What is wrong with the content. The kind decides the status.
    pub fn faults(kind: Kind, faults: Vec<Fault>) -> Problem {
        Problem {
            faults,
            ..Problem::new(kind)
        }
    }

    /// An error of ours.
    pub fn internal(source: impl std::error::Error + Send + Sync + 'static) -> Problem {
        Problem::new(Kind::Internal).because(source)
    }

    /// The same, saying what happened (English, Japanese).
    #[must_use]
    pub fn detail(mut self, en: impl Into<String>, ja: impl Into<String>) -> Problem {
        self.detail = Some(Box::new(Message::new(en, ja)));
        self
    }

    /// The same, about this FHIRPath expression.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Problem {
        self.expression.push(expression.into());
        self
    }

    /// The same, with another FHIR issue type.
    #[must_use]
    pub fn issue_type(mut self, issue_type: &'static str) -> Problem {
        self.issue_type = Some(issue_type);
        self
    }

    /// The same, with a header in the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.headers.push((name, value));
        self
    }

    /// The same, with so many faults that are not listed.
    #[must_use]
    pub fn unlisted(mut self, count: u64) -> Problem {
        self.unlisted = u32::try_from(count).unwrap_or(u32::MAX);
        self
    }

    /// The same, with what caused it.
    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Problem {
        self.source = Some(Arc::new(source));
        self
    }

    /// The issues that an OperationOutcome tells.
    pub fn issues(&self, lang: Lang) -> Vec<Issue> {
        let mut issues: Vec<Issue> = self.faults.iter().map(|f| Issue::of(f, lang)).collect();
        if issues.is_empty() {
            let issue_type = self.issue_type.unwrap_or(self.kind.issue_type());
            let mut issue = Issue::new(Severity::Error, issue_type, self.text(lang));
            issue.expression.clone_from(&self.expression);
            issues.push(issue);
        }
        if self.unlisted > 0 {
            issues.push(unlisted(u64::from(self.unlisted), lang));
        }
        issues
    }

    /// The OperationOutcome, as an answer or as a part of a batch answer.
    pub fn outcome(&self, canonical: &Canonical, lang: Lang) -> Value {
        outcome(&self.issues(lang), canonical, lang)
    }

    /// What happened, in words.
    pub fn text(&self, lang: Lang) -> String {
        match &self.detail {
            Some(detail) => detail.get(lang).to_owned(),
            None => self.kind.title(lang).to_owned(),
        }
    }

    /// The problem details.
    pub fn details(&self, lang: Lang) -> ProblemJson {
        ProblemJson {
            problem: "about:blank",
            title: title(self.kind, lang),
            status: self.kind.status().as_u16(),
            detail: self.text(lang),
            faults: self
                .faults
                .iter()
                .map(|f| FaultJson::new(f, lang))
                .collect(),
        }
    }

    /// Logs what caused it; called once, where the answer is made.
    pub fn log(&self) {
        let Some(error) = &self.source else {
            return;
        };
        let kind = self.kind;
        if kind == Kind::Unavailable {
            tracing::warn!(%error, "unavailable");
        } else if kind.status().is_server_error() {
            tracing::error!(%error, "{kind:?}");
        } else {
            tracing::debug!(%error, "{kind:?}");
        }
    }
}

/// The issue that says how many faults are not listed.
pub fn unlisted(count: u64, lang: Lang) -> Issue {
    let text = match lang {
        Lang::En => format!("{count} more are not listed"),
        Lang::Ja => format!("ほか {count} 件は省略しました"),
    };
    Issue::new(Severity::Information, "incomplete", text)
}

/// A fault as receipts and problem details tell it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Fault)]
pub struct FaultJson {
    /// `error`, `warning` or `information`
    severity: &'static str,
    /// A code of `CodeSystem/fault`.
    #[schema(example = "decimals")]
    code: &'static str,
    /// JSON pointer of the value; of a missing field, the pointer it would have.
    pointer: String,
    /// Line of the value, from 1; absent where there is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    /// Column in characters, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    expected: String,
    found: String,
    /// All of it in the language asked for, and what to do.
    message: String,
}

impl FaultJson {
    /// The fault, its message in a language.
    pub fn new(fault: &Fault, lang: Lang) -> FaultJson {
        FaultJson {
            severity: fault.severity.as_str(),
            code: fault.code.as_str(),
            pointer: fault.pointer.clone(),
            line: (fault.line > 0).then_some(fault.line),
            column: (fault.line > 0).then_some(fault.column),
            expected: fault.expected_in(lang).into_owned(),
            found: fault.found_in(lang).into_owned(),
            message: fault.message(lang),
        }
    }
}

/// The title of problem details of no type of their own: the phrase of the status.
pub fn title(kind: Kind, lang: Lang) -> &'static str {
    match (lang, kind.status().canonical_reason()) {
        (Lang::En, Some(phrase)) => phrase,
        _ => kind.title(lang),
    }
}

/// Problem details (RFC 9457): what every error outside `/fhir` says.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemJson {
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    problem: &'static str,
    title: &'static str,
    status: u16,
    /// What happened, in the language asked for.
    detail: String,
    /// What is wrong with the content, where it is the content.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    faults: Vec<FaultJson>,
}

impl IntoResponse for Problem {
    /// The status and the problem itself; [`render`] writes the body.
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.headers_mut().extend(self.headers.clone());
        response.extensions_mut().insert(self);
        response
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Problem {
        let problem = Problem::of_store(&error);
        // A cursor of another search is a mistake of the request.
        if problem.kind.status().is_server_error() || problem.kind == Kind::TooCostly {
            metrics::store_error(match &error {
                store::Error::TooCostly => "too-costly",
                error if error.is_full() => "full",
                error if error.is_away() => "away",
                error if error.is_busy() => "busy",
                _ => "failed",
            });
        }
        problem.because(error)
    }
}

impl Problem {
    /// Problem that an error of the store is to a client; paths and reasons are for the log.
    fn of_store(error: &store::Error) -> Problem {
        if matches!(error, store::Error::Cursor) {
            wrong_cursor()
        } else if matches!(error, store::Error::WalkEnded) {
            Problem::new(Kind::Gone).issue_type("processing").detail(
                "_cursor: the walk through these pages cannot go on, because the record kinds of \
                 the server changed since it began; start again without _cursor",
                "_cursor: 最初のページの後にサーバーの記録種別の定義が変わったため、続きを表示できません。\
                 _cursor を外して最初からやり直してください",
            )
        } else if let store::Error::Outdated(kind) = &error {
            Problem::new(Kind::Unavailable).detail(
                format!(
                    "This server was started with another mapping of {kind} than the database is \
                     used with now; start it again with the same mappings as the others"
                ),
                format!(
                    "このサーバーの {kind} のマッピングは、現在データベースで使われているものと異なります。\
                     ほかのサーバーと同じマッピングで起動し直してください"
                ),
            )
        } else if error.is_full() {
            Problem::new(Kind::StorageFull).detail(
                "The disk of the database is full and nothing was stored. Free space on it (or \
                 raise its quota), then send the request again",
                "データベースのディスクがいっぱいのため、何も保存されませんでした。空き容量を増やして\
                 （またはクォータを上げて）から、リクエストをもう一度送信してください",
            )
        } else if error.is_moved() {
            Problem::new(Kind::Unavailable)
                .issue_type("no-store")
                .detail(
                    "The files of the database were moved, deleted or replaced while the server \
                     runs, and nothing was stored. Put the same files back, or restart the server \
                     with what stands there now",
                    "サーバーの稼働中にデータベースのファイルが移動、削除、または置き換えられたため、\
                     何も保存されませんでした。同じファイルを元に戻すか、今あるファイルでサーバーを\
                     再起動してください",
                )
        } else if error.is_read_only() {
            Problem::new(Kind::Unavailable)
                .issue_type("no-store")
                .detail(
                    "The database takes no writes: it is a standby, or read-only. Make it writable, \
                     or point --database at the one that is",
                    "データベースに書き込めません（スタンバイまたは読み取り専用）。書き込めるように\
                     するか、--database で書き込めるデータベースを指定してください",
                )
        } else if matches!(error, store::Error::TooCostly) {
            // Sent again it would take as long: 503 would ask for that.
            Problem::new(Kind::TooCostly).detail(
                "The database would take longer for this than the server allows. Narrow it: name \
                 a patient or a code and a period (such as date=ge2016-09-01), take fewer values, \
                 chains and _has, a smaller _count, and no _total=accurate",
                "この要求は、サーバーが許す時間内にデータベースで処理できません。対象を絞り込んでください。\
                 患者またはコードと期間（date=ge2016-09-01 など）を指定し、値、連鎖検索、_has を減らし、\
                 _count を小さくし、_total=accurate を外してください",
            )
        } else if error.is_away() {
            Problem::new(Kind::Unavailable).detail(
                "The database does not answer; try again later",
                "データベースが応答しません。後でもう一度お試しください",
            )
        } else if error.is_busy() {
            Problem::new(Kind::Unavailable)
        } else {
            Problem::new(Kind::Internal)
        }
    }

    /// Why the server takes no writes now, whatever a single write would be answered.
    pub fn not_ready(error: Arc<store::Error>) -> Problem {
        let problem = Problem::of_store(&error);
        let detail = problem.detail.or_else(|| {
            let (en, ja) = (
                "The database takes no writes; the log of the server says why",
                "データベースに書き込めません。理由はサーバーのログを確認してください",
            );
            Some(Box::new(Message::new(en, ja)))
        });
        Problem {
            detail,
            issue_type: problem.issue_type,
            ..Problem::new(Kind::Unavailable)
        }
        .because(error)
    }
}

/// A cursor that is none of this search.
pub fn wrong_cursor() -> Problem {
    Problem::new(Kind::Parameter).detail(
        "_cursor: is not of a link that this server gave for this search; follow its links as \
         they are, or start again without _cursor",
        "_cursor: この検索のためにこのサーバーが示したリンクのものではありません。\
         リンクをそのまま使うか、_cursor を外して最初からやり直してください",
    )
}

impl From<tokio::task::JoinError> for Problem {
    fn from(error: tokio::task::JoinError) -> Problem {
        Problem::internal(error)
    }
}

/// Gives every error its body, in a language, as the address that was asked for wants it.
pub fn render(app: &App, uri: &Uri, lang: Lang, mut response: Response) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        // A handler that wrote its own body (a receipt, a batch) knows what it does.
        None if is_ours(response.headers()) => return response,
        None => Problem::new(Kind::of(status)),
    };
    problem.log();
    let path = uri.path();
    let fhir = path == "/fhir" || path.starts_with("/fhir/");
    let pretty =
        |query| query::pairs(query, query::Plus::Kept).is_ok_and(|pairs| negotiate::pretty(&pairs));
    let write = if uri.query().is_some_and(pretty) {
        serde_json::to_vec_pretty
    } else {
        serde_json::to_vec
    };
    let (media, text) = if fhir {
        let outcome = problem.outcome(&app.kinds().canonical, lang);
        (negotiate::FHIR_JSON_UTF8, write(&outcome))
    } else {
        (PROBLEM_JSON, serde_json::to_vec(&problem.details(lang)))
    };
    let text = text.unwrap_or_default();
    let headers = response.headers_mut();
    headers.remove(CONTENT_ENCODING);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(CONTENT_LANGUAGE, language_tag(lang));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    *response.body_mut() = Body::from(text);
    response
}

fn is_ours(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    media.is_some_and(|m| m.starts_with(PROBLEM_JSON) || m.starts_with("application/fhir+json"))
}

/// The language of `Accept-Language`.
pub fn language(headers: &HeaderMap) -> Lang {
    Lang::from_accept(headers.get(ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()))
}

/// The value of `Content-Language`.
pub fn language_tag(lang: Lang) -> HeaderValue {
    HeaderValue::from_static(match lang {
        Lang::En => "en",
        Lang::Ja => "ja",
    })
}

/// The example of problem details in the OpenAPI document.
pub fn example() -> Value {
    json!({
        "type": "about:blank", "title": title(Kind::Parameter, Lang::En), "status": 400,
        "detail": "since: \"yesterday\" is not a time such as 2016-09-01T12:00:00+09:00"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_status_has_its_kind() {
        assert_eq!(Kind::of(StatusCode::BAD_REQUEST), Kind::Malformed);
        assert_eq!(Kind::of(StatusCode::METHOD_NOT_ALLOWED), Kind::Method);
        assert_eq!(
            Kind::of(StatusCode::PRECONDITION_FAILED),
            Kind::Precondition
        );
        assert_eq!(Kind::of(StatusCode::IM_A_TEAPOT), Kind::Malformed);
        assert_eq!(Kind::of(StatusCode::BAD_GATEWAY), Kind::Internal);
    }

    #[test]
    fn what_caused_a_problem_is_not_in_what_is_sent() {
        let secret = std::io::Error::other("P0000000000000000001");
        let problem = Problem::internal(secret);
        for lang in [Lang::En, Lang::Ja] {
            let text = format!(
                "{:?}{}",
                problem.details(lang),
                problem.outcome(&Canonical::default(), lang)
            );
            assert!(!text.contains("P0000000000000000001"), "{text}");
        }
    }
}
