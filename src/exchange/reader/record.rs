//! The records of a kind: the members of each, and the rules of a whole record.

use std::io::Read;

use super::super::field::{expectation, implausible, type_name, value};
use super::super::{FUTURE_MAX, Position, Row, pointer};
use super::{Reader, pointer_part};
use crate::fault::{Code, Fault, Severity};
use crate::json::{self, Event, described};
use crate::kind::{Edition, Kind};
use crate::record::Cell;
use crate::time;

impl<R: Read> Reader<'_, R> {
    pub(super) fn records(
        &mut self,
        kind: &Kind,
        person: u32,
        element: Option<u16>,
    ) -> json::Result<()> {
        let mut index = 0;
        loop {
            let event = self.json.next()?;
            if event == Event::ArrayEnd {
                return Ok(());
            }
            let position = Position {
                person,
                element,
                index,
                place: self.json.place(),
            };
            self.cells.clear();
            self.cells.resize(kind.fields.len(), Cell::ABSENT);
            self.full = self.out.faults.len() >= self.options.faults_max
                && self.refused_rows >= self.options.refused_max;
            let row = self.out.rows.len();
            (self.refused, self.warned) = (false, false);
            if event == Event::ObjectStart {
                self.record(kind, &position, row)?;
            } else {
                let found = described(event, self.json.text());
                self.json.skip(event)?;
                self.places.clear();
                self.places.resize(kind.fields.len(), position.place);
                let fault = Fault::new(Code::Type, pointer(kind, &position), position.place);
                let fault = fault.found(&found);
                self.tell(row, fault.expected("an object"));
            }
            let refused = self.refused;
            if refused && self.full {
                self.out.unlisted += 1;
            } else {
                self.refused_rows += usize::from(refused);
                let places = kind.located();
                let places = places.map(|f| f.map_or(position.place, |f| self.places[f]));
                self.out.places.push(places);
                let cells = u32::try_from(self.out.cells.len()).unwrap_or(u32::MAX);
                self.out.cells.extend_from_slice(&self.cells);
                self.out.rows.push(Row {
                    person: None,
                    kind: kind.place as u16,
                    cells,
                    refused,
                    warned: self.warned,
                    repeated: false,
                    position,
                });
            }
            index += 1;
        }
    }

    fn record(&mut self, kind: &Kind, position: &Position, row: usize) -> json::Result<()> {
        self.places.clear();
        self.places.resize(kind.fields.len(), position.place);
        let mut seen: u64 = 0;
        let mut given: u64 = 0;
        let mut turn = 0;
        while self.json.next()? == Event::Key {
            let hint = self.hints[kind.place].get(turn).map(|&i| usize::from(i));
            let name = self.json.text();
            let (at, alias) = match hint {
                Some(i) if kind.fields[i].name == name => (i, false),
                _ => match kind.names.get(name) {
                    Some(&(i, alias)) => {
                        if kind.fields[i].name_2016.as_deref() == Some(name) {
                            self.out.edition = Edition::E2016;
                        }
                        let hints = &mut self.hints[kind.place];
                        hints.truncate(turn);
                        hints.push(i as u8);
                        (i, alias)
                    }
                    None => {
                        self.unknown_in_record(kind, position, row)?;
                        continue;
                    }
                },
            };
            turn += 1;
            let field = &kind.fields[at];
            let written = alias.then(|| self.json.text().to_owned());
            let event = self.json.next()?;
            let place = self.json.place();
            if let Some(written) = written {
                let at = record_pointer(kind, position, &written);
                let fault = Fault::new(Code::AliasUsed, at, place);
                self.tell(row, fault.expected(field.name.clone()).found(&written));
            }
            if seen & 1 << at != 0 {
                let at = record_pointer(kind, position, &field.name);
                self.tell(row, Fault::new(Code::DuplicateKey, at, place));
                self.json.skip(event)?;
                continue;
            }
            seen |= 1 << at;
            if event == Event::Null {
                continue;
            }
            given |= 1 << at;
            self.places[at] = place;
            match value(field, event, self.json.text(), &mut self.out.texts) {
                Ok(cell) => self.cells[at] = cell,
                Err(codes) => {
                    let pointer = record_pointer(kind, position, &field.name);
                    for code in codes {
                        let fault = Fault::new(code, pointer.clone(), place)
                            .expected(expectation(field, code))
                            .found(&match code {
                                Code::Type if event != Event::String || !field.ty.is_text() => {
                                    described(event, self.json.text())
                                }
                                _ => self.json.text().to_owned(),
                            });
                        self.tell(row, fault);
                    }
                    self.json.skip(event)?;
                }
            }
        }
        for (i, field) in kind.fields.iter().enumerate() {
            if field.required && given & 1 << i == 0 {
                let at = record_pointer(kind, position, &field.name);
                let fault = Fault::new(Code::RequiredMissing, at, position.place);
                self.tell(row, fault.expected(type_name(field)));
            }
        }
        self.rules(kind, position, row);
        Ok(())
    }

    /// The rules of a whole record: `send_time`, plausible values (protocol specification §6).
    fn rules(&mut self, kind: &Kind, position: &Position, row: usize) {
        let mut faults = Vec::new();
        let mut push = |at: usize, code: Code, expected: String, found: String| {
            let pointer = record_pointer(kind, position, &kind.fields[at].name);
            let fault = Fault::new(code, pointer, self.places[at]);
            faults.push(fault.expected(expected).found(&found));
        };
        let time = self.cells[kind.time];
        if let Some(sent) = self.send_time
            && !time.is_absent()
            && time.value() * 1000 > sent + FUTURE_MAX
        {
            let found = time::text(|o| time::write14(o, time.value()));
            push(
                kind.time,
                Code::FutureTime,
                "no later than a day after send_time".into(),
                found,
            );
        }
        implausible(kind, &self.cells, push);
        for fault in faults {
            self.tell(row, fault);
        }
    }

    fn unknown_in_record(&mut self, kind: &Kind, at: &Position, row: usize) -> json::Result<()> {
        let name = self.json.text().to_owned();
        let event = self.json.next()?;
        let fault = self.unknown_fault(record_pointer(kind, at, &pointer_part(&name)), &name);
        self.json.skip(event)?;
        self.tell(row, fault);
        Ok(())
    }

    /// A fault of the record being read, which gets this place in the rows.
    fn tell(&mut self, row: usize, fault: Fault) {
        let first = fault.is_error() && !self.refused;
        self.refused |= fault.is_error();
        self.warned |= fault.severity == Severity::Warning;
        self.out.tell(row, fault, first && !self.full);
    }
}

fn record_pointer(kind: &Kind, at: &Position, field: &str) -> String {
    format!("{}/{field}", pointer(kind, at))
}
