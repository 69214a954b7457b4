//! Observations: what is read of one becomes a compact row.

use crate::exchange;
use crate::fault::{Code, Fault};
use crate::fhir::id;
use crate::kind::Kind;
use crate::mapping::backward::{self, Note};
use crate::mapping::{Reading, Role, Verdict};
use crate::tape::View;
use crate::time::{self, JST};

use super::reference::{self, Actor, Ref};
use super::{Claim, Inbound, Row, Spot, expression};

impl Inbound<'_> {
    pub(super) fn observation(&mut self, resource: View, spot: Spot) {
        let mut reading = std::mem::take(&mut self.reading);
        match self
            .backward
            .read(resource, &mut self.taken.texts, &mut reading)
        {
            Verdict::Ours => self.row(resource, spot, &mut reading),
            Verdict::NotOurs => {
                let code = resource.get("code");
                let name = code.map_or_else(String::new, backward::name_of);
                self.not_ours(Code::CodeUnsupported, &name, resource, spot);
            }
        }
        self.reading = reading;
    }

    /// Keeps what was read of an Observation.
    fn row(&mut self, resource: View, spot: Spot, reading: &mut Reading) {
        let kind = self.kinds.at(reading.kind).clone();
        self.performers_of(&kind, resource, reading);
        let contained = resource.get("contained");
        let mut refused = reading.is_refused();
        if !reading.residue.is_empty() || !reading.variants.is_empty() || contained.is_some() {
            refused |= !self.has_structure(resource, spot);
        }
        for note in &reading.notes {
            self.tell(note, resource, spot);
        }
        // A part that is refused refuses the record that it names.
        if refused && !(matches!(reading.role, Role::Part(_)) && reading.record.is_some()) {
            return;
        }
        let write = self.taken.options.write;
        for &node in &reading.residue {
            self.taken.outcome.tally(
                Code::NotExpressible,
                "Observation",
                || expression(resource, spot, node, ""),
                |pointer| {
                    let fault = Fault::new(Code::NotExpressible, pointer, resource.place());
                    match write {
                        true => fault.expected("kept beside the record"),
                        false => fault,
                    }
                },
            );
            if self.taken.options.write {
                self.need(resource, spot, node);
            }
        }
        if reading.cells.is_empty() {
            return;
        }
        self.plausible(&kind, resource, spot, reading);
        let tape_view = |node: u32| resource.at(node);
        let subject = reading
            .subject
            .and_then(|node| self.refer("Patient", resource, tape_view(node), spot));
        let device = reading
            .device
            .and_then(|node| self.refer("Device", resource, tape_view(node), spot));
        let keeps = self.keeps(resource, reading);
        let mut laboratories: Vec<(usize, Ref)> = Vec::new();
        let first = self.taken.performers.len();
        let of_laboratory = kind.laboratory.is_some() || reading.rival.is_some();
        for (place, &node) in reading.performers.iter().enumerate() {
            let performer = tape_view(node);
            let Some(at) = self.refer("", resource, performer, spot) else {
                continue;
            };
            self.taken.performers.push(at);
            let actor = self.taken.refs.actor(at);
            if of_laboratory && matches!(actor, None | Some(Actor::Organization)) {
                if keeps {
                    laboratories.push((place, at));
                }
                // A record that names itself names its laboratory: what stood in another Bundle
                // is not needed for that.
                let is_uuid = performer
                    .text_of("reference")
                    .is_some_and(|written| written.starts_with("urn:uuid:"));
                if !(is_uuid && reading.record.is_some()) {
                    self.need_performer(resource, spot, at, performer);
                }
            }
        }
        let claim = reading
            .record
            .and_then(|node| self.claim(&kind, tape_view(node).text()));
        // What a resource by itself says of the server it is sent to is the server's own.
        let is_own = self.taken.options.write && spot.entry.is_none();
        let last_updated = reading.last_updated.filter(|_| !is_own).and_then(|node| {
            let at = time::parse_fhir(tape_view(node).text(), JST)?;
            at.zoned.then_some(at.from)
        });
        if keeps {
            self.keep(resource, spot, reading, laboratories);
        }
        let around = self.around(&kind, resource, spot, reading);
        let cells = self.taken.cells.len() as u32;
        self.taken.cells.extend_from_slice(&reading.cells);
        self.taken.rows.push(Row {
            kind: kind.place as u16,
            rival: reading.rival.map(|r| r as u16),
            role: reading.role,
            status: reading.status,
            cells,
            entry: spot.entry.unwrap_or(0),
            place: resource.place(),
            subject,
            device,
            performers: (first as u32, (self.taken.performers.len() - first) as u16),
            claim,
            around,
            last_updated,
            encounter: reading.encounter,
            coincident: reading.coincident,
            refused,
        });
    }

    /// Performers that the record does not carry are residue.
    fn performers_of(&self, kind: &Kind, resource: View, reading: &mut Reading) {
        let mut has_laboratory = false;
        let subject = resource.get("subject").and_then(|s| s.text_of("reference"));
        for i in 0..reading.performers.len() {
            let node = reading.performers[i];
            let performer = resource.at(node);
            let written = performer.text_of("reference");
            let carried = if kind.laboratory.is_some() {
                // A record names one laboratory.
                let carried = !has_laboratory && may_be_laboratory(performer);
                has_laboratory |= carried;
                carried
            } else {
                written.is_some() && written == subject
            };
            let says_more = i > 0 || performer.members().any(|(name, _)| name != "reference");
            if !carried {
                reading.residue.push(node);
            } else if says_more {
                reading.variants.push(node);
            }
        }
    }

    fn tell(&mut self, note: &Note, resource: View, spot: Spot) {
        let fault = |pointer: String| {
            Fault::new(note.code, pointer, resource.at(note.node).place())
                .expected(note.expected.clone())
                .found(&note.found)
                .severity(note.severity)
        };
        let pointer = || expression(resource, spot, note.node, note.below);
        if note.code == Code::FallbackUsed {
            let field = note.expected.split(' ').next().unwrap_or_default();
            self.taken.outcome.tally(note.code, field, pointer, fault);
        } else {
            self.taken.outcome.push(fault(pointer()));
        }
    }

    /// Warns of values out of the ordinary.
    fn plausible(&mut self, kind: &Kind, resource: View, spot: Spot, reading: &Reading) {
        let outcome = &mut self.taken.outcome;
        let at = |field: usize| match reading.nodes[field] {
            0 => resource,
            node => resource.at(node),
        };
        exchange::implausible(kind, &reading.cells, |field, code, expected, found| {
            let pointer = expression(resource, spot, at(field).node(), "");
            let fault = Fault::new(code, pointer, at(field).place());
            outcome.push(fault.expected(expected).found(&found));
        });
        let (measured, updated) = (reading.cells[kind.time], reading.cells[kind.update]);
        if !measured.is_absent()
            && !updated.is_absent()
            && updated.value() < measured.value() * 1000
        {
            let issued = at(kind.update);
            let pointer = expression(resource, spot, issued.node(), "");
            let fault = Fault::new(Code::Implausible, pointer, issued.place());
            outcome.push(
                fault
                    .expected("not before it was measured")
                    .found(issued.text()),
            );
        }
    }

    /// The identity in `identifier[record]`; `None` for a value that is none.
    fn claim(&mut self, kind: &Kind, value: &str) -> Option<Claim> {
        let mut parts = value.split(':');
        let mut next = || parts.next();
        let (consortium, person, name, at, source) = (next()?, next()?, next()?, next()?, next()?);
        if name != kind.name || parts.next().is_some() {
            return None;
        }
        let seconds = time::parse14(at)?;
        let mut place = |part: &str| match part.contains('%') {
            true => {
                let part = id::split(part).into_iter().next().unwrap_or_default();
                self.taken.texts.intern(&part)
            }
            false => self.taken.texts.intern(part),
        };
        Some(Claim {
            consortium: place(consortium),
            person: place(person),
            seconds,
            source: place(source),
        })
    }
}

/// Whether a performer is an Organization, as far as its text tells.
fn may_be_laboratory(performer: View) -> bool {
    let named = performer.text_of("type").unwrap_or_else(|| {
        let written = performer.text_of("reference");
        written.map_or("", reference::type_of)
    });
    matches!(named, "" | "Organization")
}
