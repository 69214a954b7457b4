//! What a submission says against the registries (protocol specification §6).

use std::collections::HashMap;

use super::{Registries, Row as Entry};
use crate::exchange::{Origin, Submission};
use crate::fault::{Code, Fault, Severity};
use crate::kind::{Kind, Kinds};
use crate::time;

/// Refuses unknown consortia, participants, laboratories and methods and records outside
/// the participation period (both days inclusive); warns about devices that are not
/// registered or inaccurate. `facts` holds at least the rows that the submission names.
pub fn check(kinds: &Kinds, submission: &mut Submission, facts: &Registries) {
    let verdicts = Verdicts::of(kinds, submission, facts);
    verdicts.apply(submission);
}

/// Verdicts of the registries on a submission.
#[derive(Debug, Default)]
pub struct Verdicts {
    /// Faults that refuse all of it.
    envelope: Option<Fault>,
    /// Faults of its rows, in their order.
    rows: Vec<(u32, Fault)>,
    /// Faults beyond the limit of the submission: counted, not listed.
    untold: u64,
    /// The rows of those that were warnings.
    warned: Vec<u32>,
}

impl Verdicts {
    /// Judges a submission, without changing it.
    pub fn of(kinds: &Kinds, submission: &Submission, facts: &Registries) -> Verdicts {
        let mut verdicts = Verdicts::default();
        verdicts.judge(kinds, submission, facts);
        verdicts
    }

    /// Whether anything is refused.
    pub fn refuse(&self) -> bool {
        self.envelope.is_some() || self.rows.iter().any(|(_, fault)| fault.is_error())
    }

    /// Whether all of the submission is refused, in any handling.
    pub fn refuse_all(&self) -> bool {
        self.envelope.is_some()
    }

    /// The faults of rows, in the order of the rows.
    pub fn rows(&self) -> &[(u32, Fault)] {
        &self.rows
    }

    /// Adds them to the faults of the submission that was judged.
    pub fn apply(self, submission: &mut Submission) {
        if let Some(fault) = self.envelope {
            submission.envelope.push(fault);
            submission.broken = true;
        }
        submission.untold += self.untold;
        for row in self.warned {
            submission.rows[row as usize].warned = true;
        }
        submission.list(self.rows);
    }

    fn judge(&mut self, kinds: &Kinds, submission: &Submission, facts: &Registries) {
        if submission.consortium_id.is_empty() {
            return;
        }
        let consortium_id = &submission.consortium_id;
        let room = submission
            .faults_max()
            .saturating_sub(submission.faults.len());
        if facts.consortium(consortium_id).is_none() {
            let pointer = match submission.origin {
                Origin::Exchange => "/consortium_id",
                Origin::Bundle => "Bundle",
                Origin::Resources => "Observation.subject",
            };
            let place = submission.consortium_place;
            let fault = Fault::new(Code::ConsortiumUnknown, pointer, place);
            self.envelope = Some(fault.found(consortium_id));
            return;
        }
        let people: Vec<Option<Period>> = submission
            .persons
            .iter()
            .map(|person| facts.participant(consortium_id, person).map(Period::of))
            .collect();
        let mut checker = Checker {
            facts,
            consortium_id,
            known: HashMap::default(),
        };
        for i in 0..submission.rows.len() {
            let mut refused = submission.rows[i].refused;
            for fault in checker.row(kinds, submission, i, &people) {
                let first = fault.is_error() && !refused;
                refused |= fault.is_error();
                if first || self.rows.len() < room {
                    self.rows.push((i as u32, fault));
                    continue;
                }
                self.untold += 1;
                if fault.severity == Severity::Warning {
                    self.warned.push(i as u32);
                }
            }
        }
    }
}

/// A participation period: first second, and first second after it.
#[derive(Clone, Copy)]
struct Period {
    from: i64,
    until: i64,
}

impl Period {
    fn of(participant: &Entry) -> Period {
        let day = |name: &str| participant.text(name).and_then(time::parse8);
        Period {
            from: day("participation_start_date").unwrap_or(i64::MIN),
            until: day("participation_end_date").map_or(i64::MAX, |end| end + time::DAY),
        }
    }
}

