//! A Patient or a ResearchSubject that is written becomes a change of a participant's row
//! (mapping specification §3.2).

use crate::fault::{Code, Fault, Severity};
use crate::fhir::id;
use crate::mapping::backward::name_of;
use crate::registry::{PARTICIPANTS, Row, Wrong, prefecture_code};
use crate::store::ParticipantChange;
use crate::tape::View;
use crate::time::{self, JST, Precision};

use super::finish::Finish;
use super::reference::{self, Ref, Target};
use super::{Inbound, Spot, expression};

/// The fields that a Patient decides on.
const PATIENT: &[&str] = &[
    "birth_year_month",
    "sex_code",
    "residence_prefecture_code",
    "external_identifiers",
];

/// The fields that a ResearchSubject decides on.
const RESEARCH_SUBJECT: &[&str] = &[
    "participation_start_date",
    "participation_end_date",
    "study_arm_code",
    "commute_code",
    "medication_codes",
    "measurement_position_code",
];

/// A change whose participant is known when references are.
#[derive(Debug, Clone)]
pub(super) struct Participant {
    pub entry: u32,
    /// Whose it is, where that is told by a reference.
    pub individual: Option<Ref>,
    pub change: ParticipantChange,
}

impl Inbound<'_> {
    /// Takes a Patient.
    pub(super) fn patient(&mut self, resource: View, spot: Spot) {
        let mut reading = Reading::new(self, resource, spot);
        reading.patient();
        let (row, refused) = (reading.row, reading.refused);
        self.participant(resource, spot, row, None, refused, PATIENT);
    }

    /// Takes a ResearchSubject.
    pub(super) fn research_subject(&mut self, resource: View, spot: Spot) {
        let individual = resource.get("individual");
        let at = individual.and_then(|view| self.refer("Patient", resource, view, spot));
        if let Some(at) = at {
            let id = resource.text_of("id").unwrap_or_default();
            let target = Target::Enrolled(at);
            self.taken
                .refs
                .define(spot.full_url, "ResearchSubject", id, target);
        }
        let mut reading = Reading::new(self, resource, spot);
        reading.research_subject();
        let (row, mut refused) = (reading.row, reading.refused);
        if at.is_none() {
            let pointer = expression(resource, spot, resource.node(), ".individual");
            let fault = Fault::new(Code::ParticipantUnknown, pointer, resource.place());
            self.taken
                .outcome
                .push(fault.expected("a reference to a Patient"));
            refused = true;
        }
        self.participant(resource, spot, row, at, refused, RESEARCH_SUBJECT);
    }

    fn participant(
        &mut self,
        resource: View,
        spot: Spot,
        row: Row,
        individual: Option<Ref>,
        refused: bool,
        fields: &'static [&'static str],
    ) {
        if refused {
            return;
        }
        self.taken.participants.push(Participant {
            entry: spot.entry.unwrap_or(0),
            individual,
            change: ParticipantChange {
                row,
                fields,
                makes: individual.is_none(),
                only_new: false,
                keeps: false,
                condition: Default::default(),
                pointer: expression(resource, spot, resource.node(), ""),
                place: resource.place(),
            },
        });
    }
}

impl Finish<'_> {
    /// The changes of participants, by entry, now that references are known.
    pub(super) fn participant_changes(&mut self) -> Vec<(u32, ParticipantChange)> {
        let mut out = Vec::new();
        for Participant {
            entry,
            individual,
            mut change,
        } in std::mem::take(&mut self.taken.participants)
        {
            if let Some(at) = individual {
                let Some((consortium, person)) = self.whose(at).person() else {
                    self.taken.outcome.about(entry);
                    let pointer = format!("{}.individual", change.pointer);
                    let fault = Fault::new(Code::ParticipantUnknown, pointer, change.place);
                    self.taken.outcome.push(
                        fault.expected("a Patient that is there, or comes in the same Bundle"),
                    );
                    continue;
                };
                for (field, place) in [("consortium_id", consortium), ("person_id", person)] {
                    let text = self.taken.texts.get(i64::from(place)).to_owned();
                    // It was checked when it was read.
                    let _ = change.row.put(field, &text);
                }
            }
            out.push((entry, change));
        }
        out
    }
}

