//! FHIR that is written to a server: what was taken waits until the references that lead out
//! of it were looked up, then it becomes records that know their entries.

use std::collections::HashSet;
use std::io::Read;

use crate::exchange::{Origin, Submission};
use crate::fault::{Code, Fault};
use crate::fhir::resource;
use crate::json::{self, Event, Reader};
use crate::kind::Kinds;
use crate::mapping::{Backward, Reading, Status};
use crate::record::Cell;
use crate::store::{DeviceChange, LateValue, ParticipantChange, Referred, Residue};
use crate::tape::{NodeKind, Tape, View};

use super::crosswalk::Known;
use super::finish::Finish;
use super::reference::{self, DevicePart, Ref, References, Target};
use super::{Inbound, Needed, Options, Outcome, Row, Spot, Taken, expression};

/// A reference that leads out of what was taken, to this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    at: Ref,
    /// The type of what it leads to.
    pub resource_type: String,
    /// Its id, or the query of a conditional reference.
    pub target: Named,
}

/// How a reference names its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By its logical id.
    Id(String),
    /// By the query that finds it
    /// (<https://hl7.org/fhir/R4/http.html#trules>).
    Query(String),
}

/// Records of one consortium.
#[derive(Debug)]
pub struct WrittenRecords {
    /// The records, the entry of each being its `position.index`, and what is wrong with them.
    pub submission: Submission,
    /// Of each its status, and what was written of it beyond its fields.
    pub said: Vec<(Status, Option<Residue>)>,
}

/// A value that came without its record, which may be stored.
#[derive(Debug)]
pub struct Late {
    /// The entry.
    pub entry: u32,
    /// What it adds to which record.
    pub value: LateValue,
    /// What is wrong where there is no such record.
    pub fault: Fault,
}

/// What resources became that were written to a server.
#[derive(Debug)]
pub struct Written {
    /// Records, by consortium.
    pub records: Vec<WrittenRecords>,
    /// Changes of participants, by entry.
    pub participants: Vec<(u32, ParticipantChange)>,
    /// Devices, by entry.
    pub devices: Vec<(u32, DeviceChange)>,
    /// Values that came without their records.
    pub late: Vec<Late>,
    /// Entries that are part of the record of another entry: the part, and that entry.
    pub joined: Vec<(u32, u32)>,
    /// What there is to say, of each entry; where there is an error, it became nothing.
    pub outcome: Outcome,
}

/// What a resource says it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// `resourceType`
    pub resource_type: String,
    /// `id`
    pub id: Option<String>,
}

impl Head {
    /// What stands in the head of a resource.
    pub fn of(resource: View) -> Head {
        let text = |name| resource.text_of(name).map(str::to_owned);
        Head {
            resource_type: text("resourceType").unwrap_or_default(),
            id: text("id"),
        }
    }
}

/// Reads one resource that is written to a server.
///
/// # Errors
/// [`json::Error`] where it is no JSON, or more than one value.
pub fn read_resource(
    kinds: &Kinds,
    options: Options,
    source: impl Read,
) -> json::Result<(Head, Taken)> {
    let mut reader = Reader::new(source);
    let mut tape = Tape::new();
    let first = reader.next_document()?;
    if first == Event::End {
        return Err(json::Error::Syntax {
            place: reader.place(),
            reason: "a resource is expected",
        });
    }
    tape.read(&mut reader, first, options.resource_max)?;
    if reader.next_document()? != Event::End {
        return Err(json::Error::Syntax {
            place: reader.place(),
            reason: "one resource is expected, and nothing after it",
        });
    }
    let mut inbound = Inbound::new(kinds, options);
    inbound.resource(&tape);
    let head = tape.root().map(Head::of).unwrap_or_default();
    Ok((head, inbound.pause()))
}

impl<'k> Inbound<'k> {
    /// Lets go of the record kinds.
    pub fn pause(self) -> Taken {
        self.taken
    }

