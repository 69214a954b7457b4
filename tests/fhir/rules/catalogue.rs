//! The list of rules.

/// Rules of one origin.
pub struct Part {
    /// What the names of tests begin with.
    pub id: &'static str,
    pub title: &'static str,
    pub about: &'static str,
    pub rules: &'static [Rule],
}

/// One rule; its number is its place in the list.
pub struct Rule {
    pub text: &'static str,
    /// A page of FHIR R4 with the place on it, or another source by name.
    pub source: &'static str,
    /// Why it is not met.
    pub not_met: Option<&'static str>,
}

const fn rule(text: &'static str, source: &'static str) -> Rule {
    Rule {
        text,
        source,
        not_met: None,
    }
}

const fn not_met(text: &'static str, source: &'static str, why: &'static str) -> Rule {
    Rule {
        text,
        source,
        not_met: Some(why),
    }
}

pub const INTRODUCTION: &str = "\
# Rules

What a FHIR server is judged by, and what shows that this one holds it. *Held* means that the tests
named beside the rule are run by `cargo test`; a test compares this page with them, so a rule cannot
lose its test unnoticed. Whether they pass is what `bash .ci/run` says. What is not met says why.
";

const NO_AUTHENTICATION: &str = "not claimed: there is no authentication yet, and without it the server listens on loopback only";
const NO_EXPORT: &str = "not claimed: there is no bulk export over HTTP yet; \
    `kenko-fhir export --to ndjson` writes the files";

pub static PARTS: &[Part] = &[
    Part {
        id: "c1",
        title: "C1 · REST and search",
        about: "From the pages of FHIR R4 (4.0.1).",
        rules: C1,
    },
    Part {
        id: "sec",
        title: "C1 · security and practice",
        about: "From the [security page](https://hl7.org/fhir/R4/security.html), and what browsers \
                and operators need.",
        rules: SECURITY,
    },
    Part {
        id: "c2",
        title: "C2 · SMART Backend Services and Bulk Data 2.0",
        about: "Numbers are requirement ids of the public Inferno lists.",
        rules: C2,
    },
    Part {
        id: "c3",
        title: "C3 · International Patient Access and JP Core",
        about: "What the two guides expect of a server, as far as its contents go.",
        rules: C3,
    },
    Part {
        id: "a3",
        title: "A3 · defects of earlier converters",
        about: "What went wrong elsewhere between the exchange protocol and FHIR.",
        rules: A3,
    },
];