/// Reads one resource into a row.
struct Reading<'a, 'k, 't> {
    inbound: &'a mut Inbound<'k>,
    resource: View<'t>,
    spot: Spot<'t>,
    row: Row,
    refused: bool,
}

impl<'a, 'k, 't> Reading<'a, 'k, 't> {
    fn new(inbound: &'a mut Inbound<'k>, resource: View<'t>, spot: Spot<'t>) -> Self {
        Reading {
            inbound,
            resource,
            spot,
            row: Row::new(&PARTICIPANTS),
            refused: false,
        }
    }

    fn tell(&mut self, code: Code, at: View, below: &str, expected: &str, found: &str) {
        let pointer = expression(self.resource, self.spot, at.node(), below);
        let fault = Fault::new(code, pointer, at.place())
            .expected(expected.to_owned())
            .found(found);
        self.refused |= fault.severity == Severity::Error;
        self.inbound.taken.outcome.push(fault);
    }

    /// What the registry has no place for.
    fn not_kept(&mut self, at: View) {
        self.tell(Code::NotExpressible, at, "", "", "");
    }

    fn put(&mut self, field: &str, text: &str, at: View) {
        if let Err(Wrong { code, expected }) = self.row.put(field, text) {
            // It is of the right type for FHIR; what it says is not of ours.
            let code = match (code, field) {
                (Code::Type, "consortium_id" | "person_id") => Code::ParticipantUnknown,
                (Code::Type, _) => Code::CodeUnknown,
                (code, _) => code,
            };
            self.tell(code, at, "", &expected, text);
        }
    }

    /// Members that mean the same for both.
    fn common(&mut self, name: &str, value: View) -> bool {
        match name {
            "resourceType" | "id" | "meta" => {}
            "implicitRules" | "modifierExtension" => self.tell(Code::Modifier, value, "", "", ""),
            _ => return false,
        }
        true
    }

    fn patient(&mut self) {
        let (resource, mut named) = (self.resource, false);
        for identifier in resource.get("identifier").into_iter().flat_map(View::items) {
            named |= self.identifier(identifier);
        }
        if !named {
            let expected = "an identifier of a consortium's person, with its system and value";
            self.tell(
                Code::ParticipantUnknown,
                resource,
                ".identifier",
                expected,
                "",
            );
        }
        for (name, value) in resource.members() {
            match name {
                "identifier" => {}
                "gender" => self.gender(value),
                "birthDate" => self.birth_date(value),
                "address" => self.addresses(value),
                "managingOrganization" => self.managing_organization(value),
                // That a person lives and counts is what is taken for granted.
                "active" if value.text() == "true" => {}
                "deceasedBoolean" if value.text() == "false" => {}
                "active" | "deceasedBoolean" | "deceasedDateTime" | "link" => {
                    self.tell(Code::Modifier, value, "", "", "");
                }
                _ if self.common(name, value) => {}
                _ => self.not_kept(value),
            }
        }
        for (name, value) in resource.members() {
            if name != "managingOrganization" {
                self.inbound.need(resource, self.spot, value.node());
            }
        }
        self.require(resource, &["birthDate", "gender"]);
    }

    /// Tells which of these elements a resource lacks.
    fn require(&mut self, resource: View, names: &[&str]) {
        for name in names {
            if resource.get(name).is_none() {
                self.tell(
                    Code::RequiredMissing,
                    resource,
                    &format!(".{name}"),
                    name,
                    "",
                );
            }
        }
    }

