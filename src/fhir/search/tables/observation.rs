//! Observation (<https://hl7.org/fhir/R4/observation.html#search>).

use super::*;
use crate::fhir::registry;
use crate::fhir::resource::PARTICIPANT;
use crate::fhir::search::element::{self, Where};
use crate::fhir::search::observation::{
    bare, code_value_concept, code_value_quantity, codes, concepts, date, identifier, profile,
    refers, status, value_concept, value_quantity,
};
use crate::mapping::Piece;
use crate::registry::LABORATORIES;

use ParameterType::{Composite, Date, Quantity, Reference, Token, Uri};

/// Observation. Parameters whose element no record has are here too: their answers are
/// known.
pub static OBSERVATION: Searchable = Searchable {
    resource_type: "Observation",
    parameters: &[
        Parameter::new("_id", Token, "Resource.id", "Resource-id", rows::id)
            .plain()
            .sorted(SortBy::Id),
        Parameter::new(
            "_lastUpdated",
            Date,
            "Resource.meta.lastUpdated",
            "Resource-lastUpdated",
            rows::last_updated,
        )
        .sorted(SortBy::Written),
        Parameter::new(
            "_profile",
            Uri,
            "Resource.meta.profile",
            "Resource-profile",
            profile,
        ),
        Parameter::new(
            "_security",
            Token,
            "Resource.meta.security",
            "Resource-security",
            absent,
        ),
        Parameter::new("_tag", Token, "Resource.meta.tag", "Resource-tag", absent),
        Parameter::new(
            "based-on",
            Reference,
            "Observation.basedOn",
            "Observation-based-on",
            |scope, _, filter| bare(scope, filter, "basedOn"),
        )
        .leading(
            &[
                "CarePlan",
                "DeviceRequest",
                "ImmunizationRecommendation",
                "MedicationRequest",
                "NutritionOrder",
                "ServiceRequest",
            ],
            &[],
        ),
        Parameter::new(
            "category",
            Token,
            "Observation.category",
            "Observation-category",
            |scope, _, filter| concepts(scope, filter, |kind| element::concepts(kind, "category")),
        ),
        Parameter::new(
            "code",
            Token,
            "Observation.code",
            "clinical-code",
            |scope, _, filter| codes(scope, filter, Where::Own),
        )
        .sorted(SortBy::Code),
        Parameter::new(
            "code-value-concept",
            Composite,
            "Observation.code $ Observation.value as CodeableConcept",
            "Observation-code-value-concept",
            |scope, _, filter| code_value_concept(scope, filter, Where::Own),
        ),
        Parameter::new(
            "code-value-quantity",
            Composite,
            "Observation.code $ Observation.value as Quantity",
            "Observation-code-value-quantity",
            |scope, _, filter| code_value_quantity(scope, filter, Where::Own),
        ),
        Parameter::new(
            "combo-code",
            Token,
            "Observation.code | Observation.component.code",
            "Observation-combo-code",
            |scope, _, filter| codes(scope, filter, Where::Both),
        ),
        Parameter::new(
            "combo-code-value-concept",
            Composite,
            "Observation.code $ Observation.value as CodeableConcept | Observation.component.code $ Observation.component.value as CodeableConcept",
            "Observation-combo-code-value-concept",
            |scope, _, filter| code_value_concept(scope, filter, Where::Both),
        ),
        Parameter::new(
            "combo-code-value-quantity",
            Composite,
            "Observation.code $ Observation.value as Quantity | Observation.component.code $ Observation.component.value as Quantity",
            "Observation-combo-code-value-quantity",
            |scope, _, filter| code_value_quantity(scope, filter, Where::Both),
        ),
        Parameter::new(
            "combo-data-absent-reason",
            Token,
            "Observation.dataAbsentReason | Observation.component.dataAbsentReason",
            "Observation-combo-data-absent-reason",
            absent,
        ),
        Parameter::new(
            "combo-value-concept",
            Token,
            "Observation.value as CodeableConcept | Observation.component.value as CodeableConcept",
            "Observation-combo-value-concept",
            |scope, _, filter| value_concept(scope, filter, Where::Both),
        ),
        Parameter::new(
            "combo-value-quantity",
            Quantity,
            "Observation.value as Quantity | Observation.component.value as Quantity",
            "Observation-combo-value-quantity",
            |scope, _, filter| value_quantity(scope, filter, Where::Both),
        ),
        Parameter::new(
            "component-code",
            Token,
            "Observation.component.code",
            "Observation-component-code",
            |scope, _, filter| codes(scope, filter, Where::Components),
        ),
        Parameter::new(
            "component-code-value-concept",
            Composite,
            "Observation.component.code $ Observation.component.value as CodeableConcept",
            "Observation-component-code-value-concept",
            |scope, _, filter| code_value_concept(scope, filter, Where::Components),
        ),
        Parameter::new(
            "component-code-value-quantity",
            Composite,
            "Observation.component.code $ Observation.component.value as Quantity",
            "Observation-component-code-value-quantity",
            |scope, _, filter| code_value_quantity(scope, filter, Where::Components),
        ),
        Parameter::new(
            "component-data-absent-reason",
            Token,
            "Observation.component.dataAbsentReason",
            "Observation-component-data-absent-reason",
            absent,
        ),
        Parameter::new(
            "component-value-concept",
            Token,
            "Observation.component.value as CodeableConcept",
            "Observation-component-value-concept",
            |scope, _, filter| value_concept(scope, filter, Where::Components),
        ),
        Parameter::new(
            "component-value-quantity",
            Quantity,
            "Observation.component.value as Quantity",
            "Observation-component-value-quantity",
            |scope, _, filter| value_quantity(scope, filter, Where::Components),
        ),
        Parameter::new(
            "data-absent-reason",
            Token,
            "Observation.dataAbsentReason",
            "Observation-data-absent-reason",
            absent,
        ),
        Parameter::new("date", Date, "Observation.effective", "clinical-date", date)
            .sorted(SortBy::Time),
        Parameter::new(
            "derived-from",
            Reference,
            "Observation.derivedFrom",
            "Observation-derived-from",
            |scope, _, filter| bare(scope, filter, "derivedFrom"),
        )
        .leading(
            &[
                "DocumentReference",
                "ImagingStudy",
                "Media",
                "MolecularSequence",
                "Observation",
                "QuestionnaireResponse",
            ],
            &[],
        ),
        Parameter::new(
            "device",
            Reference,
            "Observation.device",
            "Observation-device",
            reference::reference,
        )
        .leading(&["Device", "DeviceMetric"], &[TO_DEVICE]),
        Parameter::new(
            "encounter",
            Reference,
            "Observation.encounter",
            "clinical-encounter",
            |scope, _, filter| bare(scope, filter, "encounter"),
        )
        .leading(&["Encounter", "EpisodeOfCare"], &[]),
        Parameter::new(
            "focus",
            Reference,
            "Observation.focus",
            "Observation-focus",
            |scope, _, filter| bare(scope, filter, "focus"),
        ),
        Parameter::new(
            "has-member",
            Reference,
            "Observation.hasMember",
            "Observation-has-member",
            |scope, _, filter| bare(scope, filter, "hasMember"),
        )
        .leading(
            &["MolecularSequence", "Observation", "QuestionnaireResponse"],
            &[],
        ),
        Parameter::new(
            "identifier",
            Token,
            "Observation.identifier",
            "clinical-identifier",
            identifier,
        )
        .plain(),
        Parameter::new(
            "method",
            Token,
            "Observation.method",
            "Observation-method",
            |scope, _, filter| concepts(scope, filter, |kind| element::concepts(kind, "method")),
        ),
        Parameter::new(
            "part-of",
            Reference,
            "Observation.partOf",
            "Observation-part-of",
            |scope, _, filter| bare(scope, filter, "partOf"),
        )
        .leading(
            &[
                "ImagingStudy",
                "Immunization",
                "MedicationAdministration",
                "MedicationDispense",
                "MedicationStatement",
                "Procedure",
            ],
            &[],
        ),
        Parameter::new(
            "patient",
            Reference,
            "Observation.subject.where(resolve() is Patient)",
            "clinical-patient",
            reference::reference,
        )
        .leading(&["Patient"], &[TO_PATIENT])
        .sorted(SortBy::Participant),
        Parameter::new(
            "performer",
            Reference,
            "Observation.performer",
            "Observation-performer",
            reference::reference,
        )
        .leading(
            &[
                "CareTeam",
                "Organization",
                "Patient",
                "Practitioner",
                "PractitionerRole",
                "RelatedPerson",
            ],
            &[PERFORMED_BY_PATIENT, PERFORMED_BY_LABORATORY],
        ),
        Parameter::new(
            "specimen",
            Reference,
            "Observation.specimen",
            "Observation-specimen",
            |scope, _, filter| bare(scope, filter, "specimen"),
        )
        .leading(&["Specimen"], &[]),
        Parameter::new(
            "status",
            Token,
            "Observation.status",
            "Observation-status",
            status,
        )
        .sorted(SortBy::Status),
        Parameter::new(
            "subject",
            Reference,
            "Observation.subject",
            "Observation-subject",
            reference::reference,
        )
        .leading(&["Device", "Group", "Location", "Patient"], &[TO_PATIENT])
        .sorted(SortBy::Participant),
        Parameter::new(
            "value-concept",
            Token,
            "Observation.value as CodeableConcept",
            "Observation-value-concept",
            |scope, _, filter| value_concept(scope, filter, Where::Own),
        ),
        Parameter::new(
            "value-quantity",
            Quantity,
            "Observation.value as Quantity",
            "Observation-value-quantity",
            |scope, _, filter| value_quantity(scope, filter, Where::Own),
        )
        .sorted(SortBy::Value),
    ],
};

const TO_PATIENT: Link = Link {
    resource: &PATIENT,
    source: Source::Row(PARTICIPANT),
    relation: Relation::RecordParticipant,
    only: always,
};

const TO_DEVICE: Link = Link {
    resource: &DEVICE,
    source: Source::Device,
    relation: Relation::RecordDevice,
    only: |scope| refers(scope, "device", Piece::Device),
};

const PERFORMED_BY_PATIENT: Link = Link {
    only: |scope| refers(scope, "performer", Piece::Subject),
    ..TO_PATIENT
};

const PERFORMED_BY_LABORATORY: Link = Link {
    resource: &ORGANIZATION,
    source: Source::Row(RowSource {
        list: &LABORATORIES,
        make: registry::organization_laboratory,
    }),
    relation: Relation::RecordLaboratory,
    only: |scope| refers(scope, "performer", Piece::Laboratory),
};
