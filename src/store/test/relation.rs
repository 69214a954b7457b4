//! The ways from one table to another.

use super::Table;
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
}

/// What a relation is in SQL.
pub(super) struct Join {
    /// Where it leads.
    pub to: Table,
    /// The condition: `{near}` is the row it leads from, `{far}` the one it leads to, and
    /// `{inner}` what must hold for that one. `{laboratory}` is the record's column with the
    /// text of its laboratory.
    ///
    /// To one row by its number it is `IN`, so that few rows are looked up once; to many it
    /// is `EXISTS`, so that the first one is enough.
    pub sql: &'static str,
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
                "{near}.id IN (SELECT {far}.device FROM {table} {far} \
                 WHERE {far}.device IS NOT NULL AND {inner})",
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
                "EXISTS (SELECT 1 FROM {table} {far} \
                 WHERE {far}.model_manufacturer_code = {near}.model_manufacturer_code \
                 AND {far}.model_number = {near}.model_number AND {inner})",
            ),
            Relation::ModelDevices => (
                Table::Device,
                "EXISTS (SELECT 1 FROM {table} {far} \
                 WHERE {far}.model_manufacturer_code = {near}.model_manufacturer_code \
                 AND {far}.model_number = {near}.model_number AND {inner})",
            ),
        };
        Some(Join { to, sql })
    }
}
