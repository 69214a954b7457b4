//! What Patients, Organizations, Devices and DeviceDefinitions tell, and what Encounters and
//! documents tell of who is behind an Observation.

use crate::exchange;
use crate::fault::Place;
use crate::fhir::id;
use crate::mapping::backward::PERFORMERS_MAX;
use crate::record::Cell;
use crate::tape::View;

use super::reference::{self, DevicePart, Target};
use super::{Inbound, Spot};

impl Inbound<'_> {
    /// Notes where references to a resource lead.
    pub(super) fn define(&mut self, kind: &str, resource: View, spot: Spot) {
        let base = reference::base(spot.full_url);
        let target = self.target_of(kind, resource, resource, base);
        let id = resource.text_of("id").unwrap_or_default();
        self.taken.refs.define(spot.full_url, kind, id, target);
        for identifier in identifiers(resource) {
            let system = identifier.text_of("system").unwrap_or_default();
            let value = identifier.text_of("value").unwrap_or_default();
            self.taken.refs.define_logical(kind, system, value, target);
        }
    }

    /// Notes what a resource that is not ours tells of Observations.
    pub(super) fn inform(&mut self, kind: &str, resource: View, spot: Spot) {
        let base = reference::base(spot.full_url);
        match kind {
            "Encounter" => self.define(kind, resource, spot),
            "Composition" => {
                let custodian = resource.get("custodian");
                let at =
                    custodian.and_then(|view| self.refer("Organization", resource, view, base));
                // More than one are as good as many: none of them speaks for all.
                if self.taken.custodians.len() < 2 {
                    let new = at.filter(|at| !self.taken.custodians.contains(at));
                    self.taken.custodians.extend(new);
                }
            }
            "DiagnosticReport" => {
                let all = |name: &str| resource.get(name).into_iter().flat_map(View::items);
                let first = self.taken.performers.len();
                for view in all("performer").take(PERFORMERS_MAX) {
                    let at = self.refer("Organization", resource, view, base);
                    self.taken.performers.extend(at);
                }
                let count = self.taken.performers.len() - first;
                if count == 0 {
                    return;
                }
                for view in all("result") {
                    if let Some(at) = self.refer("Observation", resource, view, base) {
                        let performers = (first as u32, count as u16);
                        self.taken.reports.push((at, performers));
                    }
                }
            }
            _ => {}
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
                self.named(kind, resource)
            }
            "Encounter" => {
                let provider = resource.get("serviceProvider");
                let at = provider.and_then(|p| self.refer("Organization", container, p, base));
                at.map_or(Target::Other, Target::Via)
            }
            "Device" => {
                let part = self.device_part(resource, container, base);
                self.taken.refs.device(part)
            }
            _ => Target::Other,
        }
    }

    /// A resource by what others call it.
    fn named(&mut self, kind: &str, resource: View) -> Target {
        let mut names = Vec::new();
        for identifier in identifiers(resource).take(IDENTIFIERS_MAX) {
            let (system, value) = (identifier.text_of("system"), identifier.text_of("value"));
            if let (Some(system), Some(value)) = (system, value) {
                names.push(self.taken.refs.logical(kind, system, value));
            }
        }
        match names.is_empty() {
            true => Target::Other,
            false => self.taken.refs.named(names),
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
                    self.taken.refs.device(DevicePart::known(cells))
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
        let ours = self.kinds.canonical.sid("device");
        let own = identifiers(device).find(|i| i.text_of("system") == Some(ours.as_str()));
        let own = own
            .and_then(|i| id::split(i.text_of("value")?).into_iter().nth(2))
            .filter(|serial| !serial.is_empty());
        let own = own.as_deref().map(|serial| (serial, "Device.identifier"));
        let told = [
            ("manufacturer", None),
            (
                "modelNumber",
                model_name(device).map(|name| (name, "Device.deviceName")),
            ),
            ("serialNumber", own.or_else(|| serial_elsewhere(device))),
        ];
        let mut elsewhere = [""; 3];
        let mut cells = [Cell::ABSENT; 3];
        for (i, (element, other)) in told.into_iter().enumerate() {
            let text = match device.text_of(element) {
                Some(text) => Some(text),
                None => other.map(|(text, source)| {
                    elsewhere[i] = source;
                    text
                }),
            };
            cells[i] = text.map_or(Cell::ABSENT, |text| self.name(text));
        }
        let definition = device
            .get("definition")
            .and_then(|d| self.refer("DeviceDefinition", container, d, base));
        DevicePart {
            cells,
            elsewhere,
            definition,
        }
    }
}

/// Sizes of maker, model and serial (protocol specification §3).
const NAME_MAX: u16 = 50;
/// The most identifiers of one Patient or Organization that are looked up.
const IDENTIFIERS_MAX: usize = 64;

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

/// The serial where `serialNumber` is absent, and where it stands: the identifier of a
/// personal health device, its Bluetooth address, any identifier, the distinct identifier,
/// the UDI.
fn serial_elsewhere<'t>(device: View<'t>) -> Option<(&'t str, &'static str)> {
    let is = |identifier: &View, code: &str| {
        let codings = identifier.get("type").and_then(|t| t.get("coding"));
        let mut codings = codings.into_iter().flat_map(View::items);
        codings.any(|c| c.text_of("code") == Some(code))
    };
    let by_code = |code: &str| identifiers(device).find(|i| is(i, code));
    let identifier = by_code("SYSID")
        .or_else(|| by_code("BTMAC"))
        .or_else(|| identifiers(device).next());
    let distinct = || device.text_of("distinctIdentifier");
    let carrier = || {
        let carrier = device.get("udiCarrier")?.items().next()?;
        carrier.text_of("deviceIdentifier")
    };
    let at = |source| move |text| (text, source);
    identifier
        .and_then(|i| i.text_of("value"))
        .map(at("Device.identifier"))
        .or_else(|| distinct().map(at("Device.distinctIdentifier")))
        .or_else(|| carrier().map(at("Device.udiCarrier")))
}