static C1: &[Rule] = &[
    rule(
        "an unknown id is 404, a deleted one 410, the version of a deletion 410",
        "http.html#read",
    ),
    rule(
        "a read sends `ETag: W/\"<versionId>\"` equal to `meta.versionId`, and `Last-Modified`",
        "http.html#concurrency",
    ),
    rule(
        "create: 201 with `Location …/Type/id/_history/vid`; the client's `id`, `versionId` and \
         `lastUpdated` are ignored",
        "http.html#create",
    ),
    rule(
        "update: an id in the body that is missing or another is 400; else 200 or 201 with the new \
         ETag and Last-Modified",
        "http.html#update",
    ),
    rule(
        "PUT to an unknown id: 201 where the id is the resource's own, else 422 `identity`; 405 for \
         types that registries alone write",
        "http.html#upsert",
    ),
    rule(
        "a stale `If-Match` is 412 on PUT, PATCH, DELETE and in entries of a Bundle; a malformed one \
         never means \"no condition\"",
        "http.html#concurrency",
    ),
    rule(
        "`If-None-Exist`: none 201, one 200 and nothing written, several 412; parallel sends leave one",
        "http.html#ccreate",
    ),
    rule(
        "conditional update: several 412, an id in conflict 400; patch with none 404; delete of \
         several as `conditionalDelete` says",
        "http.html#cond-update",
    ),
    rule(
        "PATCH takes `application/json-patch+json` (FHIRPath Patch is not claimed); the result is \
         validated; a narrative stays safe",
        "http.html#patch",
    ),
    rule(
        "delete is idempotent: 200/204 for what is there, absent, deleted already; gone from search, \
         kept in the history",
        "http.html#delete",
    ),
    rule(
        "an unsupported type or interaction is 404 or 405, with an OperationOutcome",
        "http.html#create",
    ),
    rule(
        "`Prefer: return=minimal|representation|OperationOutcome` is honoured; errors always have a \
         body",
        "http.html#ops",
    ),
    rule(
        "every error has an OperationOutcome with `code`, and `expression` where an element is wrong \
         (401, 403 and 429 come with authentication)",
        "operationoutcome.html#scope",
    ),
    rule(
        "what cannot be parsed or is invalid is 400, what breaks a business or profile rule 422",
        "http.html#rejecting-updates",
    ),
    rule(
        "Accept `application/fhir+json`, `application/json`, `text/json`, `*/*`, with q-values; \
         otherwise 406; a wrong Content-Type is 415",
        "http.html#mime-type",
    ),
    rule(
        "UTF-8; `fhirVersion=4.0` is accepted, another version 406 or 415; Content-Type is always set",
        "http.html#version-parameter",
    ),
    rule(
        "`_format` beats Accept, in short and MIME form; an unencoded `+` in `application/fhir+json` \
         survives",
        "http.html#parameters",
    ),
    rule(
        "with and without a slash at the end an address answers, without a redirect",
        "http.html#root",
    ),
    rule("HEAD: status and headers of GET, no body", "http.html#head"),
    rule(
        "search by form (`POST …/_search`) too; the parameters of address and body add up",
        "http.html#search",
    ),
    rule(
        "no match is 200 with an empty searchset; a search that cannot run is 4xx with an \
         OperationOutcome; an outcome entry has `mode=outcome` and no error",
        "http.html#search",
    ),
    rule(
        "the `self` link of every searchset shows exactly the parameters that were used",
        "search.html#conformance",
    ),
    rule(
        "an unknown or unsupported parameter: `handling=strict` 400, lenient ignored and reported",
        "search.html#errors",
    ),
    rule(
        "`Bundle.total` counts matches only, the same on each page; `_total=none` omits it; \
         `_summary=count` and `_count=0` give it and no entry",
        "search.html#total",
    ),
    rule(
        "`_count` bounds matches, not includes; a page is never longer; what is over the cap is capped",
        "search.html#count",
    ),
    rule(
        "`next` and `previous` are opaque and absolute; walking them gives each match once",
        "http.html#paging",
    ),
    rule(
        "`search.mode` and an absolute `fullUrl` on each entry; an included resource once a page",
        "bundle.html#searchset",
    ),
    rule(
        "prefixes eq ne gt lt ge le sa eb ap with implicit ranges (gt and lt: the edge of the range for \
         dates, the number as written for numbers)",
        "search.html#prefix",
    ),
    rule(
        "date: year, month, day, minute; an hour needs minutes; Periods; no zone is Japan's; a \
         `+09:00` sent unencoded is understood",
        "search.html#date",
    ),
    rule(
        "a number equals by its significant digits: 6.9 = [6.85, 6.95), 6.90 = [6.895, 6.905)",
        "search.html#number",
    ),
    rule(
        "quantity `v`, `v|system|code`, `v||code` (code or unit), and across units of UCUM",
        "search.html#quantity",
    ),
    rule(
        "token `code`, `s|code`, `|code` (no system), `s|`; any coding of the concept matches",
        "search.html#token",
    ),
    rule(
        "string: from the start, blind to case, accents, width and kana; `:exact`, `:contains`",
        "search.html#string",
    ),
    rule(
        "comma is OR, repetition AND; `\\,` `\\|` `\\$` `\\\\` escape; percent-decoding comes first",
        "search.html#escaping",
    ),
    rule(
        "`:missing` for all types; `:not` also finds what lacks the element; a wrong modifier is 400",
        "search.html#modifiers",
    ),
    rule(
        "reference: `id`, `Type/id`, absolute URL, `:Type`, `:identifier`",
        "search.html#reference",
    ),
    rule(
        "the values of a composite meet in one element or one component",
        "search.html#composite",
    ),
    rule(
        "a transaction is all or nothing, free of order, fails on the same target twice; `urn:uuid` and \
         conditional references are rewritten; its failure is one OperationOutcome; a batch is 200 with \
         an entry a request, in its order, with its own status",
        "http.html#transaction",
    ),
    rule(
        "a history is newest first, deletions are entries without resource, each has `request` and \
         `response`; `_since` needs a zone; an unsupported `_at` is refused",
        "http.html#history",
    ),
    rule(
        "values return as sent: digits of decimals, partial dates (what a record has no place for, an \
         extension of a `_field` say, is told as not kept); `_summary` and `_elements` add SUBSETTED; ids are `[A-Za-z0-9\\-\\.]{1,64}`; `/metadata` lists only what works, \
         and its ETag changes with it",
        "datatypes.html#decimal",
    ),
];