struct Checker<'a> {
    facts: &'a Registries,
    consortium_id: &'a str,
    /// Verdicts by field and text, so that each is looked up once: (what, place, place).
    known: HashMap<(u8, i64, i64), Option<Code>, foldhash::fast::RandomState>,
}

impl Checker<'_> {
    fn row(
        &mut self,
        kinds: &Kinds,
        submission: &Submission,
        i: usize,
        people: &[Option<Period>],
    ) -> Vec<Fault> {
        let row = submission.rows[i];
        let kind: &Kind = kinds.at(usize::from(row.kind));
        let mut found: Vec<(Code, Option<usize>)> = Vec::new();
        {
            let record = submission.record(kinds, &row);
            let time = record.cells[kind.time];
            match row.person.map(|p| people[p as usize]) {
                Some(None) => found.push((Code::ParticipantUnknown, None)),
                Some(Some(period))
                    if !time.is_absent()
                        && !(period.from..period.until).contains(&time.value()) =>
                {
                    found.push((Code::OutsideParticipation, Some(kind.time)));
                }
                _ => {}
            }
            if let Some(field) = kind.laboratory {
                let place = record.cells[field].raw();
                let code = place.and_then(|place| {
                    self.verdict(0, place, 0, |c| {
                        let there = c.facts.laboratory(c.consortium_id, record.text(field));
                        there.is_none().then_some(Code::LaboratoryUnknown)
                    })
                });
                found.extend(code.map(|code| (code, Some(field))));
            }
            for (at, (field, list)) in kind.registered.iter().enumerate() {
                let place = record.cells[*field].raw();
                let code = place.and_then(|place| {
                    self.verdict(2 + at as u8, place, kind.place as i64, |c| {
                        let list = super::List::by_name(list)?;
                        let there = c.facts.get(list, &[record.text(*field)]);
                        there.is_none().then_some(Code::MethodUnknown)
                    })
                });
                found.extend(code.map(|code| (code, Some(*field))));
            }
            if let Some([maker, model, _]) = kind.device
                && let (Some(a), Some(b)) = (record.cells[maker].raw(), record.cells[model].raw())
            {
                let code = self.verdict(1, a, b, |c| {
                    match c.facts.device(record.text(maker), record.text(model)) {
                        None => Some(Code::DeviceUnregistered),
                        Some(device) => is_inaccurate(device).then_some(Code::DeviceInaccurate),
                    }
                });
                found.extend(code.map(|code| (code, Some(model))));
            }
        }
        let fault = |(code, field): (Code, Option<usize>)| {
            let mut pointer = submission.pointer(kinds, &row);
            let mut quote = row
                .person
                .map_or("", |p| &submission.persons[p as usize])
                .to_owned();
            if let Some(field) = field {
                if field == kind.time {
                    pointer = submission.time_pointer(kinds, &row);
                } else if submission.origin == Origin::Exchange {
                    pointer = format!("{pointer}/{}", kind.fields[field].name);
                }
                let record = submission.record(kinds, &row);
                quote = if field == kind.time {
                    time::text(|out| time::write14(out, record.seconds()))
                } else {
                    record.text(field).to_owned()
                };
            }
            let place = field.map_or(row.position.place, |f| submission.place(kinds, i, f));
            Fault::new(code, pointer, place).found(&quote)
        };
        found.into_iter().map(fault).collect()
    }

    fn verdict(
        &mut self,
        what: u8,
        a: i64,
        b: i64,
        judge: impl FnOnce(&Self) -> Option<Code>,
    ) -> Option<Code> {
        if let Some(code) = self.known.get(&(what, a, b)) {
            return *code;
        }
        let code = judge(self);
        self.known.insert((what, a, b), code);
        code
    }
}

/// Whether the registered mean error lies outside ±3 %.
fn is_inaccurate(device: &Entry) -> bool {
    let error = device
        .text("mean_error_percent")
        .and_then(crate::decimal::Decimal::parse);
    error
        .and_then(|e| e.scaled(6))
        .is_some_and(|e| e.unsigned_abs() > 3_000_000)
}
