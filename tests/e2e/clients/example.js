// What the Node suites share: the server under test, and resources to send to it.

export const BASE = process.env.FHIR_BASE;
export const PERSON = 'P0000000000000000001';
export const PERSONS = 'https://kenko-fhir.example/fhir/sid/consortium/A00001/person';
export const UNKNOWN = 'A'.repeat(43);

/** The body as it is on the wire: a client's own numbers have lost their digits. */
export async function raw(path) {
  return (await fetch(`${BASE}/${path}`)).text();
}

/** A participant whom no registry names yet. */
export function patient(number) {
  return {
    resourceType: 'Patient',
    identifier: [{ system: PERSONS, value: `P${String(number).padStart(19, '0')}` }],
    gender: 'female',
    birthDate: '1970-02',
  };
}

/** A weight as any FHIR client would write it: nothing in it is of this project. */
export function weight({ subject, device }, time, value) {
  return {
    resourceType: 'Observation',
    status: 'final',
    category: [
      {
        coding: [
          {
            system: 'http://terminology.hl7.org/CodeSystem/observation-category',
            code: 'vital-signs',
          },
        ],
      },
    ],
    code: { coding: [{ system: 'http://loinc.org', code: '29463-7' }] },
    subject: { reference: subject },
    device: { reference: device },
    effectiveDateTime: time,
    valueQuantity: { value, unit: 'kg', system: 'http://unitsofmeasure.org', code: 'kg' },
  };
}

/** A batch or transaction of [method, url, resource]. */
export function bundle(type, ...entries) {
  return {
    resourceType: 'Bundle',
    type,
    entry: entries.map(([method, url, resource]) => ({ request: { method, url }, resource })),
  };
}

/** The resources of a Bundle. */
export function resources(page) {
  return (page.entry ?? []).map((entry) => entry.resource);
}