static SECURITY: &[Rule] = &[
    rule(
        "a CORS preflight allows `Prefer, If-Match, If-None-Match, If-None-Exist, Authorization` and \
         `X-*`, and answers expose `ETag, Location, Content-Location, Last-Modified, X-Progress, \
         Retry-After`",
        "security.html#cors",
    ),
    rule("`X-Content-Type-Options: nosniff`", "practice"),
    rule(
        "no personal data in logs or in the text of errors",
        "security.html#audit",
    ),
    not_met(
        "a denial may be 404, so that existence is not revealed (declared which)",
        "security.html#AccessDenied",
        NO_AUTHENTICATION,
    ),
];

static C2: &[Rule] = &[
    not_met(
        "`/.well-known/smart-configuration`: JSON whatever Accept says, without a token, absolute URLs",
        "SMART conformance",
        NO_AUTHENTICATION,
    ),
    not_met(
        "it lists `token_endpoint`, `scopes_supported`, `private_key_jwt`, RS384/ES384, `S256` and never `plain`",
        "285-289",
        NO_AUTHENTICATION,
    ),
    not_met(
        "client keys by JWKS URL and by inline JWKS",
        "296, 297",
        NO_AUTHENTICATION,
    ),
    not_met(
        "JWT: signature, `aud`, `exp` at most 5 min ahead, `iss` = `sub` = a known client",
        "335, 337",
        NO_AUTHENTICATION,
    ),
    not_met("a reused `jti` is refused", "336", NO_AUTHENTICATION),
    not_met(
        "`jku` only if registered; a JWKS is not cached longer than its header says",
        "338, 341",
        NO_AUTHENTICATION,
    ),
    not_met(
        "a failed authentication is `invalid_client`",
        "251, 340",
        NO_AUTHENTICATION,
    ),
    not_met(
        "token answer: `access_token`, `token_type=bearer`, `expires_in` (≤ 300), `scope`",
        "254-261",
        NO_AUTHENTICATION,
    ),
    not_met(
        "granted scope within registered scope; expiry and scope are checked on each call",
        "250, 265, 266",
        NO_AUTHENTICATION,
    ),
    not_met(
        "an export holds what the client may see",
        "9, 27",
        NO_EXPORT,
    ),
    not_met(
        "kick-off with `Prefer: respond-async` is 202 with an absolute `Content-Location`",
        "28-29, 300-301",
        NO_EXPORT,
    ),
    not_met(
        "an error of the kick-off is 4xx/5xx with an OperationOutcome",
        "303-304",
        NO_EXPORT,
    ),
    not_met(
        "`_outputFormat` takes `application/fhir+ndjson`, `application/ndjson`, `ndjson`",
        "47-52",
        NO_EXPORT,
    ),
    not_met(
        "`_since`; `_type`, repeated or with commas",
        "53-63, 32",
        NO_EXPORT,
    ),
    not_met(
        "the `patient` list is never exceeded; `_typeFilter` is applied or reported",
        "85, 103, 117",
        NO_EXPORT,
    ),
    not_met(
        "status: running 202, failed 4xx/5xx, done 200 `application/json`",
        "132-145",
        NO_EXPORT,
    ),
    not_met(
        "manifest: `transactionTime`, `request`, `requiresAccessToken`, `output[]`, `error[]`; one type a file",
        "150-178, 191-196",
        NO_EXPORT,
    ),
    not_met(
        "`deleted[]`: transaction Bundles with DELETE",
        "181-190",
        NO_EXPORT,
    ),
    not_met(
        "files: `application/fhir+ndjson`, latest versions only, protected like the kick-off",
        "5, 202-209",
        NO_EXPORT,
    ),
    not_met(
        "DELETE on the status URL is 202, afterwards 404; partial success stays 200",
        "122, 142-143, 305-309",
        NO_EXPORT,
    ),
];

