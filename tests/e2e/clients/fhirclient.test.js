// fhirclient, SMART's own client for JavaScript (https://github.com/smart-on-fhir/client-js).

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import smart from 'fhirclient';
import { BASE, PERSON, PERSONS, UNKNOWN, bundle, patient, raw, resources, weight } from './example.js';

const client = new smart.FhirClient(BASE);
let person;
let known;

/** The outcome in a refusal of this status. */
async function refused(status, call) {
  const error = await call.then(
    () => assert.fail('not refused'),
    (e) => e,
  );
  assert.equal(error.status, status, error.stack);
  const text = error.message.slice(error.message.indexOf('{'));
  const outcome = JSON.parse(text);
  assert.equal(outcome.resourceType, 'OperationOutcome');
  return outcome.issue[0];
}

before(async () => {
  const people = await client.fhirRequest(`Patient?identifier=${PERSONS}|${PERSON}`);
  [person] = resources(people);
  const found = await client.fhirRequest(`Observation?code=29463-7&patient=${person.id}`);
  [known] = resources(found);
});

test('version and release', async () => {
  assert.equal(await client.getFhirVersion(), '4.0.1');
  assert.equal(await client.getFhirRelease(), 4);
});

test('search and pages', async () => {
  const ids = new Set();
  let pages = 0;
  for await (const page of client.pages('Observation?_count=2&_sort=-date&_total=accurate')) {
    assert.equal(page.total, 11);
    resources(page).forEach((r) => ids.add(r.id));
    pages += 1;
  }
  assert.deepEqual([ids.size, pages], [11, 6]);
  let walked = 0;
  for await (const resource of client.resources('Observation?_count=3&code=29463-7,4548-4')) {
    assert.equal(resource.resourceType, 'Observation');
    walked += 1;
  }
  assert.equal(walked, 5);
});

test('an unencoded time zone is understood', async () => {
  const page = await client.fhirRequest('Observation?date=2016-09-01T07:30:15+09:00');
  assert.deepEqual(resources(page).map((r) => r.id), [known.id]);
});

test('read, and the answer with its headers', async () => {
  const { body, response } = await client.fhirRequest(`Observation/${known.id}`, { includeResponse: true });
  assert.deepEqual(body, known);
  assert.equal(response.headers.get('etag'), 'W/"1"');
  assert.match(await raw(`Observation/${known.id}`), /"value":65\.50,/);
});

test('references are resolved into the resource', async () => {
  const copy = structuredClone(known);
  await client.resolveReferences(copy, ['subject', 'device', 'performer']);
  assert.equal(copy.subject.resourceType, 'Patient');
  assert.equal(copy.device.resourceType, 'Device');
  const page = await client.fhirRequest('Observation?code=29463-7');
  const found = await client.getReferences(page, ['subject']);
  assert.equal(Object.keys(found).length, 2);
});

test('errors carry the outcome', async () => {
  assert.equal((await refused(404, client.fhirRequest(`Observation/${UNKNOWN}`))).code, 'not-found');
  assert.equal((await refused(400, client.fhirRequest('Observation?date=yesterday'))).code, 'invalid');
  await refused(404, client.fhirRequest('Appointment/1'));
});
