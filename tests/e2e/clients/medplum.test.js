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
