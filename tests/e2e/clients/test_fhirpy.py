"""fhirpy (https://github.com/beda-software/fhir-py) against the server."""

import json
import unittest

from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

from example import BASE, PERSON, PERSONS, UNKNOWN, bundle, patient, raw, weight

client = SyncFHIRClient(BASE)


def issues(error):
    """The issues that fhirpy's exception carries: as a resource, or as its text."""
    outcome = getattr(error, "resource", None) or json.loads(str(error))
    assert outcome["resourceType"] == "OperationOutcome", outcome
    return outcome["issue"]


def new(body, sender=client):
    return sender.resource(body["resourceType"], **body)


def with_headers(**headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return SyncFHIRClient(BASE, extra_headers=names)


class Reading(unittest.TestCase):
    def test_the_capability_statement(self):
        statement = client.execute("metadata", method="get")
        self.assertEqual(statement.resourceType, "CapabilityStatement")
        self.assertEqual(statement.fhirVersion, "4.0.1")

    def test_search_with_modifiers_prefixes_and_lists(self):
        found = client.resources("Observation").search(
            code="http://loinc.org|29463-7",
            patient__identifier=f"{PERSONS}|{PERSON}",
            date__ge="2016-09-01",
            date__lt="2016-10",
        )
        weights = found.fetch()
        self.assertEqual([w.valueQuantity.value for w in weights], [65.5])
        both = client.resources("Observation").search(code="29463-7,4548-4")
        self.assertEqual(len(both.fetch()), 5)
        self.assertEqual(both.count(), 5)

    def test_paging_gives_each_match_once(self):
        everything = client.resources("Observation").sort("-date").limit(2)
        ids = [o.id for o in everything.fetch_all()]
        self.assertEqual(len(ids), everything.count())
        self.assertEqual(len(set(ids)), len(ids))

    def test_first_and_get(self):
        people = client.resources("Patient").search(identifier=f"{PERSONS}|{PERSON}")
        self.assertEqual(people.first().id, people.get().id)
        with self.assertRaises(ResourceNotFound):
            client.resources("Patient").search(identifier="nobody").get()
        with self.assertRaises(MultipleResourcesFound):
            client.resources("Patient").get()

    def test_read_by_reference(self):
        found = client.resources("Observation").search(code="29463-7", patient__identifier=PERSON).first()
        again = client.reference("Observation", found.id).to_resource()
        self.assertEqual(again.serialize(), found.serialize())
        self.assertEqual(found.subject.to_resource().gender, "male")
        self.assertEqual(client.get("Observation", found.id)["id"], found.id)
        self.assertIn('"value":65.50,', raw(f"Observation/{found.id}"))

    def test_refresh(self):
        found = client.resources("Patient").search(identifier=PERSON).first()
        before = found.serialize()
        self.assertEqual(found.refresh().serialize(), before)

    def test_an_unknown_id_is_not_found(self):
        with self.assertRaises(ResourceNotFound) as told:
            client.get("Observation", UNKNOWN)
        self.assertEqual(issues(told.exception)[0]["code"], "not-found")

    def test_an_error_carries_the_outcome(self):
        with self.assertRaises(OperationOutcome) as told:
            client.resources("Observation").search(date="yesterday").fetch()
        issue = issues(told.exception)[0]
        self.assertEqual((issue["severity"], issue["code"]), ("error", "invalid"))
        self.assertIn("yyyy-MM-dd", issue["diagnostics"])
        with self.assertRaises(OperationOutcome) as told:
            with_headers(Prefer="handling=strict").resources("Observation").search(no_such="1").fetch()
        self.assertIn("no-such", issues(told.exception)[0]["diagnostics"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
