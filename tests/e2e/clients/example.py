"""What both Python suites share: the server under test, and resources to send to it."""

import os
import urllib.request

BASE = os.environ["FHIR_BASE"]
PERSON = "P0000000000000000001"
SID = "https://kenko-fhir.example/fhir/sid"
PERSONS = f"{SID}/consortium/A00001/person"
UNKNOWN = "A" * 43


def raw(path):
    """The body as it is on the wire: a client's own numbers have lost their digits."""
    with urllib.request.urlopen(f"{BASE}/{path}") as answer:
        return answer.read().decode()


def patient(number):
    """A participant whom no registry names yet."""
    return {
        "resourceType": "Patient",
        "identifier": [{"system": PERSONS, "value": f"P{number:019}"}],
        "gender": "female",
        "birthDate": "1970-02",
    }


def weight(subject, device, time, kilograms):
    """A weight as any FHIR client would write it: nothing in it is of this project."""
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "vital-signs",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": subject},
        "device": {"reference": device},
        "effectiveDateTime": time,
        "valueQuantity": {
            "value": kilograms,
            "unit": "kg",
            "system": "http://unitsofmeasure.org",
            "code": "kg",
        },
    }


def bundle(kind, *entries):
    """A batch or transaction of (method, url, resource)."""
    return {
        "resourceType": "Bundle",
        "type": kind,
        "entry": [
            {"request": {"method": method, "url": url}, **({"resource": body} if body else {})}
            for method, url, body in entries
        ],
    }
