//! What R4 says of the elements of the resources served here: which are mandatory, which
//! modify the meaning of the resource, which belong to its summary.
//!
//! Taken from the StructureDefinitions of R4 (`profiles-resources`,
//! <https://hl7.org/fhir/R4/definitions.json.zip>), whose cardinality and flags the page of
//! each resource shows in the same signs (<https://hl7.org/fhir/R4/observation.html>).
//! Elements without a sign are not listed, and neither are those that all resources have
//! (`id`, `meta`, `implicitRules`, `modifierExtension`).

/// An element of a resource that a sign stands beside.
#[derive(Debug)]
pub struct Element {
    /// Its path within the resource: `component.value[x]`.
    pub path: &'static str,
    /// `1` mandatory, `?!` modifier, `Σ` part of the summary.
    signs: &'static str,
}

impl Element {
    /// Whether it must stand where the element around it stands.
    pub fn is_mandatory(&self) -> bool {
        self.signs.starts_with('1')
    }

    /// Whether it may change what the resource means.
    pub fn is_modifier(&self) -> bool {
        self.signs.contains("?!")
    }

    /// Whether it is part of the summary.
    pub fn is_summary(&self) -> bool {
        self.signs.contains('Σ')
    }
}

/// Whether an element may be written as the member `name`: `valueQuantity` is `value[x]`,
/// `_birthDate` stands beside `birthDate`.
pub fn is_member(element: &str, name: &str) -> bool {
    let name = name.strip_prefix('_').unwrap_or(name);
    match element.strip_suffix("[x]") {
        None => element == name,
        Some(stem) => name
            .strip_prefix(stem)
            .is_some_and(|ty| ty.starts_with(|c: char| c.is_ascii_uppercase())),
    }
}

/// The data types that R4 lets a `value[x]` have, and the like, among what is read here.
const TYPES: [&str; 20] = [
    "Boolean",
    "Code",
    "CodeableConcept",
    "Coding",
    "Date",
    "DateTime",
    "Decimal",
    "Identifier",
    "Instant",
    "Integer",
    "Period",
    "Quantity",
    "Range",
    "Ratio",
    "Reference",
    "SampledData",
    "String",
    "Time",
    "Timing",
    "Uri",
];

/// The choices of the resources served here, by their stems. A table of its own because
/// names that begin alike are no choice: `deviceName` and `device`.
pub const CHOICES: &[&str] = &[
    "value",
    "effective",
    "deceased",
    "multipleBirth",
    "occurred",
    "manufacturer",
];

/// The name in FHIRPath of the element that a member of a JSON object is: `valueQuantity` is
/// `value` (<https://hl7.org/fhir/R4/fhirpath.html#polymorphism>).
pub(super) fn name_of(member: &str) -> &str {
    let typed = |ty: &&str| member.strip_suffix(*ty);
    let stem = TYPES.iter().filter_map(typed).min_by_key(|stem| stem.len());
    stem.filter(|stem| CHOICES.contains(stem)).unwrap_or(member)
}

/// The FHIRPath of the place that names of members lead to:
/// `.component[0].valueQuantity.code` becomes `.component[0].value.code`.
pub fn fhir_path(members: &str) -> String {
    let steps = members.split('.').map(|step| {
        let (name, index) = step.split_at(step.find('[').unwrap_or(step.len()));
        name_of(name).to_owned() + index
    });
    steps.collect::<Vec<_>>().join(".")
}

/// The elements of a resource type; `None` for a type that is not served here.
pub fn of(resource_type: &str) -> Option<&'static [Element]> {
    let found = ELEMENTS.iter().find(|(name, _)| *name == resource_type)?;
    Some(found.1)
}

const fn e(path: &'static str, signs: &'static str) -> Element {
    Element { path, signs }
}

