//! A Device that is written: a record's device part that is known before its records come.

use crate::fault::{Code, Fault};
use crate::record::Cell;
use crate::store::DeviceChange;
use crate::tape::View;

use super::finish::Finish;
use super::reference::{self, DevicePart, Target};
use super::{Inbound, Spot, expression};

/// The elements of a Device that tell its part.
const FIELDS: [&str; 3] = ["manufacturer", "modelNumber", "serialNumber"];

/// A Device that was taken.
#[derive(Debug, Clone)]
pub(super) struct Device {
    pub entry: u32,
    /// Where its parts are in the table of devices.
    pub place: u32,
    pub pointer: String,
    pub at: crate::fault::Place,
}

impl Inbound<'_> {
    /// Takes a Device.
    pub(super) fn device(&mut self, resource: View, spot: Spot) {
        let base = reference::base(spot.full_url);
        let Target::Device(place) = self.target_of("Device", resource, resource, base) else {
            return;
        };
        let mut refused = false;
        for (name, value) in resource.members() {
            let code = match name {
                "resourceType" | "id" | "meta" | "manufacturer" | "modelNumber"
                | "serialNumber" | "definition" => continue,
                "status" if value.text() == "active" => continue,
                // A name of the registry, or of the model.
                "deviceName" if resource.get("modelNumber").is_some() => Code::NotExpressible,
                "deviceName" => continue,
                "identifier" => {
                    let own = self.kinds.canonical.sid("device");
                    let others: Vec<View> = value
                        .items()
                        .filter(|i| i.text_of("system") != Some(own.as_str()))
                        .collect();
                    for identifier in others {
                        self.say(Code::NotExpressible, resource, spot, identifier);
                    }
                    continue;
                }
                "implicitRules" | "modifierExtension" => Code::Modifier,
                "status" => Code::StatusNotFinal,
                _ => Code::NotExpressible,
            };
            refused |= self.say(code, resource, spot, value);
        }
        if !refused {
            self.taken.written_devices.push(Device {
                entry: spot.entry.unwrap_or(0),
                place,
                pointer: expression(resource, spot, resource.node(), ""),
                at: resource.place(),
            });
        }
    }

    fn say(&mut self, code: Code, resource: View, spot: Spot, at: View) -> bool {
        let pointer = expression(resource, spot, at.node(), "");
        let fault = Fault::new(code, pointer, at.place());
        let refused = fault.is_error();
        self.taken.outcome.push(fault);
        refused
    }
}

impl Finish<'_> {
    /// The devices that were taken, by entry, now that their definitions are known.
    pub(super) fn device_changes(&mut self) -> Vec<(u32, DeviceChange)> {
        let mut out = Vec::new();
        for device in std::mem::take(&mut self.taken.written_devices) {
            let known = self.taken.refs.device_part(device.place);
            match known.filter(DevicePart::is_whole) {
                Some(known) => {
                    let text = |cell: Cell| self.taken.texts.get(cell.value()).to_owned();
                    let part = known.cells.map(text);
                    self.taken.outcome.about(device.entry);
                    for (field, source) in FIELDS.into_iter().zip(known.elsewhere) {
                        if !source.is_empty() {
                            let fault =
                                Fault::new(Code::FallbackUsed, device.pointer.clone(), device.at);
                            let fault = fault.expected(field).found(source);
                            self.taken.outcome.push(fault);
                        }
                    }
                    let condition = None;
                    out.push((device.entry, DeviceChange { part, condition }));
                }
                None => {
                    self.taken.outcome.about(device.entry);
                    self.taken.outcome.push(
                        Fault::new(Code::DeviceUnidentified, device.pointer, device.at)
                            .expected("manufacturer, modelNumber and serialNumber"),
                    );
                }
            }
        }
        out
    }
}
