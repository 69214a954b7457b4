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
        self.assertEqual(client.resources("Observation").search(code__not="29463-7").count(), 8)

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

    def test_includes_elements_and_chains_backwards(self):
        page = client.resources("Observation").search(code="29463-7").include("Observation", "patient")
        modes = [(e.search.mode, e.resource.resource_type) for e in page.fetch_raw().entry]
        self.assertEqual(modes.count(("match", "Observation")), 3)
        self.assertEqual(modes.count(("include", "Patient")), 2)
        short = client.resources("Observation").elements("code", "status").first()
        self.assertNotIn("valueQuantity", short)
        self.assertIn("SUBSETTED", [t.code for t in short.meta.tag])
        weighed = client.resources("Patient").has("Observation", "patient", code="29463-7")
        self.assertEqual(len(weighed.fetch()), 2)

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


class Writing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        person = client.resources("Patient").search(identifier=f"{PERSONS}|{PERSON}").get()
        known = client.resources("Observation").search(code="29463-7", patient=person.id).first()
        cls.subject, cls.device = person.reference, known.device.reference

    def weight(self, time, kilograms):
        return weight(self.subject, self.device, time, kilograms)

    def test_create_update_delete(self):
        made = new(self.weight("2016-11-01T07:00:00+09:00", 61.5))
        made.save()
        self.assertEqual(made.meta.versionId, "1")
        self.assertEqual(client.resources("Observation").search(_id=made.id).count(), 1)
        made["valueQuantity"]["value"] = 61.75
        made.save()
        self.assertEqual(made.meta.versionId, "2")
        self.assertIn('"value":61.75,', raw(f"Observation/{made.id}"))
        self.assertEqual(len(made.execute("_history", method="get").entry), 2)
        self.assertEqual(made.execute("_history/1", method="get").valueQuantity.value, 61.5)
        made.delete()
        with self.assertRaises(ResourceNotFound) as told:
            client.get("Observation", made.id)
        self.assertEqual(issues(told.exception)[0]["code"], "deleted")
        self.assertEqual(client.resources("Observation").search(_id=made.id).count(), 0)

    def test_create_a_patient(self):
        made = new(patient(11))
        made.save()
        self.assertEqual(client.get("Patient", made.id)["birthDate"], "1970-02")
        made.delete()

    def test_a_conditional_create_finds_what_is_there(self):
        condition = with_headers(If_None_Exist=f"identifier={PERSONS}|P{12:019}")
        first = new(patient(12), condition).save()
        again = new(patient(12), condition).save()
        self.assertEqual((first.id, first.meta.versionId), (again.id, again.meta.versionId))
        several = with_headers(If_None_Exist="gender=male,female")
        with self.assertRaises(MultipleResourcesFound) as told:
            new(patient(13), several).save()
        self.assertEqual(issues(told.exception)[0]["code"], "multiple-matches")

    def test_conditional_update_and_delete(self):
        body = self.weight("2016-11-02T07:00:00+09:00", 62)
        made = new(body).save()
        by_identifier = client.resources("Observation").search(identifier=made.identifier[0].value)
        body["valueQuantity"]["value"] = 62.5
        body["identifier"] = [dict(made.identifier[0])]
        changed, created = by_identifier.update(new(body))
        self.assertEqual((changed.id, changed.meta.versionId, created), (made.id, "2", False))
        by_identifier.delete()
        self.assertEqual(by_identifier.count(), 0)

    def test_a_stale_version_is_refused(self):
        made = new(self.weight("2016-11-03T07:00:00+09:00", 63)).save()
        stale = with_headers(If_Match='W/"9"')
        with self.assertRaises(MultipleResourcesFound) as told:  # fhirpy's name for every 412
            new(made.serialize(), stale).save()
        self.assertEqual(issues(told.exception)[0]["code"], "conflict")

    def test_what_breaks_a_rule_is_told_with_its_place(self):
        body = self.weight("2016-11-04T07:00:00+09:00", 62)
        body["valueQuantity"].update(unit="stone", code="[stone_av]")
        with self.assertRaises(OperationOutcome) as told:
            new(body).save()
        issue = issues(told.exception)[0]
        self.assertEqual(issue["details"]["coding"][0]["code"], "unit-unknown")
        self.assertTrue(issue["expression"][0].startswith("Observation.value"), issue)

    def test_its_merge_patch_is_not_taken_for_json_patch(self):
        made = new(self.weight("2016-11-05T07:00:00+09:00", 64)).save()
        with self.assertRaises(OperationOutcome) as told:
            made.patch(status="amended")
        self.assertIn("json-patch", issues(told.exception)[0]["diagnostics"])

    def test_batch_and_transaction(self):
        url = "Observation?identifier=nobody"
        made = client.execute(
            "",
            data=bundle(
                "transaction",
                ("POST", "Observation", self.weight("2016-11-06T07:00:00+09:00", 60)),
                ("GET", url, None),
            ),
        )
        self.assertEqual(made.type, "transaction-response")
        self.assertEqual([e.response.status[:3] for e in made.entry], ["201", "200"])
        answered = client.execute(
            "",
            data=bundle(
                "batch",
                ("GET", self.subject, None),
                ("GET", f"Patient/{UNKNOWN}", None),
                ("POST", "Observation", self.weight("2016-11-07T07:00:00+09:00", 60)),
            ),
        )
        self.assertEqual(answered.type, "batch-response")
        self.assertEqual([e.response.status[:3] for e in answered.entry], ["200", "404", "201"])
        self.assertEqual(answered.entry[1].response.outcome.issue[0].code, "not-found")
        with self.assertRaises(OperationOutcome):
            client.execute(
                "",
                data=bundle(
                    "transaction",
                    ("POST", "Observation", self.weight("2016-11-08T07:00:00+09:00", 60)),
                    ("POST", "Observation", self.weight("2016-11-09T07:00:00+09:00", -1)),
                ),
            )
        day = client.resources("Observation").search(date="2016-11-08", patient=self.subject[8:])
        self.assertEqual(day.count(), 0)


class Operations(unittest.TestCase):
    def test_everything_of_a_patient(self):
        person = client.resources("Patient").search(identifier=PERSON).first()
        everything = person.execute("$everything", method="get")
        types = {e.resource.resourceType for e in everything.entry}
        self.assertLessEqual({"Patient", "Observation", "Device", "Organization"}, types)

    def test_lastn(self):
        person = client.resources("Patient").search(identifier=PERSON).first()
        found = client.resources("Observation").execute(
            "$lastn", method="get", params={"patient": person.id, "code": "29463-7"}
        )
        self.assertEqual(len(found.entry), 1)

    def test_validate(self):
        known = client.resources("Observation").search(code="29463-7").first()
        self.assertTrue(known.is_valid())
        known["status"] = "finished"
        self.assertFalse(known.is_valid())


if __name__ == "__main__":
    unittest.main(verbosity=2)
