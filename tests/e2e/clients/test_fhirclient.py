"""fhirclient, SMART's own client for Python (https://github.com/smart-on-fhir/client-py).

Its models are strict: a resource with a member that R4 does not have, or without one that
must be there, does not become an object.
"""

import unittest

import requests
from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.fhirelementfactory import FHIRElementFactory
from fhirclient.models.observation import Observation
from fhirclient.models.operationoutcome import OperationOutcome
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRNotFoundException

from example import BASE, PERSON, PERSONS, UNKNOWN, bundle, patient, raw, weight

client = FHIRClient(settings={"app_id": "test", "api_base": BASE})
server = client.server


def outcome(error):
    """The OperationOutcome in the response that the client's exception carries."""
    return OperationOutcome(error.response.json())


def search(model, **parameters):
    names = {name.replace("_", "-") if name[0] != "_" else name: value for name, value in parameters.items()}
    return model.where(struct=names)


def count(**parameters):
    return next(search(Observation, _summary="count", **parameters).perform_iter(server)).total


class Reading(unittest.TestCase):
    def test_it_gets_ready_by_the_capability_statement(self):
        client.prepare()
        self.assertTrue(client.ready)
        self.assertEqual(server.capabilityStatement.fhirVersion, "4.0.1")
        self.assertEqual(server.capabilityStatement.kind, "instance")

    def test_every_resource_is_one_of_its_strict_models(self):
        for resource in server.capabilityStatement.rest[0].resource:
            page = server.request_json(f"{resource.type}?_count=100")
            parsed = Bundle(page)
            self.assertTrue(parsed.entry, resource.type)
            for sent, entry in zip(page["entry"], parsed.entry):
                self.assertEqual(entry.resource.resource_type, resource.type)
                self.assertEqual(entry.resource.as_json(), sent["resource"])

    def test_search_and_paging(self):
        weights = search(
            Observation,
            code="http://loinc.org|29463-7",
            subject=f"Patient/{self.person().id}",
            date="ge2016-09-01",
        )
        found = list(weights.perform_resources_iter(server))
        self.assertEqual([w.valueQuantity.value for w in found], [65.5])
        walked = list(search(Observation, _count="2", _sort="-date").perform_resources_iter(server))
        total = count()
        self.assertEqual((len({o.id for o in walked}), len(walked)), (total, total))
        either = Observation.where({"code": {"$or": ["29463-7", "4548-4"]}})
        self.assertEqual(len(list(either.perform_resources_iter(server))), 5)
        chained = Observation.where({"subject": {"$type": "Patient", "identifier": PERSON}})
        self.assertEqual(len(list(chained.perform_resources_iter(server))), 5)

    def person(self):
        return next(search(Patient, identifier=f"{PERSONS}|{PERSON}").perform_resources_iter(server))

    def test_read(self):
        person = self.person()
        again = Patient.read(person.id, server)
        self.assertEqual(again.as_json(), person.as_json())
        self.assertEqual(again.birthDate.as_json(), "1961-04")
        found = next(search(Observation, code="29463-7", patient=person.id).perform_resources_iter(server))
        self.assertEqual(found.effectiveDateTime.as_json(), "2016-09-01T07:30:15+09:00")
        self.assertIn(b'"value":65.50,', server.request_data(found.relativePath()))

    def test_an_unknown_id_is_not_found(self):
        with self.assertRaises(FHIRNotFoundException) as told:
            Observation.read(UNKNOWN, server)
        self.assertEqual(outcome(told.exception).issue[0].code, "not-found")

    def test_an_error_carries_the_outcome(self):
        with self.assertRaises(requests.HTTPError) as told:
            count(date="yesterday")
        self.assertEqual(told.exception.response.status_code, 400)
        self.assertEqual(outcome(told.exception).issue[0].code, "invalid")
        # The comparators of its `$gt` are those of DSTU 1; R4 has prefixes.
        with self.assertRaises(requests.HTTPError) as told:
            list(Observation.where({"date": {"$gt": "2016"}}).perform_iter(server))
        self.assertEqual(told.exception.response.status_code, 400)


class Writing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        found = search(Observation, code="29463-7", **{"patient.identifier": PERSON})
        known = next(found.perform_resources_iter(server))
        cls.subject, cls.device = known.subject.reference, known.device.reference

    def weight(self, time, kilograms):
        return Observation(weight(self.subject, self.device, time, kilograms))

    def test_create_update_delete(self):
        made = Observation(self.weight("2016-11-01T07:00:00+09:00", 61.5).create(server))
        self.assertEqual(made.meta.versionId, "1")
        made.valueQuantity.value = 61.75
        changed = Observation(made.update(server))
        self.assertEqual((changed.id, changed.meta.versionId), (made.id, "2"))
        self.assertIn('"value":61.75,', raw(made.relativePath()))
        history = Bundle(server.request_json(f"{made.relativePath()}/_history"))
        self.assertEqual([e.request.method for e in history.entry], ["PUT", "POST"])
        self.assertIsNone(changed.delete(server))
        with self.assertRaises(requests.HTTPError) as told:
            Observation.read(made.id, server)
        self.assertEqual(told.exception.response.status_code, 410)
        self.assertEqual(outcome(told.exception).issue[0].code, "deleted")

    def test_create_a_patient(self):
        made = Patient(Patient(patient(11)).create(server))
        self.assertEqual(made.birthDate.as_json(), "1970-02")
        made.delete(server)

    def test_what_breaks_a_rule_is_told_with_its_place(self):
        wrong = self.weight("2016-11-04T07:00:00+09:00", 62)
        wrong.valueQuantity.code = "[stone_av]"
        with self.assertRaises(requests.HTTPError) as told:
            wrong.create(server)
        self.assertEqual(told.exception.response.status_code, 422)
        issue = outcome(told.exception).issue[0]
        self.assertEqual(issue.details.coding[0].code, "unit-unknown")

    def test_batch_and_transaction(self):
        first, second, wrong = (
            self.weight(f"2016-11-0{day}T07:00:00+09:00", value).as_json()
            for day, value in [(6, 60), (7, 60), (8, -1)]
        )
        made = Bundle(Bundle(bundle("transaction", ("POST", "Observation", first))).create(server))
        self.assertEqual(made.type, "transaction-response")
        self.assertEqual(made.entry[0].response.status[:3], "201")
        sent = bundle("batch", ("GET", self.subject, None), ("GET", f"Patient/{UNKNOWN}", None))
        answered = Bundle(Bundle(sent).create(server))
        self.assertEqual([e.response.status[:3] for e in answered.entry], ["200", "404"])
        self.assertEqual(answered.entry[1].response.outcome.issue[0].code, "not-found")
        failing = bundle("transaction", ("POST", "Observation", second), ("POST", "Observation", wrong))
        with self.assertRaises(requests.HTTPError) as told:
            Bundle(failing).create(server)
        self.assertEqual(outcome(told.exception).issue[0].severity, "error")
        self.assertEqual(count(date="2016-11-07"), 0)


class Operations(unittest.TestCase):
    def test_everything_of_a_patient_is_one_of_its_models(self):
        found = next(search(Patient, identifier=PERSON).perform_resources_iter(server))
        sent = server.request_json(f"{found.relativePath()}/$everything")
        everything = Bundle(sent)
        self.assertLessEqual({"Patient", "Observation"}, {e.resource.resource_type for e in everything.entry})


if __name__ == "__main__":
    unittest.main(verbosity=2)