static ELEMENTS: &[(&str, &[Element])] = &[
    (
        "Device",
        &[
            e("udiCarrier", "Σ"),
            e("udiCarrier.deviceIdentifier", "Σ"),
            e("udiCarrier.carrierAIDC", "Σ"),
            e("udiCarrier.carrierHRF", "Σ"),
            e("status", "?!Σ"),
            e("deviceName.name", "1"),
            e("deviceName.type", "1"),
            e("specialization.systemType", "1"),
            e("version.value", "1"),
            e("property.type", "1"),
            e("safety", "Σ"),
        ],
    ),
    (
        "DeviceDefinition",
        &[
            e("udiDeviceIdentifier.deviceIdentifier", "1"),
            e("udiDeviceIdentifier.issuer", "1"),
            e("udiDeviceIdentifier.jurisdiction", "1"),
            e("deviceName.name", "1"),
            e("deviceName.type", "1"),
            e("specialization.systemType", "1"),
            e("safety", "Σ"),
            e("capability.type", "1"),
            e("property.type", "1"),
            e("parentDevice", "Σ"),
            e("material.substance", "1"),
        ],
    ),
    (
        "Group",
        &[
            e("identifier", "Σ"),
            e("active", "Σ"),
            e("type", "1Σ"),
            e("actual", "1Σ"),
            e("code", "Σ"),
            e("name", "Σ"),
            e("quantity", "Σ"),
            e("managingEntity", "Σ"),
            e("characteristic.code", "1"),
            e("characteristic.value[x]", "1"),
            e("characteristic.exclude", "1"),
            e("member.entity", "1"),
        ],
    ),
    (
        "Observation",
        &[
            e("identifier", "Σ"),
            e("basedOn", "Σ"),
            e("partOf", "Σ"),
            e("status", "1?!Σ"),
            e("code", "1Σ"),
            e("subject", "Σ"),
            e("focus", "Σ"),
            e("encounter", "Σ"),
            e("effective[x]", "Σ"),
            e("issued", "Σ"),
            e("performer", "Σ"),
            e("value[x]", "Σ"),
            e("hasMember", "Σ"),
            e("derivedFrom", "Σ"),
            e("component", "Σ"),
            e("component.code", "1Σ"),
            e("component.value[x]", "Σ"),
        ],
    ),
    (
        "Organization",
        &[
            e("identifier", "Σ"),
            e("active", "?!Σ"),
            e("type", "Σ"),
            e("name", "Σ"),
            e("partOf", "Σ"),
        ],
    ),
    (
        "Patient",
        &[
            e("identifier", "Σ"),
            e("active", "?!Σ"),
            e("name", "Σ"),
            e("telecom", "Σ"),
            e("gender", "Σ"),
            e("birthDate", "Σ"),
            e("deceased[x]", "?!Σ"),
            e("address", "Σ"),
            e("communication.language", "1"),
            e("managingOrganization", "Σ"),
            e("link", "?!Σ"),
            e("link.other", "1Σ"),
            e("link.type", "1Σ"),
        ],
    ),
    (
        "Provenance",
        &[
            e("target", "1Σ"),
            e("recorded", "1Σ"),
            e("agent", "1"),
            e("agent.type", "Σ"),
            e("agent.who", "1Σ"),
            e("entity.role", "1Σ"),
            e("entity.what", "1Σ"),
        ],
    ),
    (
        "ResearchStudy",
        &[
            e("identifier", "Σ"),
            e("title", "Σ"),
            e("protocol", "Σ"),
            e("partOf", "Σ"),
            e("status", "1?!Σ"),
            e("primaryPurposeType", "Σ"),
            e("phase", "Σ"),
            e("category", "Σ"),
            e("focus", "Σ"),
            e("condition", "Σ"),
            e("contact", "Σ"),
            e("keyword", "Σ"),
            e("location", "Σ"),
            e("enrollment", "Σ"),
            e("period", "Σ"),
            e("sponsor", "Σ"),
            e("principalInvestigator", "Σ"),
            e("site", "Σ"),
            e("reasonStopped", "Σ"),
            e("arm.name", "1"),
        ],
    ),
    (
        "ResearchSubject",
        &[
            e("identifier", "Σ"),
            e("status", "1?!Σ"),
            e("period", "Σ"),
            e("study", "1Σ"),
            e("individual", "1Σ"),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::resource::RESOURCES;

    #[test]
    fn every_resource_served_has_its_elements() {
        for resource in RESOURCES {
            assert!(of(resource.name()).is_some(), "{}", resource.name());
        }
    }

    #[test]
    fn paths_name_elements_and_not_members() {
        for (members, path) in [
            ("", ""),
            (".status", ".status"),
            (".valueQuantity.code", ".value.code"),
            (".component[1].valueDateTime", ".component[1].value"),
            (".effectivePeriod.start", ".effective.start"),
            (".valueColour", ".valueColour"),
            (".birthDate", ".birthDate"),
        ] {
            assert_eq!(fhir_path(members), path);
        }
    }

    #[test]
    fn a_choice_is_written_with_its_type() {
        assert!(is_member("value[x]", "valueQuantity"));
        assert!(is_member("value[x]", "_valueDateTime"));
        assert!(is_member("birthDate", "_birthDate"));
        assert!(!is_member("value[x]", "value"));
        assert!(!is_member("value[x]", "valueset"));
    }
}