    /// True for the one that names the participant.
    fn identifier(&mut self, identifier: View) -> bool {
        let system = identifier.text_of("system").unwrap_or_default();
        let value = identifier.text_of("value").unwrap_or_default();
        let canonical = &self.inbound.kinds.canonical;
        let Some(consortium) = canonical.consortium_of(system, "person") else {
            if system.is_empty() || value.is_empty() {
                self.not_kept(identifier);
            } else {
                self.put(
                    "external_identifiers",
                    &format!("{system}|{value}"),
                    identifier,
                );
                for (name, member) in identifier.members() {
                    if !matches!(name, "system" | "value") {
                        self.not_kept(member);
                    }
                }
            }
            return false;
        };
        if self.row.text("person_id").is_some() {
            let expected = "one identifier of a consortium's person";
            self.tell(Code::ParticipantAmbiguous, identifier, "", expected, value);
            return true;
        }
        self.put("consortium_id", consortium, identifier);
        self.put("person_id", value, identifier);
        for (name, member) in identifier.members() {
            let is_ours = match name {
                "system" | "value" | "assigner" => true,
                "use" => member.text() == "usual",
                _ => false,
            };
            if !is_ours {
                self.not_kept(member);
            }
        }
        true
    }

    fn gender(&mut self, value: View) {
        let code = match value.text() {
            "male" => "1",
            "female" => "2",
            "other" => "9",
            "unknown" => "0",
            other => {
                let expected = "male, female, other or unknown";
                self.tell(Code::CodeUnknown, value, "", expected, other);
                return;
            }
        };
        self.put("sex_code", code, value);
    }

    /// The month; a day is cut.
    fn birth_date(&mut self, value: View) {
        let text = value.text();
        let precision = time::parse_fhir(text, JST).map(|at| at.precision);
        match precision {
            Some(Precision::Month | Precision::Day) => {
                let month: String = text.chars().take(7).filter(|c| *c != '-').collect();
                self.put("birth_year_month", &month, value);
                if precision == Some(Precision::Day) {
                    self.tell(Code::Converted, value, "", "the month", text);
                }
            }
            Some(Precision::Year) => {
                self.tell(Code::TimePrecision, value, "", "a month or a day", text)
            }
            _ => self.tell(Code::TimeInvalid, value, "", "a date", text),
        }
    }

    /// The first address that names a prefecture is the residence.
    fn addresses(&mut self, addresses: View) {
        let mut found = false;
        for address in addresses.items() {
            let code = address.text_of("state").and_then(prefecture_code);
            match code.filter(|_| !found) {
                Some(code) => {
                    found = true;
                    self.put("residence_prefecture_code", code, address);
                    for (name, member) in address.members() {
                        let is_ours = match name {
                            "state" => true,
                            "use" => member.text() == "home",
                            "country" => matches!(member.text(), "JP" | "JPN"),
                            _ => false,
                        };
                        if !is_ours {
                            self.not_kept(member);
                        }
                    }
                }
                None => self.not_kept(address),
            }
        }
    }

    /// The consortium, which the identifier names already.
    fn managing_organization(&mut self, value: View) {
        let consortium = self.row.text("consortium_id").unwrap_or_default();
        let own = format!("Organization/{}", id::consortium(consortium));
        let written = value.text_of("reference").unwrap_or_default();
        let is_own = reference::tail(written) == Some(&own);
        let inbound = &mut self.inbound;
        if !is_own {
            inbound.need(self.resource, self.spot, value.node());
        }
        if !(is_own || written.starts_with("urn:uuid:")) {
            self.not_kept(value);
        }
    }

    fn research_subject(&mut self) {
        let resource = self.resource;
        let mut start = false;
        for (name, value) in resource.members() {
            match name {
                "individual" => {}
                "identifier" => {
                    for identifier in value.items() {
                        let system = identifier.text_of("system").unwrap_or_default();
                        let canonical = &self.inbound.kinds.canonical;
                        if canonical.consortium_of(system, "person").is_none() {
                            self.not_kept(identifier);
                        }
                    }
                }
                "status" => self.status(value),
                "study" => self.study(value),
                "period" => start |= self.period(value),
                "assignedArm" => match value.text() {
                    "intervention" => self.put("study_arm_code", "1", value),
                    "control" => self.put("study_arm_code", "2", value),
                    other => {
                        let expected = "intervention or control";
                        self.tell(Code::CodeUnknown, value, "", expected, other);
                    }
                },
                "extension" => value.items().for_each(|e| self.extension(e)),
                _ if self.common(name, value) => {}
                _ => self.not_kept(value),
            }
        }
        for (_, value) in resource.members().filter(|(name, _)| *name != "individual") {
            self.inbound.need(resource, self.spot, value.node());
        }
        self.require(resource, &["status", "study"]);
        if !start {
            let expected = "the day on which the participation begins";
            self.tell(
                Code::RequiredMissing,
                resource,
                ".period.start",
                expected,
                "",
            );
        }
    }

