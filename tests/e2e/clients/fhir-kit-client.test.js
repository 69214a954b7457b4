// fhir-kit-client (https://github.com/Vermonster/fhir-kit-client) against the server.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Client } from 'fhir-kit-client';
import { BASE, PERSON, PERSONS, UNKNOWN, bundle, patient, raw, resources, weight } from './example.js';

const client = new Client({ baseUrl: BASE });
const resourceType = 'Observation';
let person;
let known;

/** The error of a call, which must have this status and carry an OperationOutcome. */
async function refused(status, call) {
  const error = await call.then(
    () => assert.fail('not refused'),
    (e) => e,
  );
  assert.equal(error.response?.status, status, error.stack);
  assert.equal(error.response.data.resourceType, 'OperationOutcome');
  return error.response.data.issue[0];
}

/** A header of the answer that an object came in. */
function header(answer, name) {
  return Client.httpFor(answer).response.headers.get(name);
}

before(async () => {
  const search = (resourceType, searchParams) => client.search({ resourceType, searchParams });
  [person] = resources(await search('Patient', { identifier: `${PERSONS}|${PERSON}` }));
  const found = await search('Observation', { code: '29463-7', patient: person.id });
  [known] = resources(found);
});

test('the capability statement', async () => {
  const statement = await client.capabilityStatement();
  assert.equal(statement.resourceType, 'CapabilityStatement');
  assert.match(header(statement, 'content-type'), /^application\/fhir\+json/);
});

test('search by GET and by form', async () => {
  const searchParams = { code: 'http://loinc.org|29463-7', date: ['ge2016-09-01', 'lt2016-09-02'] };
  for (const postSearch of [false, true]) {
    const page = await client.search({ resourceType, searchParams, options: { postSearch } });
    assert.equal(page.type, 'searchset');
    assert.equal(page.entry.length, 2);
  }
  const chained = { 'patient.identifier': PERSON };
  const ofPerson = await client.search({ resourceType, searchParams: chained });
  assert.equal(ofPerson.entry.length, 5);
});

test('pages, forwards', async () => {
  const searchParams = { _count: 2, _sort: '-date', _total: 'accurate' };
  const ids = [];
  let page = await client.search({ resourceType, searchParams });
  const { total } = page;
  while (page) {
    assert.equal(page.total, total);
    ids.push(...resources(page).map((r) => r.id));
    page = await client.nextPage({ bundle: page });
  }
  assert.equal(ids.length, total);
  assert.equal(new Set(ids).size, total);
});

test('read, vread, history', async () => {
  const { id } = known;
  const read = await client.read({ resourceType, id });
  assert.deepEqual(read, known);
  assert.equal(header(read, 'etag'), 'W/"1"');
  assert.deepEqual(await client.vread({ resourceType, id, version: 1 }), known);
  assert.equal((await client.history({ resourceType, id })).entry.length, 1);
  assert.ok((await client.history({ resourceType })).entry.length >= 11);
  assert.match(await raw(`Observation/${id}`), /"value":65\.50,/);
});

test('references resolve', async () => {
  const subject = await client.resolve({ reference: known.subject.reference });
  assert.equal(subject.gender, 'male');
  const device = await client.resolve({ reference: `${BASE}/${known.device.reference}` });
  assert.equal(device.resourceType, 'Device');
});

test('errors carry the outcome', async () => {
  const unknown = await refused(404, client.read({ resourceType, id: UNKNOWN }));
  assert.equal(unknown.code, 'not-found');
  const wrong = client.search({ resourceType, searchParams: { date: 'yesterday' } });
  assert.equal((await refused(400, wrong)).code, 'invalid');
  await refused(404, client.read({ resourceType: 'Appointment', id: '1' }));
  const options = { headers: { Accept: 'application/fhir+xml' } };
  await refused(406, client.read({ resourceType, id: known.id, options }));
});