static C3: &[Rule] = &[
    rule("Patient: read, search by `_id` and `identifier`", "IPA"),
    rule(
        "Observation: read, search by patient+category, patient+code, patient+category+date, +status, \
         code+date; `_revinclude=Provenance:target`",
        "IPA",
    ),
    not_met(
        "launch, `permission-patient`, `sso-openid-connect`, clients public and confidential",
        "IPA",
        NO_AUTHENTICATION,
    ),
    rule(
        "what is refused is 404 (401 and 403 with authentication), in JSON",
        "IPA",
    ),
    rule(
        "Patient by `identifier`, birthdate and gender, and `$everything` (no `name`: the protocol has none)",
        "JP Core",
    ),
    rule(
        "Observation by `identifier`; patient+code+date(+value-quantity), code+value-quantity+patient, \
         patient+category+code(+date); `$lastn`",
        "JP Core",
    ),
    not_met(
        "formats JSON and XML",
        "JP Core",
        "JSON alone is served and declared; XML comes later",
    ),
    rule(
        "a lab result: category `laboratory` of JP Core, `code.text`, subject, `effectiveDateTime`, \
         `specimen` (by name: the protocol has no more of it)",
        "JP Core",
    ),
    rule(
        "HbA1c by JLAC10, with the method inside the code",
        "JP Core",
    ),
    rule(
        "body weight has the categories `body-measurement` of JP Core and `vital-signs`, and LOINC 29463-7",
        "JP Core",
    ),
    rule(
        "blood pressure is LOINC 85354-9 with components 8480-6 and 8462-4, beside the codes of the \
         MEDIS nursing master",
        "JP Core",
    ),
];

static A3: &[Rule] = &[
    rule(
        "all kinds of records go both ways, activity too",
        "earlier converters",
    ),
    rule(
        "`consortium_id`, input code, origin of time, method and laboratory are those of the record, \
         never constants",
        "earlier converters",
    ),
    rule(
        "`update_time` keeps its 17 digits and is not the time of measurement",
        "earlier converters",
    ),
    rule(
        "times do not depend on the zone of the host",
        "earlier converters",
    ),
    rule(
        "zeros and empty values are values: 0 steps stay 0",
        "earlier converters",
    ),
    rule(
        "known misspellings (`ovservation_time`, `input_method_code`) are read with a warning; systolic \
         and diastolic are never exchanged",
        "earlier converters",
    ),
    rule(
        "two devices in the same second, and two kinds, are two records",
        "earlier converters",
    ),
    rule(
        "a check-up blood pressure without input code or update time is refused",
        "earlier converters",
    ),
    rule(
        "pages are cut by key, never by offset; the limit is the one that is documented",
        "earlier converters",
    ),
    rule(
        "tokens and values of patients are in no log",
        "earlier converters",
    ),
];