    /// Goes on with what was taken.
    pub fn resume(kinds: &'k Kinds, taken: Taken) -> Inbound<'k> {
        Inbound {
            kinds,
            backward: Backward::new(kinds),
            reading: Reading::default(),
            taken,
            full_urls: Default::default(),
            requests: Vec::new(),
            requests_max: 0,
            requests_count: 0,
        }
    }

    /// Notes references of our own types below an element that the record does not carry.
    pub(super) fn need(&mut self, resource: View, spot: Spot, node: u32) {
        let mut inside = vec![resource.at(node)];
        while let Some(view) = inside.pop() {
            match view.kind() {
                NodeKind::Object => {
                    if let Some(reference) = view.get("reference") {
                        self.need_reference(resource, spot, reference);
                    }
                    inside.extend(view.members().map(|(_, value)| value));
                }
                NodeKind::Array => inside.extend(view.items()),
                _ => {}
            }
        }
    }

    fn need_reference(&mut self, resource: View, spot: Spot, view: View) {
        let Some(written) = view.string() else { return };
        let kind = reference::type_of(written);
        if resource::by_name(kind).is_none() && !reference::is_conditional(written) {
            return;
        }
        let at = self
            .taken
            .refs
            .literal(reference::base(spot.full_url), written);
        self.taken.needed.push(Needed {
            entry: spot.entry.unwrap_or(0),
            at,
            pointer: expression(resource, spot, view.node(), ""),
            place: view.place(),
        });
    }

    /// Notes that an Organization among the performers must be there.
    pub(super) fn need_performer(&mut self, resource: View, spot: Spot, at: Ref, view: View) {
        if self.taken.options.write {
            self.taken.needed.push(Needed {
                entry: spot.entry.unwrap_or(0),
                at,
                pointer: expression(resource, spot, view.node(), ""),
                place: view.place(),
            });
        }
    }
}

impl Finish<'_> {
    /// Refuses what refers to something that is not there.
    fn check_needed(&mut self) {
        for needed in std::mem::take(&mut self.taken.needed) {
            if !self.taken.is_dangling(needed.at) {
                continue;
            }
            self.taken.outcome.about(needed.entry);
            self.taken.outcome.push(
                Fault::new(Code::RecordInconsistent, needed.pointer, needed.place)
                    .expected("a reference to something that is there"),
            );
            for row in self
                .taken
                .rows
                .iter_mut()
                .filter(|r| r.entry == needed.entry)
            {
                row.refused = true;
            }
            self.taken.participants.retain(|p| p.entry != needed.entry);
            let devices = &mut self.taken.written_devices;
            devices.retain(|device| device.entry != needed.entry);
        }
    }

    /// What was taken as records that know their entries.
    fn written(mut self) -> Written {
        self.check_needed();
        self.check_identities();
        let participants = self.participant_changes();
        let devices = self.device_changes();
        let done = self.complete_all();
        let entry = |&(part, row): &(usize, usize)| {
            (self.taken.rows[part].entry, self.taken.rows[row].entry)
        };
        let joined = self.taken.joined.iter().map(entry).collect();
        self.settle_kept(&done, &self.waiting());
        // Submissions take the texts with them.
        let late = self.late_values();
        let submissions = self.submissions(done).into_iter();
        let mut records = Vec::new();
        for (submission, rows) in submissions {
            let mut said = Vec::with_capacity(rows.len());
            for (&place, row) in rows.iter().zip(&submission.rows) {
                let record = submission.record(self.kinds, row);
                let (residue, faults) = self.residue(place, &record);
                said.push((self.taken.rows[place].status, residue));
                for (part, fault) in faults {
                    let part = self.taken.rows[part];
                    self.speak_of(&part);
                    self.taken.outcome.push(fault);
                }
            }
            records.push(WrittenRecords { submission, said });
        }
        Written {
            records,
            participants,
            devices,
            late,
            joined,
            outcome: self.taken.outcome,
        }
    }
}

impl Taken {
    /// Where a row stands, and what is below it, as FHIRPath.
    pub(super) fn pointer(&self, row: &Row, below: &str) -> String {
        match self.origin {
            Origin::Bundle => format!("Bundle.entry[{}].resource{below}", row.entry),
            _ => format!("Observation{below}"),
        }
    }

    /// The references that lead out of it to the server at `base`, each once.
    pub fn references(&mut self, base: &str) -> Vec<Reference> {
        let mut out = self.refs.outward(base);
        out.append(&mut self.redirects);
        out
    }

    /// Says that references to an entry lead to a resource that is there already.
    pub fn redirect(&mut self, full_url: &str, resource_type: &str, id: &str) {
        if full_url.is_empty() {
            return;
        }
        let at = self.refs.literal("", full_url);
        self.redirects.push(Reference {
            at,
            resource_type: resource_type.to_owned(),
            target: Named::Id(id.to_owned()),
        });
    }

    /// Where a reference stands: the entries that it stands in, and as FHIRPath.
    pub fn referring(&self, reference: &Reference) -> Vec<(u32, String)> {
        let mut out: Vec<(u32, String)> = Vec::new();
        for row in &self.rows {
            let (from, count) = row.performers;
            let performers = self.performers.iter().skip(from as usize);
            let mut performers = performers.take(usize::from(count));
            let is_it = |other: Ref| self.refs.literal_of(other) == reference.at;
            let element = if row.subject.is_some_and(is_it) {
                "subject"
            } else if row.device.is_some_and(is_it) {
                "device"
            } else if performers.any(|&performer| is_it(performer)) {
                "performer"
            } else {
                continue;
            };
            out.push((row.entry, self.pointer(row, &format!(".{element}"))));
        }
        let is_it = |other: Ref| self.refs.literal_of(other) == reference.at;
        let needed = self.needed.iter().filter(|needed| is_it(needed.at));
        out.extend(needed.map(|needed| (needed.entry, needed.pointer.clone())));
        let individuals = self.participants.iter();
        let individuals = individuals.filter(|p| p.individual.is_some_and(is_it));
        out.extend(individuals.map(|p| (p.entry, format!("{}.individual", p.change.pointer))));
        // An element of a record may be needed as well.
        let mut seen = std::collections::HashSet::new();
        out.retain(|(entry, _)| seen.insert(*entry));
        out
    }

