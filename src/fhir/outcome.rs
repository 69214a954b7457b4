//! OperationOutcome: what FHIR says instead of a resource, or beside one.
//!
//! In: [`Issue`]s, or [`Fault`]s that become issues. Out: the resource as JSON.
//! <https://hl7.org/fhir/R4/operationoutcome.html>

use serde_json::{Map, Value, json};

use super::canonical::Canonical;
use crate::fault::{Code, Fault, Lang, Severity};

/// One issue of an outcome.
#[derive(Debug, Clone)]
pub struct Issue {
    /// How bad it is.
    pub severity: Severity,
    /// A code of FHIR's `issue-type`.
    pub issue_type: &'static str,
    /// The code of `B/CodeSystem/fault`, where it is one of ours.
    pub code: Option<Code>,
    /// What happened, for people.
    pub diagnostics: String,
    /// FHIRPath expressions of the elements it is about.
    pub expression: Vec<String>,
}

impl Issue {
    /// An issue that has no fault code.
    pub fn new(severity: Severity, issue_type: &'static str, diagnostics: String) -> Issue {
        Issue {
            severity,
            issue_type,
            code: None,
            diagnostics,
            expression: Vec::new(),
        }
    }

    /// A fault as an issue. Places in a text are told with the message; a JSON pointer is
    /// no FHIRPath, so it stands there too.
    pub fn of(fault: &Fault, lang: Lang) -> Issue {
        let mut diagnostics = String::new();
        let mut expression = Vec::new();
        if fault.pointer.is_empty() || fault.pointer.starts_with('/') {
            diagnostics.push_str(&fault.pointer);
        } else {
            expression.push(fault.pointer.clone());
        }
        if fault.line > 0 {
            if !diagnostics.is_empty() {
                diagnostics.push(' ');
            }
            diagnostics.push_str(&match lang {
                Lang::En => format!("(line {}, column {})", fault.line, fault.column),
                Lang::Ja => format!("({} 行 {} 文字目)", fault.line, fault.column),
            });
        }
        if !diagnostics.is_empty() {
            diagnostics.push_str(": ");
        }
        diagnostics.push_str(&fault.message(lang));
        Issue {
            severity: fault.severity,
            issue_type: fault.code.issue_type(),
            code: Some(fault.code),
            diagnostics,
            expression,
        }
    }

    fn json(&self, canonical: &Canonical, lang: Lang) -> Value {
        let mut out = Map::new();
        out.insert("severity".into(), self.severity.as_str().into());
        out.insert("code".into(), self.issue_type.into());
        if let Some(code) = self.code {
            let coding = json!({
                "system": canonical.code_system("fault"),
                "code": code.as_str(),
                "display": code.title(Lang::En),
            });
            let details = json!({ "coding": [coding], "text": code.title(lang) });
            out.insert("details".into(), details);
        }
        out.insert("diagnostics".into(), self.diagnostics.as_str().into());
        if !self.expression.is_empty() {
            out.insert("expression".into(), json!(self.expression));
        }
        Value::Object(out)
    }
}

/// The resource. FHIR wants at least one issue: without any it says that all is well.
pub fn outcome(issues: &[Issue], canonical: &Canonical, lang: Lang) -> Value {
    let mut list: Vec<Value> = issues.iter().map(|i| i.json(canonical, lang)).collect();
    if list.is_empty() {
        let text = match lang {
            Lang::En => "All OK",
            Lang::Ja => "問題ありません",
        };
        let fine = Issue::new(Severity::Information, "informational", text.into());
        list.push(fine.json(canonical, lang));
    }
    json!({ "resourceType": "OperationOutcome", "issue": list })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Place;

    #[test]
    fn a_fault_is_an_issue_with_its_code_and_place() {
        let place = Place { line: 4, column: 7 };
        let faults = [
            Fault::new(Code::Decimals, "/a/0/body_weight", place).expected("at most 2 decimals"),
            Fault::new(Code::UnitUnknown, "Observation.value", Place::default()).found("lbs"),
        ];
        let issues: Vec<Issue> = faults.iter().map(|f| Issue::of(f, Lang::En)).collect();
        let value = outcome(&issues, &Canonical::default(), Lang::En);
        assert_eq!(value["issue"][0]["severity"], "error");
        assert_eq!(
            value["issue"][0]["details"]["coding"][0]["code"],
            "decimals"
        );
        let told = value["issue"][0]["diagnostics"].as_str().unwrap();
        assert!(
            told.starts_with("/a/0/body_weight (line 4, column 7): decimals"),
            "{told}"
        );
        assert_eq!(value["issue"][0].get("expression"), None);
        assert_eq!(
            value["issue"][1]["expression"],
            json!(["Observation.value"])
        );
        assert_eq!(
            outcome(&[], &Canonical::default(), Lang::Ja)["issue"][0]["code"],
            "informational"
        );
    }
}