    /// The status follows from the period.
    fn status(&mut self, value: View) {
        let ended = self
            .resource
            .get("period")
            .and_then(|p| p.get("end"))
            .is_some();
        match value.text() {
            "off-study" | "withdrawn" if !ended => {
                let expected = "the day on which the participation ended";
                let resource = self.resource;
                self.tell(Code::RequiredMissing, resource, ".period.end", expected, "");
            }
            "off-study" => {}
            "on-study" if !ended => {}
            "on-study" | "withdrawn" | "on-study-intervention" | "on-study-observation" => {
                self.not_kept(value);
            }
            other => {
                let code = match other {
                    "candidate"
                    | "eligible"
                    | "follow-up"
                    | "ineligible"
                    | "not-registered"
                    | "pending-on-study"
                    | "potential-candidate"
                    | "screening" => Code::StatusNotFinal,
                    _ => Code::CodeUnknown,
                };
                self.tell(code, value, "", "on-study or off-study", other);
            }
        }
    }

    /// The study of the consortium, which the individual names already.
    fn study(&mut self, value: View) {
        let written = value.text_of("reference");
        let is_one = written.is_none_or(|written| {
            written.starts_with("urn:uuid:") || reference::type_of(written) == "ResearchStudy"
        });
        if !is_one {
            let expected = "the ResearchStudy of the consortium";
            self.tell(Code::ConsortiumUnknown, value, "", expected, "");
        }
    }

    /// True where it has a start.
    fn period(&mut self, period: View) -> bool {
        let mut start = false;
        for (name, value) in period.members() {
            let field = match name {
                "start" => "participation_start_date",
                "end" => "participation_end_date",
                _ => {
                    self.not_kept(value);
                    continue;
                }
            };
            start |= name == "start";
            match time::parse_fhir(value.text(), JST) {
                Some(at) if at.precision >= Precision::Day => {
                    let day = time::text(|out| time::write14(out, at.from.div_euclid(1000)));
                    self.put(field, &day[..8], value);
                    if at.precision > Precision::Day {
                        self.tell(Code::Converted, value, "", "the day", value.text());
                    }
                }
                Some(_) => self.tell(Code::TimePrecision, value, "", "a day", value.text()),
                None => self.tell(Code::TimeInvalid, value, "", "a day", value.text()),
            }
        }
        start
    }

    fn extension(&mut self, extension: View) {
        let canonical = &self.inbound.kinds.canonical;
        let url = extension.text_of("url").unwrap_or_default();
        let fields = [
            ("commute", "commute", "commute_code"),
            ("medication-status", "medication-status", "medication_codes"),
            (
                "usual-wear-position",
                "wear-position",
                "measurement_position_code",
            ),
        ];
        let found = fields
            .into_iter()
            .find(|(name, ..)| canonical.extension(name) == url);
        let Some((_, system, field)) = found else {
            self.not_kept(extension);
            return;
        };
        let system = canonical.code_system(system);
        match extension.get("valueCoding") {
            Some(coding) if coding.text_of("system") == Some(system.as_str()) => {
                let code = coding.text_of("code").unwrap_or_default();
                self.put(field, code, coding);
            }
            _ => {
                let expected = format!("valueCoding of {system}");
                self.tell(
                    Code::CodeUnknown,
                    extension,
                    "",
                    &expected,
                    &name_of(extension),
                );
            }
        }
    }
}
