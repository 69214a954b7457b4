//! What Patients, Organizations, Devices and DeviceDefinitions tell, and what Encounters and
//! documents tell of who is behind an Observation.

use crate::exchange;
use crate::fault::{Code, Fault, Place};
use crate::fhir::id;
use crate::mapping::backward::PERFORMERS_MAX;
use crate::record::Cell;
use crate::tape::View;

use super::reference::{DevicePart, Target};
use super::{Inbound, Spot, Unfit, expression};

impl Inbound<'_> {
    /// Notes where references to a resource lead.
    pub(super) fn define(&mut self, kind: &str, resource: View, spot: Spot) -> Target {
        let target = self.target_of(kind, resource, resource, spot);
        let id = resource.text_of("id").unwrap_or_default();
        self.taken.refs.define(spot.full_url, kind, id, target);
        for identifier in identifiers(resource) {
            let system = identifier.text_of("system").unwrap_or_default();
            let value = identifier.text_of("value").unwrap_or_default();
            self.taken.refs.define_logical(kind, system, value, target);
        }
        target
    }

    /// Notes what a resource that is not ours tells of Observations.
    pub(super) fn inform(&mut self, kind: &str, resource: View, spot: Spot) {
        match kind {
            "Encounter" | "RelatedPerson" | "Practitioner" | "PractitionerRole" | "CareTeam" => {
                self.define(kind, resource, spot);
            }
            "Composition" => {
                let custodian = resource.get("custodian");
                let at =
                    custodian.and_then(|view| self.refer("Organization", resource, view, spot));
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
                    let at = self.refer("Organization", resource, view, spot);
                    self.taken.performers.extend(at);
                }
                let count = self.taken.performers.len() - first;
                if count == 0 {
                    return;
                }
                for view in all("result") {
                    if let Some(at) = self.refer("Observation", resource, view, spot) {
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
        spot: Spot,
    ) -> Target {
        match kind {
            "Patient" | "Organization" | "DeviceDefinition" => {
                for identifier in identifiers(resource) {
                    let system = identifier.text_of("system").unwrap_or_default();
                    let value = identifier.text_of("value").unwrap_or_default();
                    match self.target_of_identifier(kind, system, value) {
                        Ok((_, Target::Unknown)) => {}
                        Ok((_, target)) => return target,
                        Err(unfit) => {
                            let at = identifier.get("value").unwrap_or(identifier);
                            self.unfit(unfit, container, spot, at);
                            return Target::Unfit;
                        }
                    }
                }
                self.named(kind, resource)
            }
            "Encounter" => {
                let provider = resource.get("serviceProvider");
                let at = provider.and_then(|p| self.refer("Organization", container, p, spot));
                at.map_or(Target::Other, Target::Via)
            }
            "Device" => match self.device_part(resource, container, spot) {
                Some(part) => self.taken.refs.device(part),
                None => Target::Unfit,
            },
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

    /// Target that one of our identifiers names, with its type; unknown for any other
    /// identifier. The type may be empty where it is not told.
    ///
    /// # Errors
    /// The rule that its value breaks.
    pub(super) fn target_of_identifier<'s>(
        &mut self,
        kind: &'s str,
        system: &str,
        value: &str,
    ) -> Result<(&'s str, Target), Unfit> {
        let canonical = &self.kinds.canonical;
        let kind = match kind {
            "" if canonical.consortium_of(system, "person").is_some() => "Patient",
            "" if canonical.consortium_of(system, "test-lab").is_some() => "Organization",
            "" if system == canonical.sid("device") => "Device",
            told => told,
        };
        let is_id = |text: &str, max: usize| {
            exchange::id_fault(text, max, String::new(), Place::default()).is_none()
        };
        let target = match kind {
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
                        Err(codes) => return Err(broken(&codes, "1 to 12 characters")),
                    }
                }
                _ => Target::Unknown,
            },
            "Device" if system == canonical.sid("device") => match &id::split(value)[..] {
                [maker, model, serial] => {
                    let cells = [self.name(maker)?, self.name(model)?, self.name(serial)?];
                    self.taken.refs.device(DevicePart::known(cells))
                }
                _ => return Err((Code::Type, "maker:model:serial")),
            },
            "DeviceDefinition" if system == canonical.sid("device-model") => {
                match &id::split(value)[..] {
                    [maker, model] => {
                        let (maker, model) = (self.name(maker)?, self.name(model)?);
                        Target::Model(maker.value() as u32, model.value() as u32)
                    }
                    _ => return Err((Code::Type, "maker:model")),
                }
            }
            _ => Target::Unknown,
        };
        Ok((kind, target))
    }

    /// A maker, model or serial.
    fn name(&mut self, text: &str) -> Result<Cell, Unfit> {
        exchange::text_cell(text, NAME_MAX, &mut self.taken.texts)
            .map_err(|codes| broken(&codes, "1 to 50 characters"))
    }

    /// Maker, model and serial of a Device; `None` where one of them is there and breaks the
    /// rule of its field.
    fn device_part(&mut self, device: View, container: View, spot: Spot) -> Option<DevicePart> {
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
        let mut fits = true;
        for (i, (element, other)) in told.into_iter().enumerate() {
            let text = match device.text_of(element) {
                Some(text) => Some(text),
                None => other.map(|(text, source)| {
                    elsewhere[i] = source;
                    text
                }),
            };
            let Some(text) = text else { continue };
            match self.name(text) {
                Ok(cell) => cells[i] = cell,
                Err((code, expected)) => {
                    fits = false;
                    let element = match elsewhere[i] {
                        "" => element,
                        elsewhere => elsewhere.trim_start_matches("Device."),
                    };
                    let at = device.get(element).unwrap_or(device);
                    let pointer = expression(container, spot, at.node(), "");
                    let fault = Fault::new(code, pointer, at.place());
                    self.taken
                        .outcome
                        .push(fault.expected(expected).found(text));
                }
            }
        }
        if !fits {
            return None;
        }
        let definition = device
            .get("definition")
            .and_then(|d| self.refer("DeviceDefinition", container, d, spot));
        Some(DevicePart {
            cells,
            elsewhere,
            definition,
        })
    }
}

/// The rule of a text that is broken, first that of its characters.
fn broken(codes: &[Code], size: &'static str) -> Unfit {
    match codes.first() {
        Some(Code::Type) => (Code::Type, "a text without control characters"),
        _ => (Code::Digits, size),
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
