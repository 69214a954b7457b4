//! The ways from one table to another.

use super::{Table, Test};
use crate::registry::{CONSORTIA, DEVICES, LABORATORIES, PARTICIPANTS};

/// A way from a row to rows of another table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// From a row to itself, where one row makes several resources.
    Same,
    /// From a record to its participant.
    RecordParticipant,
    /// From a participant to their records.
    ParticipantRecords,
    /// From a record to the device that measured it.
    RecordDevice,
    /// From a device to its records.
    DeviceRecords,
    /// From a record to the laboratory that tested.
    RecordLaboratory,
    /// From a laboratory to its records.
    LaboratoryRecords,
    /// From a participant to the consortium.
    ParticipantConsortium,
    /// From a consortium to its participants.
    ConsortiumParticipants,
    /// From a device to its registered model.
    DeviceModel,
    /// From a model to the devices seen of it.
    ModelDevices,
    /// From a device to what stands folded of the maker and model that it names.
    DeviceSeen,
    /// From maker and model to the devices that name them.
    SeenDevices,
    /// From a device to the names that were written.
    DeviceNames,
    /// From a name to the device.
    NameDevice,
    /// From a device to the participants who used it.
    DeviceParticipants,
    /// From a participant to the devices that they used.
    ParticipantDevices,
    /// From a Group to its consortium.
    GroupConsortium,
    /// From a consortium to its Group.
    ConsortiumGroup,
    /// From a delivery to the records that it wrote, any version of them.
    DeliveryRecords,
    /// From a record to the deliveries that wrote it.
    RecordDeliveries,
    /// From a delivery to the Patient whose row it changed.
    DeliveryPatient,
    /// From a Patient to the deliveries that changed the row.
    PatientDeliveries,
    /// From a delivery to the ResearchSubject whose row it changed.
    DeliverySubject,
    /// From a ResearchSubject to the deliveries that changed the row.
    SubjectDeliveries,
    /// From a delivery to the devices that it wrote.
    DeliveryDevices,
    /// From a device to the deliveries that wrote it.
    DeviceDeliveries,
}

/// What a relation is in SQL.
pub(super) struct Join {
    /// Where it leads.
    pub to: Table,
    /// The condition: `{near}` is the row it leads from, `{far}` the one it leads to, and
    /// `{inner}`, once, what must hold for that one. `{laboratory}` is the record's column with the
    /// text of its laboratory.
    ///
    /// To one row by its number it is `IN`, so that few rows are looked up once; to many it
    /// is `EXISTS`, so that the first one is enough.
    pub sql: &'static str,
    /// Whether it leads to deleted records too: what wrote them wrote them.
    pub deleted: bool,
}

impl Relation {
    /// The way back.
    #[must_use]
    pub fn reverse(self) -> Relation {
        match self {
            Relation::Same => Relation::Same,
            Relation::RecordParticipant => Relation::ParticipantRecords,
            Relation::ParticipantRecords => Relation::RecordParticipant,
            Relation::RecordDevice => Relation::DeviceRecords,
            Relation::DeviceRecords => Relation::RecordDevice,
            Relation::RecordLaboratory => Relation::LaboratoryRecords,
            Relation::LaboratoryRecords => Relation::RecordLaboratory,
            Relation::ParticipantConsortium => Relation::ConsortiumParticipants,
            Relation::ConsortiumParticipants => Relation::ParticipantConsortium,
            Relation::DeviceModel => Relation::ModelDevices,
            Relation::ModelDevices => Relation::DeviceModel,
            Relation::DeviceSeen => Relation::SeenDevices,
            Relation::SeenDevices => Relation::DeviceSeen,
            Relation::DeviceNames => Relation::NameDevice,
            Relation::NameDevice => Relation::DeviceNames,
            Relation::DeviceParticipants => Relation::ParticipantDevices,
            Relation::ParticipantDevices => Relation::DeviceParticipants,
            Relation::GroupConsortium => Relation::ConsortiumGroup,
            Relation::ConsortiumGroup => Relation::GroupConsortium,
            Relation::DeliveryRecords => Relation::RecordDeliveries,
            Relation::RecordDeliveries => Relation::DeliveryRecords,
            Relation::DeliveryPatient => Relation::PatientDeliveries,
            Relation::PatientDeliveries => Relation::DeliveryPatient,
            Relation::DeliverySubject => Relation::SubjectDeliveries,
            Relation::SubjectDeliveries => Relation::DeliverySubject,
            Relation::DeliveryDevices => Relation::DeviceDeliveries,
            Relation::DeviceDeliveries => Relation::DeliveryDevices,
        }
    }

