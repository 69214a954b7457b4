//! `$validate` (<https://hl7.org/fhir/R4/resource-operation-validate.html>).

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::tape;
use crate::fault::{Lang, Severity};
use crate::fhir::operation::Place;
use crate::fhir::outcome::{Issue, outcome};
use crate::fhir::parameters::Arguments;
use crate::fhir::resource::{Interaction, Resource};
use crate::fhir::search::Invalid;
use crate::fhir::validate;
use crate::http::error::{Kind, Problem, Result};
use crate::http::fhir::call::Call;
use crate::http::fhir::{entries, read, requests, written};

/// What is to be done with the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Create,
    Update,
    Delete,
    Profile,
}

impl Mode {
    fn read(code: &str) -> Option<Mode> {
        match code {
            "create" => Some(Mode::Create),
            "update" => Some(Mode::Update),
            "delete" => Some(Mode::Delete),
            "profile" => Some(Mode::Profile),
            _ => None,
        }
    }

    fn interaction(self) -> Option<Interaction> {
        match self {
            Mode::Create => Some(Interaction::Create),
            Mode::Update => Some(Interaction::Update),
            Mode::Delete => Some(Interaction::Delete),
            Mode::Profile => None,
        }
    }
}

/// Answers with all that there is to say about a resource.
pub async fn validate(
    call: &Call,
    place: Place,
    id: &str,
    arguments: &Arguments,
) -> Result<Response> {
    let mode = arguments
        .one("mode")?
        .map(|code| Mode::read(code).ok_or_else(wrong_mode));
    let mode = mode.transpose()?;
    let profiles = arguments.texts("profile")?;
    if mode == Some(Mode::Profile) && profiles.is_empty() {
        return Err(Invalid::new(
            "profile",
            "is required with mode=profile",
            "mode=profile のときは必須です",
        )
        .into());
    }
    let (resource, instance) = match place {
        Place::Type(resource) => (resource, false),
        Place::Instance(resource) => (resource, true),
        Place::System => return Err(Problem::new(Kind::NotFound)),
    };
    let mut issues = entries::ignored(&arguments.ignored, call.lang);
    if let Some(interaction) = mode.and_then(Mode::interaction)
        && !resource.has(interaction)
    {
        issues.push(cannot(resource, interaction, call.lang));
    }
    let given = arguments.resource("resource").cloned();
    let judged = match (given, instance, mode) {
        (_, true, Some(Mode::Delete)) => {
            read::current(resource, call, id).await?;
            None
        }
        (Some(given), _, _) => Some(given),
        (None, true, _) => Some(read::current(resource, call, id).await?.body),
        (None, false, _) => {
            return Err(Invalid::new(
                "resource",
                "is required: the resource itself as the body, or Parameters with it",
                "は必須です。リソースそのもの、またはそれを含む Parameters を送ってください",
            )
            .into());
        }
    };
    if let Some(judged) = judged {
        let name = judged["resourceType"].as_str().unwrap_or_default();
        if name != resource.name() {
            return Err(written::other_type(resource, name));
        }
        if mode == Some(Mode::Update) {
            issues.extend(other_id(&judged, instance.then_some(id), call.lang));
        }
        issues.extend(judge(call, &judged, &profiles).await?);
    }
    let told = outcome(&issues, &call.app.kinds().canonical, call.lang);
    call.answer_value(StatusCode::OK, &told)
}

/// All issues of a resource: its structure first, and where that is sound its rules and
/// whether its record could be stored.
async fn judge(call: &Call, resource: &Value, profiles: &[&str]) -> Result<Vec<Issue>> {
    let text = resource.to_string();
    let structure = {
        let tape = tape(text.as_bytes())?;
        tape.root().map(validate::structure).unwrap_or_default()
    };
    if !structure.is_empty() {
        return Ok(structure
            .iter()
            .map(|fault| Issue::of(fault, call.lang))
            .collect());
    }
    let found = validate::rules(resource, profiles);
    let mut issues: Vec<Issue> = found
        .iter()
        .map(|finding| finding.issue(call.lang))
        .collect();
    let name = resource["resourceType"].as_str().unwrap_or_default();
    let is_written = |r: &Resource| r.has(Interaction::Create) || r.has(Interaction::Update);
    if crate::fhir::resource::by_name(name).is_some_and(is_written) {
        let (_, taken) = written::take(call, text.into_bytes()).await?;
        let said = requests::judged(call, taken).await?;
        for issue in said.iter().map(|issue| issue.told(call.lang)) {
            // A rule of R4 that a write checks as well is told once.
            let is_told = |told: &Issue| {
                told.severity == issue.severity
                    && told.issue_type == issue.issue_type
                    && told.expression == issue.expression
            };
            if !issues.iter().any(is_told) {
                issues.push(issue);
            }
        }
    }
    Ok(issues)
}

/// An update is of the resource whose id it has.
fn other_id(resource: &Value, id: Option<&str>, lang: Lang) -> Option<Issue> {
    let own = resource["id"].as_str();
    if own.is_some() && id.is_none_or(|id| own == Some(id)) {
        return None;
    }
    let text = match lang {
        Lang::En => "an update has the id of its resource",
        Lang::Ja => "更新には対象リソースの id が必要です",
    };
    let mut issue = Issue::new(Severity::Error, "invalid", text.to_owned());
    let name = resource["resourceType"].as_str().unwrap_or_default();
    issue.expression.push(format!("{name}.id"));
    Some(issue)
}

/// The type has not this interaction.
fn cannot(resource: &Resource, interaction: Interaction, lang: Lang) -> Issue {
    let (name, code) = (resource.name(), interaction.code().unwrap_or_default());
    let text = match lang {
        Lang::En => format!("there is no {code} of {name} on this server"),
        Lang::Ja => format!("このサーバーに {name} の {code} はありません"),
    };
    Issue::new(Severity::Error, "not-supported", text)
}

fn wrong_mode() -> Invalid {
    Invalid::new(
        "mode",
        "create, update, delete or profile is expected",
        "create、update、delete、profile のいずれかを指定してください",
    )
}
