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

const body = (day, value) =>
  weight(
    { subject: `Patient/${person.id}`, device: known.device.reference },
    `2016-11-${day}T07:00:00+09:00`,
    value,
  );

test('create, update, patch, delete', async () => {
  const made = await client.create(body('01', 61.5));
  assert.equal(made.meta.versionId, '1');
  made.valueQuantity.value = 61.75;
  assert.equal((await client.update(made)).meta.versionId, '2');
  const url = `Observation/${made.id}`;
  const patched = await client.patch(url, [{ op: 'replace', path: '/valueQuantity/value', value: 62 }]);
  assert.deepEqual([patched.meta.versionId, patched.valueQuantity.value], ['3', 62]);
  const history = await client.fhirRequest(`${url}/_history`);
  assert.deepEqual(history.entry.map((e) => e.request.method), ['PUT', 'PUT', 'POST']);
  await client.delete(url);
  assert.equal((await refused(410, client.fhirRequest(url))).code, 'deleted');
});

test('a patient, and once more', async () => {
  const sent = patient(31);
  const headers = { 'If-None-Exist': `identifier=${PERSONS}|${sent.identifier[0].value}` };
  const first = await client.create(sent, { headers });
  const second = await client.create(sent, { headers });
  assert.deepEqual(second, first);
  await client.delete(`Patient/${first.id}`);
});

test('what breaks a rule is told with its place', async () => {
  const wrong = body('02', 62);
  wrong.valueQuantity.code = '[stone_av]';
  const issue = await refused(422, client.create(wrong));
  assert.equal(issue.details.coding[0].code, 'unit-unknown');
  const stale = { headers: { 'If-Match': 'W/"9"' } };
  assert.equal((await refused(412, client.update(known, stale))).code, 'conflict');
});

test('batch and transaction', async () => {
  const headers = { 'content-type': 'application/json' };
  const send = (sent) => client.fhirRequest('', { method: 'POST', body: JSON.stringify(sent), headers });
  const made = await send(bundle('transaction', ['POST', 'Observation', body('03', 60)]));
  assert.equal(made.entry[0].response.status.slice(0, 3), '201');
  const answered = await send(
    bundle('batch', ['GET', `Patient/${person.id}`], ['GET', `Patient/${UNKNOWN}`]),
  );
  assert.deepEqual(
    answered.entry.map((e) => e.response.status.slice(0, 3)),
    ['200', '404'],
  );
  const failing = bundle(
    'transaction',
    ['POST', 'Observation', body('04', 60)],
    ['POST', 'Observation', body('05', -1)],
  );
  await refused(422, send(failing));
});

test('everything of a patient, page by page', async () => {
  const types = new Set();
  for await (const resource of client.resources(`Patient/${person.id}/$everything?_count=3`)) {
    types.add(resource.resourceType);
  }
  assert.ok(types.has('Patient') && types.has('Observation'), [...types].join());
});
