//! Device (<https://hl7.org/fhir/R4/device.html#search>) and DeviceDefinition
//! (<https://hl7.org/fhir/R4/devicedefinition.html#search>).

use super::*;
use crate::fhir::canonical::MDC;
use crate::registry::{CodeEntry, DEVICE_TYPES};

/// Device.
pub static DEVICE: Searchable = Searchable {
    resource_type: "Device",
    parameters: &[
        ID,
        UPDATED,
        profile(absent),
        TAG,
        SECURITY,
        string_of(
            "device-name",
            "Device.deviceName.name | Device.type.coding.display | Device.type.text",
            "Device-device-name",
            device_name,
        )
        .sorted(SortBy::Column("name_folded")),
        identifier("Device.identifier", "Device-identifier", rows::identifier),
        reference_of(
            "location",
            "Device.location",
            "Device-location",
            &["Location"],
            &[],
        ),
        string_of(
            "manufacturer",
            "Device.manufacturer",
            "Device-manufacturer",
            |_, _, filter| {
                string(
                    filter,
                    &[seen("model_manufacturer_code", "manufacturer_folded")],
                )
            },
        )
        .sorted(SortBy::Column("model_manufacturer_code")),
        string_of(
            "model",
            "Device.modelNumber",
            "Device-model",
            |_, _, filter| string(filter, &[seen("model_number", "number_folded")]),
        )
        .sorted(SortBy::Column("model_number")),
        reference_of(
            "organization",
            "Device.owner",
            "Device-organization",
            &["Organization"],
            &[],
        ),
        reference_of(
            "patient",
            "Device.patient",
            "Device-patient",
            &["Patient"],
            &[],
        ),
        token_of(
            "status",
            "Device.status",
            "Device-status",
            |scope, _, filter| {
                let active =
                    Concept::new(Test::ALWAYS, "http://hl7.org/fhir/device-status", "active");
                token(scope, filter, &[active])
            },
        ),
        token_of("type", "Device.type", "Device-type", absent),
        string_of(
            "udi-carrier",
            "Device.udiCarrier.carrierHRF",
            "Device-udi-carrier",
            absent,
        ),
        string_of(
            "udi-di",
            "Device.udiCarrier.deviceIdentifier",
            "Device-udi-di",
            absent,
        ),
        uri_of("url", "Device.url", "Device-url", absent),
    ],
};

/// DeviceDefinition.
pub static DEVICE_DEFINITION: Searchable = Searchable {
    resource_type: "DeviceDefinition",
    parameters: &[
        ID,
        UPDATED,
        profile(absent),
        TAG,
        SECURITY,
        identifier(
            "DeviceDefinition.identifier",
            "DeviceDefinition-identifier",
            rows::identifier,
        ),
        reference_of(
            "parent",
            "DeviceDefinition.parentDevice",
            "DeviceDefinition-parent",
            &["DeviceDefinition"],
            &[],
        ),
        token_of(
            "type",
            "DeviceDefinition.type",
            "DeviceDefinition-type",
            kind,
        ),
    ],
};

/// What a device part says of its model: the models seen stand folded in a table of their
/// own, few as they are.
fn seen(column: &'static str, folded: &'static str) -> Text {
    let at = Relation::DeviceSeen;
    Text::Column { at, column, folded }
}

/// `device-name`: the name of the model, where it is registered, and those that were written.
fn device_name(_: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    let [model, own] = [
        (Relation::DeviceModel, "device_name"),
        (Relation::DeviceNames, "name"),
    ]
    .map(|(at, column)| Text::Column {
        at,
        column,
        folded: "folded",
    });
    string(filter, &[model, own])
}

/// `type`: ours, and that of IEEE 11073 where there is one.
fn kind(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    let own = scope.kinds.canonical.code_system("device-type");
    let of = |entry: &CodeEntry| {
        let when = Test::column("device_type_code", [entry.code.to_owned()]);
        let concept = Concept::new(when, own.clone(), entry.code);
        match registry::device_nomenclature(entry.code) {
            Some((code, display)) => concept.coding(MDC, code, display),
            None => concept,
        }
    };
    let concepts: Vec<Concept> = DEVICE_TYPES.iter().map(of).collect();
    token(scope, filter, &concepts)
}
