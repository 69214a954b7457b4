// @medplum/core (https://github.com/medplum/medplum) against the server.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { MedplumClient, OperationOutcomeError } from '@medplum/core';
import { BASE, PERSON, PERSONS, UNKNOWN, bundle, patient, raw, weight } from './example.js';

// No cache, no batching of reads: each call of a test is a request.
const settings = { baseUrl: new URL('/', BASE).href, fhirUrlPath: 'fhir', fetch };
const client = new MedplumClient({ ...settings, cacheTime: 0, autoBatchTime: 0 });
let person;
let known;

/** The first issue of a refusal; Medplum's error is made from the outcome sent. */
async function refused(code, call) {
  const error = await call.then(
    () => assert.fail('not refused'),
    (e) => e,
  );
  assert.ok(error instanceof OperationOutcomeError, error.stack);
  const [issue] = error.outcome.issue;
  assert.equal(issue.details?.coding?.[0]?.code ?? issue.code, code);
  return issue;
}

before(async () => {
  person = await client.searchOne('Patient', { identifier: `${PERSONS}|${PERSON}` });
  known = await client.searchOne('Observation', { code: '29463-7', patient: person.id });
});

test('the capability statement', async () => {
  const statement = await client.get(client.fhirUrl('metadata'));
  assert.equal(statement.fhirVersion, '4.0.1');
});

test('search', async () => {
  const page = await client.search('Observation', 'code=http://loinc.org|29463-7&date=ge2016-09-01&_total=accurate');
  assert.equal(page.total, 3);
  const found = await client.searchResources('Observation', { 'patient.identifier': PERSON });
  assert.equal(found.length, 5);
  assert.equal(found.bundle.type, 'searchset');
  assert.equal(await client.searchOne('Patient', 'identifier=nobody'), undefined);
});

test('pages', async () => {
  const ids = new Set();
  let pages = 0;
  for await (const page of client.searchResourcePages('Observation', '_count=2&_sort=-date')) {
    page.forEach((r) => ids.add(r.id));
    pages += 1;
  }
  assert.deepEqual([ids.size, pages], [11, 6]);
});

test('read, version, history, reference', async () => {
  assert.deepEqual(await client.readResource('Observation', known.id), known);
  assert.deepEqual(await client.readVersion('Observation', known.id, '1'), known);
  assert.equal((await client.readHistory('Observation', known.id, { count: 10 })).entry.length, 1);
  assert.equal((await client.readReference(known.subject)).gender, 'male');
  assert.match(await raw(`Observation/${known.id}`), /"value":65\.50,/);
});

test('errors carry the outcome', async () => {
  await refused('not-found', client.readResource('Observation', UNKNOWN));
  await refused('invalid', client.search('Observation', 'date=yesterday'));
  await refused('not-supported', client.readResource('Appointment', '1'));
});

const body = (day, value) =>
  weight(
    { subject: `Patient/${person.id}`, device: known.device.reference },
    `2016-11-${day}T07:00:00+09:00`,
    value,
  );

test('create, update, patch, delete', async () => {
  const made = await client.createResource(body('01', 61.5));
  assert.equal(made.meta.versionId, '1');
  const changed = await client.updateResource({ ...made, valueQuantity: { ...made.valueQuantity, value: 61.75 } });
  assert.equal(changed.meta.versionId, '2');
  const operations = [{ op: 'replace', path: '/valueQuantity/value', value: 62 }];
  const patched = await client.patchResource('Observation', made.id, operations);
  assert.deepEqual([patched.meta.versionId, patched.valueQuantity.value], ['3', 62]);
  assert.equal((await client.readHistory('Observation', made.id)).entry.length, 3);
  await client.deleteResource('Observation', made.id);
  await refused('deleted', client.readResource('Observation', made.id));
});

test('created where there is none, updated where there is', async () => {
  const sent = patient(41);
  const query = `identifier=${PERSONS}|${sent.identifier[0].value}`;
  const first = await client.createResourceIfNoneExist(sent, query);
  const second = await client.createResourceIfNoneExist(sent, query);
  assert.deepEqual(second, first);
  const by = { patient: person.id, code: '29463-7', date: '2016-11-02' };
  const made = await client.upsertResource(body('02', 61), by);
  const changed = await client.upsertResource(body('02', 62), by);
  assert.deepEqual([changed.id, changed.meta.versionId], [made.id, '2']);
});

test('what breaks a rule is told with its place', async () => {
  const wrong = body('03', 62);
  wrong.valueQuantity.code = '[stone_av]';
  const issue = await refused('unit-unknown', client.createResource(wrong));
  assert.match(issue.expression[0], /^Observation\.value/);
  const outcome = await client.validateResource(known);
  assert.ok(!outcome.issue.some((i) => ['error', 'fatal'].includes(i.severity)));
});

test('a batch, and a transaction', async () => {
  const answered = await client.executeBatch(
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
  await refused('range', client.executeBatch(failing));
  assert.equal(await client.searchOne('Observation', 'date=2016-11-04'), undefined);
});

test('reads that it gathers into a batch', async () => {
  const gathering = new MedplumClient({ ...settings, autoBatchTime: 50 });
  const [subject, missing, page] = await Promise.allSettled([
    gathering.readReference(known.subject),
    gathering.readResource('Observation', UNKNOWN),
    gathering.search('Observation', 'code=29463-7'),
  ]);
  assert.equal(subject.value.gender, 'male');
  assert.equal(missing.reason.outcome.issue[0].code, 'not-found');
  assert.equal(page.value.type, 'searchset');
});

test('everything of a patient', async () => {
  const everything = await client.readPatientEverything(person.id);
  assert.ok(everything.entry.some((e) => e.resource.resourceType === 'Observation'));
});
