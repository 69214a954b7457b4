//! What Patients, Organizations, Devices and DeviceDefinitions tell.

use crate::exchange;
use crate::fault::{Code, Fault, Place};
use crate::fhir::id;
use crate::record::Cell;
use crate::tape::View;

use super::reference::{self, DevicePart, Target};
use super::{Inbound, Spot, expression};

impl Inbound<'_> {
    /// Notes where references to a resource lead.
    pub(super) fn define(&mut self, kind: &str, resource: View, spot: Spot) {
        let base = reference::base(spot.full_url);
        let target = self.target_of(kind, resource, resource, base);
        if let Target::Device(_) = target {
            self.device_fallbacks(resource, spot);
        }
        let id = resource.text_of("id").unwrap_or_default();
        self.taken.refs.define(spot.full_url, kind, id, target);
        for identifier in identifiers(resource) {
            let system = identifier.text_of("system").unwrap_or_default();
            let value = identifier.text_of("value").unwrap_or_default();
            self.taken.refs.define_logical(kind, system, value, target);
        }
    }

    /// What a resource is to a record.
    pub(super) fn target_of(
        &mut self,
        kind: &str,
        resource: View,
        container: View,
        base: &str,
    ) -> Target {
        match kind {
            "Patient" | "Organization" | "DeviceDefinition" => {
                for identifier in identifiers(resource) {
                    let system = identifier.text_of("system").unwrap_or_default();
                    let value = identifier.text_of("value").unwrap_or_default();
                    let target = self.target_of_identifier(kind, system, value);
                    if target != Target::Unknown {
                        return target;
                    }
                }
                Target::Other
            }
            "Device" => {
                let part = self.device_part(resource, container, base);
                self.taken.refs.device(part)
            }
            _ => Target::Other,
        }
    }

    /// What one of our identifiers names; unknown for any other.
    pub(super) fn target_of_identifier(&mut self, kind: &str, system: &str, value: &str) -> Target {
        let canonical = &self.kinds.canonical;
        let is_id = |text: &str, max: usize| {
            exchange::id_fault(text, max, String::new(), Place::default()).is_none()
        };
        match kind {
            "Patient" => match canonical.consortium_of(system, "person") {
                Some(consortium) if is_id(consortium, 6) && is_id(value, 20) => Target::Person(
                    self.taken.texts.intern(consortium),
                    self.taken.texts.intern(value),
                ),
                _ => Target::Unknown,
            },
            "Organization" => match canonical.consortium_of(system, "test-lab") {
                Some(consortium) if is_id(consortium, 6) => {
                    let consortium = self.taken.texts.intern(consortium);
                    match exchange::text_cell(value, 12, &mut self.taken.texts) {
                        Ok(cell) => Target::Laboratory(consortium, cell.value() as u32),
                        Err(_) => Target::Unknown,
                    }
                }
                _ => Target::Unknown,
            },
            "Device" if system == canonical.sid("device") => match &id::split(value)[..] {
                [maker, model, serial] => {
                    let cells = [maker, model, serial].map(|text| self.name(text));
                    self.taken.refs.device(DevicePart {
                        cells,
                        definition: None,
                    })
                }
                _ => Target::Unknown,
            },
            "DeviceDefinition" if system == canonical.sid("device-model") => {
                match &id::split(value)[..] {
                    [maker, model] => {
                        let (maker, model) = (self.name(maker), self.name(model));
                        match (maker.raw(), model.raw()) {
                            (Some(maker), Some(model)) => Target::Model(maker as u32, model as u32),
                            _ => Target::Unknown,
                        }
                    }
                    _ => Target::Unknown,
                }
            }
            _ => Target::Unknown,
        }
    }

    /// A maker, model or serial: absent where it breaks the rule of its field.
    fn name(&mut self, text: &str) -> Cell {
        exchange::text_cell(text, NAME_MAX, &mut self.taken.texts).unwrap_or(Cell::ABSENT)
    }

    fn device_part(&mut self, device: View, container: View, base: &str) -> DevicePart {
        let maker = device.text_of("manufacturer");
        let model = device.text_of("modelNumber").or_else(|| model_name(device));
        let ours = self.kinds.canonical.sid("device");
        let own = identifiers(device).find(|i| i.text_of("system") == Some(ours.as_str()));
        let own = own
            .and_then(|i| id::split(i.text_of("value")?).into_iter().nth(2))
            .filter(|serial| !serial.is_empty());
        let serial = device.text_of("serialNumber").or(own.as_deref());
        let serial = serial.or_else(|| serial_elsewhere(device));
        let cells = [maker, model, serial].map(|text| text.map_or(Cell::ABSENT, |t| self.name(t)));
        let definition = device
            .get("definition")
            .and_then(|d| self.refer("DeviceDefinition", container, d, base));
        DevicePart { cells, definition }
    }

    /// Tells which parts of a Device were taken from elsewhere than their own elements.
    fn device_fallbacks(&mut self, device: View, spot: Spot) {
        let sources = [
            ("model_number", "modelNumber", model_name(device).is_some()),
            (
                "production_specification_serial",
                "serialNumber",
                serial_elsewhere(device).is_some(),
            ),
        ];
        for (field, element, elsewhere) in sources {
            if device.get(element).is_none() && elsewhere {
                self.taken.outcome.tally(
                    Code::FallbackUsed,
                    field,
                    || expression(device, spot, device.node(), ""),
                    |pointer| {
                        Fault::new(Code::FallbackUsed, pointer, device.place())
                            .expected(format!("{field} in Device.{element}"))
                            .found("another name or identifier of the Device")
                    },
                );
            }
        }
    }
}

/// Sizes of maker, model and serial (protocol specification §3).
const NAME_MAX: u16 = 50;

fn identifiers<'t>(resource: View<'t>) -> impl Iterator<Item = View<'t>> {
    let identifiers = resource.get("identifier");
    identifiers.into_iter().flat_map(View::items)
}

pub(super) fn model_name<'t>(device: View<'t>) -> Option<&'t str> {
    let names = || device.get("deviceName").into_iter().flat_map(View::items);
    names()
        .find(|n| n.text_of("type") == Some("model-name"))
        .or_else(|| names().next())
        .and_then(|n| n.text_of("name"))
}

/// The serial where `serialNumber` is absent: the identifier of a personal health device,
/// its Bluetooth address, any identifier, the distinct identifier, the UDI.
fn serial_elsewhere<'t>(device: View<'t>) -> Option<&'t str> {
    let is = |identifier: &View, code: &str| {
        let codings = identifier.get("type").and_then(|t| t.get("coding"));
        let mut codings = codings.into_iter().flat_map(View::items);
        codings.any(|c| c.text_of("code") == Some(code))
    };
    let by_code = |code: &str| identifiers(device).find(|i| is(i, code));
    by_code("SYSID")
        .or_else(|| by_code("BTMAC"))
        .or_else(|| identifiers(device).next())
        .and_then(|i| i.text_of("value"))
        .or_else(|| device.text_of("distinctIdentifier"))
        .or_else(|| {
            let carrier = device.get("udiCarrier")?.items().next()?;
            carrier.text_of("deviceIdentifier")
        })
}
