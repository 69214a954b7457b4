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

const at = (day) => `2016-11-${day}T07:00:00+09:00`;
const body = (day, value) =>
  weight({ subject: `Patient/${person.id}`, device: known.device.reference }, at(day), value);

test('create, update, delete', async () => {
  const made = await client.create({ resourceType, body: body('01', 61.5) });
  const { id } = made;
  assert.equal(header(made, 'location'), `${BASE}/Observation/${id}/_history/1`);
  made.valueQuantity.value = 61.75;
  const changed = await client.update({ resourceType, id, body: made });
  assert.equal(changed.meta.versionId, '2');
  assert.equal(header(changed, 'etag'), 'W/"2"');
  const history = await client.history({ resourceType, id });
  assert.deepEqual(history.entry.map((e) => e.request.method), ['PUT', 'POST']);
  assert.equal((await client.vread({ resourceType, id, version: 1 })).valueQuantity.value, 61.5);
  await client.delete({ resourceType, id });
  assert.equal((await refused(410, client.read({ resourceType, id }))).code, 'deleted');
  await client.delete({ resourceType, id });
});

test('decimals keep the digits that were sent', async () => {
  // A string goes out as it is; JSON.stringify would lose the zero.
  const text = JSON.stringify(body('02', 1)).replace('"value":1,', '"value":62.50,');
  const { id } = await client.create({ resourceType, body: text });
  assert.match(await raw(`Observation/${id}`), /"value":62\.50,/);
});

test('a patient, and once more', async () => {
  const sent = patient(21);
  const options = { headers: { 'If-None-Exist': `identifier=${PERSONS}|${sent.identifier[0].value}` } };
  const create = () => client.create({ resourceType: 'Patient', body: sent, options });
  const [first, second] = [await create(), await create()];
  assert.equal(Client.httpFor(first).response.status, 201);
  assert.equal(Client.httpFor(second).response.status, 200);
  assert.equal(second.id, first.id);
  const several = { headers: { 'If-None-Exist': 'gender=male,female' } };
  await refused(412, client.create({ resourceType: 'Patient', body: patient(22), options: several }));
});

test('conditional update, JSON Patch, versions', async () => {
  const searchParams = { patient: person.id, code: '29463-7', date: at('03') };
  const made = await client.update({ resourceType, searchParams, body: body('03', 63) });
  assert.equal(Client.httpFor(made).response.status, 201);
  const changed = await client.update({ resourceType, searchParams, body: body('03', 63.5) });
  assert.deepEqual([changed.id, changed.meta.versionId], [made.id, '2']);
  const { id } = made;
  const jsonPatch = [{ op: 'replace', path: '/valueQuantity/value', value: 64 }];
  const stale = { headers: { 'If-Match': 'W/"1"' } };
  assert.equal((await refused(412, client.patch({ resourceType, id, jsonPatch, options: stale }))).code, 'conflict');
  const options = { headers: { 'If-Match': 'W/"2"' } };
  const patched = await client.patch({ resourceType, id, jsonPatch, options });
  assert.deepEqual([patched.meta.versionId, patched.valueQuantity.value], ['3', 64]);
});

test('what breaks a rule is told with its place', async () => {
  const wrong = body('04', 62);
  wrong.valueQuantity.code = '[stone_av]';
  const issue = await refused(422, client.create({ resourceType, body: wrong }));
  assert.equal(issue.details.coding[0].code, 'unit-unknown');
  assert.match(issue.expression[0], /^Observation\.value/);
  delete wrong.status;
  await refused(400, client.create({ resourceType, body: wrong }));
});

test('batch and transaction', async () => {
  const batch = bundle(
    'batch',
    ['GET', `Patient/${person.id}`],
    ['GET', `Patient/${UNKNOWN}`],
    ['POST', 'Observation', body('05', 60)],
  );
  const answered = await client.batch({ body: batch });
  assert.equal(answered.type, 'batch-response');
  assert.deepEqual(
    answered.entry.map((e) => e.response.status.slice(0, 3)),
    ['200', '404', '201'],
  );
  const urn = 'urn:uuid:11111111-2222-4333-8444-555555555555';
  const transaction = bundle('transaction', ['POST', 'Patient', patient(23)]);
  transaction.entry[0].fullUrl = urn;
  const observation = body('06', 60);
  observation.subject.reference = urn;
  observation.effectiveDateTime = new Date().toISOString();
  transaction.entry.push(...bundle('transaction', ['POST', 'Observation', observation]).entry);
  const done = await client.transaction({ body: transaction });
  assert.equal(done.type, 'transaction-response');
  const [made, measured] = done.entry.map((e) => e.response.location.split('/_history')[0]);
  const read = await client.request(measured);
  assert.ok(made.endsWith(read.subject.reference), read.subject.reference);
  const failing = bundle(
    'transaction',
    ['POST', 'Observation', body('07', 60)],
    ['POST', 'Observation', body('08', -1)],
  );
  await refused(422, client.transaction({ body: failing }));
  const page = await client.search({ resourceType, searchParams: { date: '2016-11-07' } });
  assert.equal(page.entry, undefined);
});

test('pages, backwards', async () => {
  const first = await client.search({ resourceType, searchParams: { _count: 3, _sort: 'date' } });
  const second = await client.nextPage({ bundle: first });
  const back = await client.prevPage({ bundle: second });
  assert.deepEqual(resources(back), resources(first));
});

test('compartments and operations', async () => {
  const compartment = { resourceType: 'Patient', id: person.id };
  const searchParams = { code: '4548-4' };
  const page = await client.search({ resourceType, compartment, searchParams });
  assert.equal(page.entry.length, 1);
  const { id } = person;
  const everything = await client.operation({ name: '$everything', resourceType: 'Patient', id, method: 'GET' });
  assert.ok(resources(everything).some((r) => r.resourceType === 'Observation'));
  const input = { patient: id, code: '29463-7' };
  const last = await client.operation({ name: 'lastn', resourceType, method: 'GET', input });
  assert.equal(resources(last).length, 1);
  const outcome = await client.operation({ name: '$validate', resourceType, input: known });
  assert.ok(!outcome.issue.some((i) => ['error', 'fatal'].includes(i.severity)));
  assert.ok((await client.history()).entry.length > 11);
});