    /// Says what a reference leads to; to nothing where it is not said.
    pub fn settle(&mut self, reference: &Reference, found: &Referred) {
        let mut text = |text: &str| self.texts.intern(text);
        let target = match found {
            Referred::Participant {
                consortium_id,
                person_id,
            } => Target::Person(text(consortium_id), text(person_id)),
            Referred::Laboratory {
                consortium_id,
                test_lab_id,
            } => Target::Laboratory(text(consortium_id), text(test_lab_id)),
            Referred::Model([maker, model]) => Target::Model(text(maker), text(model)),
            Referred::Device(part) => {
                let cells = [0, 1, 2].map(|i| Cell::plain(i64::from(text(&part[i]))));
                self.refs.device(DevicePart::known(cells))
            }
            Referred::Other => Target::Other,
        };
        self.refs.settle(reference.at, target);
        if let Named::Id(id) = &reference.target {
            let resource = format!("{}/{id}", reference.resource_type);
            self.refs.find(reference.at, resource);
        }
    }

    /// Whether a reference leads to this server, and there to nothing.
    pub(super) fn is_dangling(&self, at: Ref) -> bool {
        self.options.write && self.refs.is_own(at) && self.refs.target(at) == Target::Unknown
    }

    /// What is wrong with the Bundle itself.
    pub fn faults(&self) -> Vec<Fault> {
        let issues = self.outcome.issues.iter();
        let own = issues.filter(|issue| issue.entry.is_none() && issue.fault.is_error());
        own.map(|issue| issue.fault.clone()).collect()
    }

    /// The same, with a resource that stands for that of an entry.
    ///
    /// # Errors
    /// [`json::Error`] where it is no JSON.
    pub fn with(
        self,
        kinds: &Kinds,
        (entry, full_url): (u32, &str),
        text: &[u8],
    ) -> json::Result<(Head, Taken)> {
        let mut reader = Reader::new(text);
        let mut tape = Tape::new();
        let first = reader.next_document()?;
        tape.read(&mut reader, first, self.options.resource_max)?;
        let mut inbound = Inbound::resume(kinds, self);
        let mut head = Head::default();
        if let Some(resource) = tape.root() {
            head = Head::of(resource);
            let spot = Spot {
                entry: Some(entry),
                full_url,
            };
            inbound.about(spot);
            inbound.take(resource, spot);
        }
        Ok((head, inbound.pause()))
    }

    /// Leaves out what an entry brought.
    pub fn leave_out(&mut self, entry: u32) {
        self.leave_out_all(&HashSet::from([entry]));
    }

    /// Leaves out what these entries brought.
    pub fn leave_out_all(&mut self, entries: &HashSet<u32>) {
        let rows = self.rows.iter_mut();
        for row in rows.filter(|row| entries.contains(&row.entry)) {
            row.refused = true;
        }
        let stays = |entry: &u32| !entries.contains(entry);
        self.needed.retain(|needed| stays(&needed.entry));
        self.beside.retain(|beside| stays(&beside.needed.entry));
        self.participants.retain(|p| stays(&p.entry));
        self.written_devices.retain(|device| stays(&device.entry));
        self.outcome
            .issues
            .retain(|issue| issue.entry.as_ref().is_none_or(stays));
    }

    /// What was taken as records that know their entries.
    pub fn finish(self, kinds: &Kinds, known: Known) -> Written {
        Finish::new(kinds, known, self).written()
    }

    /// What was taken as submissions, by consortium, and what there is to say.
    pub(super) fn converted(self, kinds: &Kinds, known: Known) -> (Vec<Submission>, Outcome) {
        Finish::new(kinds, known, self).converted()
    }
}

impl References {
    /// References to the server at `base` that lead to nothing that came.
    fn outward(&mut self, base: &str) -> Vec<Reference> {
        let keys: Vec<(&str, Ref)> = self.keys().collect();
        let mut out = Vec::new();
        let mut own = Vec::new();
        for (key, at) in keys {
            let below = key.strip_prefix(base).and_then(|r| r.strip_prefix('/'));
            let name = below.unwrap_or(key);
            if (below.is_some() || reference::is_conditional(key))
                && let Some((kind, query)) = name.split_once('?')
            {
                own.push(at);
                out.push((at, kind, Named::Query(query.to_owned())));
                continue;
            }
            if key.starts_with("urn:uuid:") || key.starts_with('#') {
                own.push(at);
                continue;
            }
            if below.is_none() && !self.is_relative(at) {
                continue;
            }
            own.push(at);
            let tail = reference::tail(name).and_then(|tail| tail.split_once('/'));
            if let Some((kind, id)) = tail
                && self.target(at) == Target::Unknown
                && resource::by_name(kind).is_some()
            {
                out.push((at, kind, Named::Id(id.to_owned())));
            }
        }
        let out = out.into_iter().map(|(at, kind, target)| Reference {
            at,
            resource_type: kind.to_owned(),
            target,
        });
        let mut out: Vec<Reference> = out.collect();
        out.sort_by_key(|reference| reference.at);
        for at in own {
            self.own(at);
        }
        out
    }
}