    /// What also holds where the relation leads to something of which `inner` holds, and is
    /// found sooner: records have no index by device, but which participants used which
    /// device is known; what was delivered of a participant is among his records.
    ///
    /// It is said twice of what leads to no further records only: otherwise each link of a chain
    /// would double the statement.
    pub fn implies(self, inner: &Test) -> Option<Test> {
        let (through, use_of) = match self {
            Relation::ParticipantRecords => (Relation::RecordDevice, Relation::ParticipantDevices),
            Relation::DeviceRecords => (Relation::RecordParticipant, Relation::DeviceParticipants),
            Relation::DeliveryRecords => (Relation::RecordParticipant, Relation::RecordParticipant),
            _ => return None,
        };
        let implied = inner.conjuncts().iter().filter_map(|test| match test {
            Test::Related(relation, far) if *relation == through && !far.leads_to_records() => {
                Some(Test::Related(use_of, far.clone()))
            }
            _ => None,
        });
        let implied: Vec<Test> = implied.collect();
        (!implied.is_empty()).then(|| Test::all(implied))
    }

    /// The type by which `registry_write` tells of its target, if it does.
    pub(super) fn written_as(self) -> Option<&'static str> {
        match self {
            Relation::DeliveryPatient => Some("Patient"),
            Relation::DeliverySubject => Some("ResearchSubject"),
            Relation::DeliveryDevices => Some("Device"),
            _ => None,
        }
    }

    /// What it is in SQL; `None` for [`Relation::Same`].
    pub(super) fn join(self) -> Option<Join> {
        let (to, sql) = match self {
            Relation::Same => return None,
            Relation::RecordParticipant => (
                Table::List(&PARTICIPANTS),
                "{near}.participant IN (SELECT {far}.id FROM {table} {far} WHERE {inner})",
            ),
            Relation::ParticipantRecords => (
                Table::Record,
                "EXISTS (SELECT 1 FROM {table} {far} \
                 WHERE {far}.participant = {near}.id AND {inner})",
            ),
            Relation::RecordDevice => (
                Table::Device,
                "{near}.device IN (SELECT {far}.id FROM {table} {far} WHERE {inner})",
            ),
            Relation::DeviceRecords => (
                Table::Record,
                "EXISTS (SELECT 1 FROM participant_device {far}u CROSS JOIN {table} {far} \
                 WHERE {far}u.device = {near}.id AND {far}.participant = {far}u.participant \
                 AND {far}.device = {far}u.device AND {inner})",
            ),
            Relation::RecordLaboratory => (
                Table::List(&LABORATORIES),
                "EXISTS (SELECT 1 FROM participant {far}p \
                 JOIN {table} {far} ON {far}.consortium_id = {far}p.consortium_id \
                 JOIN text {far}t ON {far}t.value = {far}.test_lab_id \
                 WHERE {far}p.id = {near}.participant AND {far}t.id = {laboratory} AND {inner})",
            ),
            Relation::LaboratoryRecords => (
                Table::Record,
                "EXISTS (SELECT 1 FROM participant {far}p \
                 JOIN {table} {far} ON {far}.participant = {far}p.id \
                 WHERE {far}p.consortium_id = {near}.consortium_id AND {laboratory} = \
                 (SELECT {far}t.id FROM text {far}t WHERE {far}t.value = {near}.test_lab_id) \
                 AND {inner})",
            ),
            Relation::ParticipantConsortium => (
                Table::List(&CONSORTIA),
                "{near}.consortium_id IN \
                 (SELECT {far}.consortium_id FROM {table} {far} WHERE {inner})",
            ),
            Relation::ConsortiumParticipants => (
                Table::List(&PARTICIPANTS),
                "EXISTS (SELECT 1 FROM {table} {far} \
                 WHERE {far}.consortium_id = {near}.consortium_id AND {inner})",
            ),
            Relation::DeviceModel => (
                Table::List(&DEVICES),
                "({near}.model_manufacturer_code, {near}.model_number) IN \
                 (SELECT {far}.model_manufacturer_code, {far}.model_number \
                 FROM {table} {far} WHERE {inner})",
            ),
            Relation::DeviceSeen => (
                Table::Seen,
                "({near}.model_manufacturer_code, {near}.model_number) IN \
                 (SELECT {far}.model_manufacturer_code, {far}.model_number \
                 FROM {table} {far} WHERE {inner})",
            ),
            Relation::DeviceNames => (
                Table::DeviceName,
                "{near}.id IN (SELECT {far}.device FROM {table} {far} WHERE {inner})",
            ),
            Relation::NameDevice => (
                Table::Device,
                "{near}.device IN (SELECT {far}.id FROM {table} {far} WHERE {inner})",
            ),
            Relation::DeviceParticipants => (
                Table::List(&PARTICIPANTS),
                "{near}.id IN (SELECT {far}u.device FROM participant_device {far}u \
                 WHERE {far}u.participant IN \
                 (SELECT {far}.id FROM {table} {far} WHERE {inner}))",
            ),
            Relation::ParticipantDevices => (
                Table::Device,
                "{near}.id IN (SELECT {far}u.participant FROM participant_device {far}u \
                 WHERE {far}u.device IN (SELECT {far}.id FROM {table} {far} WHERE {inner}))",
            ),
            Relation::GroupConsortium => (
                Table::List(&CONSORTIA),
                "{near}.consortium_id IN \
                 (SELECT {far}.consortium_id FROM {table} {far} WHERE {inner})",
            ),
            Relation::ConsortiumGroup => (
                Table::Group,
                "EXISTS (SELECT 1 FROM {table} {far} \
                 WHERE {far}.consortium_id = {near}.consortium_id AND {inner})",
            ),
            Relation::DeliveryRecords => (
                Table::Record,
                "({near}.write, {near}.participant) IN (WITH {far}c AS MATERIALIZED \
                 (SELECT {far}.write, {far}.participant, {far}.kind, {far}.time, {far}.source \
                 FROM {table} {far} WHERE {inner}) SELECT {far}c.write, {far}c.participant \
                 FROM {far}c UNION ALL SELECT {far}v.write, {far}v.participant \
                 FROM {far}c CROSS JOIN record_version {far}v \
                 WHERE {far}v.participant = {far}c.participant AND {far}v.kind = {far}c.kind \
                 AND {far}v.time = {far}c.time AND {far}v.source = {far}c.source)",
            ),
            Relation::RecordDeliveries => (
                Table::Delivery,
                "EXISTS (SELECT 1 FROM \
                 (SELECT {near}.write AS write, {near}.participant AS participant \
                 UNION ALL SELECT {far}v.write, {far}v.participant FROM record_version {far}v \
                 WHERE {far}v.participant = {near}.participant AND {far}v.kind = {near}.kind \
                 AND {far}v.time = {near}.time AND {far}v.source = {near}.source) {far} \
                 WHERE {inner})",
            ),
            Relation::DeliveryPatient => (
                Table::List(&PARTICIPANTS),
                "({near}.write, {near}.participant) IN \
                 (SELECT {far}w.write, {far}w.participant FROM {table} {far} \
                 JOIN registry_write {far}w ON {far}w.participant = {far}.id \
                 WHERE {far}w.resource = 'Patient' AND {inner})",
            ),
            Relation::DeliverySubject => (
                Table::List(&PARTICIPANTS),
                "({near}.write, {near}.participant) IN \
                 (SELECT {far}w.write, {far}w.participant FROM {table} {far} \
                 JOIN registry_write {far}w ON {far}w.participant = {far}.id \
                 WHERE {far}w.resource = 'ResearchSubject' AND {inner})",
            ),
            Relation::PatientDeliveries => (
                Table::Delivery,
                "EXISTS (SELECT 1 FROM registry_write {far} WHERE {far}.participant = {near}.id \
                 AND {far}.resource = 'Patient' AND {inner})",
            ),
            Relation::SubjectDeliveries => (
                Table::Delivery,
                "EXISTS (SELECT 1 FROM registry_write {far} WHERE {far}.participant = {near}.id \
                 AND {far}.resource = 'ResearchSubject' AND {inner})",
            ),
            Relation::DeliveryDevices => (
                Table::Device,
                "({near}.write, {near}.participant) IN \
                 (SELECT {far}w.write, {far}w.participant FROM {table} {far} \
                 JOIN registry_write {far}w ON {far}w.hash = {far}.hash \
                 WHERE {far}w.resource = 'Device' AND {inner})",
            ),
            Relation::DeviceDeliveries => (
                Table::Delivery,
                "EXISTS (SELECT 1 FROM registry_write {far} WHERE {far}.hash = {near}.hash \
                 AND {far}.resource = 'Device' AND {inner})",
            ),
            Relation::SeenDevices | Relation::ModelDevices => (
                Table::Device,
                "EXISTS (SELECT 1 FROM {table} {far} \
                 WHERE {far}.model_manufacturer_code = {near}.model_manufacturer_code \
                 AND {far}.model_number = {near}.model_number AND {inner})",
            ),
        };
        Some(Join {
            to,
            sql,
            deleted: self == Relation::DeliveryRecords,
        })
    }
}

impl Test {
    /// Whether it leads to records.
    fn leads_to_records(&self) -> bool {
        match self {
            Test::Related(relation, test) => {
                let to = relation.join().map(|join| join.to);
                matches!(to, Some(Table::Record)) || test.leads_to_records()
            }
            Test::Not(test) => test.leads_to_records(),
            Test::All(tests) | Test::Any(tests) => tests.iter().any(Test::leads_to_records),
            Test::OfKind(kinds) => kinds.iter().any(|(_, test)| test.leads_to_records()),
            _ => false,
        }
    }
}
