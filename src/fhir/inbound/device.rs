//! A Device that is written: a record's device part that is known before its records come.

use crate::fault::{Code, Fault};
use crate::record::Cell;
use crate::store::{DeviceChange, Told};
use crate::tape::View;
use serde_json::Value;

use super::finish::Finish;
use super::reference::{DevicePart, Target};
use super::resource::model_name;
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
    pub told: Told,
}

/// Names, and identifiers, that are kept of one Device at most.
const TOLD_MAX: usize = 100;

impl Inbound<'_> {
    /// Takes a Device.
    pub(super) fn device(&mut self, resource: View, spot: Spot, target: Target) {
        let Target::Device(place) = target else {
            return;
        };
        self.need(resource, spot, resource.node());
        let mut refused = false;
        let mut told = Told::default();
        for (name, value) in resource.members() {
            let code = match name {
                "resourceType" | "id" | "meta" | "manufacturer" | "modelNumber"
                | "serialNumber" | "definition" => continue,
                "status" if value.text() == "active" => continue,
                "deviceName" => {
                    // The one that stands for the model is kept as that.
                    let model = match resource.get("modelNumber") {
                        None => model_name(resource),
                        Some(_) => None,
                    };
                    let others = value.items().filter(|n| n.text_of("name") != model);
                    let others: Vec<View> = others.collect();
                    told.names = self.told(resource, spot, others);
                    continue;
                }
                "identifier" => {
                    let own = self.kinds.canonical.sid("device");
                    let others = value.items().filter(|identifier| {
                        let system = identifier.text_of("system");
                        system != Some(own.as_str()) && identifier.get("value").is_some()
                    });
                    let others: Vec<View> = others.collect();
                    told.identifiers = self.told(resource, spot, others);
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
                told,
            });
        }
    }

    /// Elements that are kept as they are.
    fn told(&mut self, resource: View, spot: Spot, elements: Vec<View>) -> Vec<Value> {
        let mut out = Vec::new();
        for element in elements {
            let mut bytes = Vec::new();
            element.write(&mut bytes);
            match serde_json::from_slice(&bytes) {
                Ok(value) if out.len() < TOLD_MAX => {
                    out.push(value);
                }
                _ => {
                    self.say(Code::NotExpressible, resource, spot, element);
                }
            }
        }
        out
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
                    let change = DeviceChange {
                        part,
                        told: device.told,
                        replaces: false,
                        condition: Default::default(),
                    };
                    out.push((device.entry, change));
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
