//! Metrics of the process, in the text format of Prometheus.
//!
//! One recorder serves the whole process. The functions below are all that is measured: names,
//! labels and units stand here and nowhere else. Labels are route templates, methods, statuses and
//! outcomes, never what a client sent, so that their number is bounded and nothing personal is told.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use metrics::{SharedString, counter, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;

const REQUESTS: &str = "kenko_http_requests_total";
const REQUEST_SECONDS: &str = "kenko_http_request_duration_seconds";
const IN_FLIGHT: &str = "kenko_http_requests_in_flight";
const BODIES: &str = "kenko_http_bodies_open";
const BODY_WAIT: &str = "kenko_http_body_wait_seconds";
const MEMORY_WAIT: &str = "kenko_http_memory_wait_seconds";
const STATEMENT_SECONDS: &str = "kenko_store_statement_duration_seconds";
const COMMIT_SECONDS: &str = "kenko_store_commit_duration_seconds";
const WRITE_WAIT: &str = "kenko_store_write_lock_wait_seconds";
const WRITE_QUEUE: &str = "kenko_store_write_queue";
const POOL_WAIT: &str = "kenko_store_pool_wait_seconds";
const POOL_QUEUE: &str = "kenko_store_pool_queue";
const ERRORS: &str = "kenko_store_errors_total";
const WAL: &str = "kenko_store_wal_bytes";
const RECORDS: &str = "kenko_records_total";

/// Upper bounds of the histograms, in seconds.
const BUCKETS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0,
];

/// The recorder's handle; absent where another recorder was installed first.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Starts measuring, once for the process. Earlier events are not counted.
pub fn install() {
    RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new().set_buckets(&BUCKETS).ok()?;
        let handle = builder.install_recorder().ok()?;
        describe();
        Some(handle)
    });
}

fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    let seconds = |name: &'static str, text: &'static str| {
        describe_histogram!(name, Unit::Seconds, text);
    };
    describe_counter!(REQUESTS, "Requests answered, by method, route and status");
    seconds(REQUEST_SECONDS, "Time until an answer begins, by route");
    describe_gauge!(IN_FLIGHT, "Requests whose answer has not begun");
    describe_gauge!(BODIES, "Request bodies that are open");
    seconds(BODY_WAIT, "Time that request bodies waited for a place");
    seconds(MEMORY_WAIT, "Time that large bodies waited for memory");
    seconds(STATEMENT_SECONDS, "Time of SQL statements, by use");
    seconds(COMMIT_SECONDS, "Time until a write is durable");
    seconds(WRITE_WAIT, "Time that writers waited for the write lock");
    describe_gauge!(WRITE_QUEUE, "Writers that wait for the write lock");
    seconds(POOL_WAIT, "Time that readers waited for a connection");
    describe_gauge!(POOL_QUEUE, "Readers that wait for a connection");
    describe_counter!(ERRORS, "Errors of the database, by kind");
    describe_gauge!(
        WAL,
        Unit::Bytes,
        "Size of SQLite's write-ahead log when it was last asked for"
    );
    describe_counter!(RECORDS, "Records written, by outcome and way in");
    Collector::default().describe();
}

/// All metrics as Prometheus reads them; empty where nothing is measured.
pub fn render() -> String {
    let Some(Some(handle)) = RECORDER.get() else {
        return String::new();
    };
    Collector::default().collect();
    handle.render()
}

/// Folds what was measured into the histograms, so that their memory stays bounded where nobody
/// asks for [`render`]. To be called every few seconds.
pub fn upkeep() {
    if let Some(Some(handle)) = RECORDER.get() {
        handle.run_upkeep();
    }
}

/// A request was answered: its method, the template of its route, its status.
pub fn request(method: &'static str, route: Arc<str>, status: u16, elapsed: Duration) {
    let route = SharedString::from(route);
    histogram!(REQUEST_SECONDS, "method" => method, "route" => route.clone()).record(elapsed);
    let status = status.to_string();
    counter!(REQUESTS, "method" => method, "route" => route, "status" => status).increment(1);
}

/// A count of what is there now: one more until it is dropped.
#[derive(Debug)]
pub struct Present(&'static str);

impl Present {
    fn new(name: &'static str) -> Present {
        gauge!(name).increment(1);
        Present(name)
    }

    /// A request whose answer has not begun.
    pub fn request() -> Present {
        Present::new(IN_FLIGHT)
    }

    /// An open body of a request.
    pub fn body() -> Present {
        Present::new(BODIES)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        gauge!(self.0).decrement(1);
    }
}

/// A wait in a queue: counted while it lasts, timed when it is over (dropped).
#[derive(Debug)]
pub struct Wait {
    queue: Option<&'static str>,
    seconds: &'static str,
    since: Instant,
}

impl Wait {
    fn new(queue: Option<&'static str>, seconds: &'static str) -> Wait {
        if let Some(queue) = queue {
            gauge!(queue).increment(1);
        }
        Wait {
            queue,
            seconds,
            since: Instant::now(),
        }
    }

    /// For the right to write.
    pub fn write_lock() -> Wait {
        Wait::new(Some(WRITE_QUEUE), WRITE_WAIT)
    }

    /// For a connection that reads, where none is free.
    pub fn pool() -> Wait {
        Wait::new(Some(POOL_QUEUE), POOL_WAIT)
    }

    /// Of a request's body for a place.
    pub fn body() -> Wait {
        Wait::new(None, BODY_WAIT)
    }

    /// Of a large body for memory of the budget.
    pub fn memory() -> Wait {
        Wait::new(None, MEMORY_WAIT)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(queue) = self.queue {
            gauge!(queue).decrement(1);
        }
        histogram!(self.seconds).record(self.since.elapsed());
    }
}

/// A statement ended, on a connection that reads or in a write transaction.
pub fn statement(writes: bool, elapsed: Duration) {
    let used = if writes { "write" } else { "read" };
    histogram!(STATEMENT_SECONDS, "use" => used).record(elapsed);
}

/// A write transaction was committed.
pub fn commit(elapsed: Duration) {
    histogram!(COMMIT_SECONDS).record(elapsed);
}

/// A request met an error of the database: `full`, `away`, `busy`, `too-costly` or `failed`.
pub fn store_error(kind: &'static str) {
    counter!(ERRORS, "kind" => kind).increment(1);
}

/// The size of SQLite's write-ahead log.
pub fn wal_bytes(bytes: u64) {
    gauge!(WAL).set(bytes as f64);
}

/// Records that were written or refused: how many, with which outcome, by which way in
/// (`exchange` or `fhir`).
pub fn records(way: &'static str, outcome: &'static str, count: u64) {
    if count > 0 {
        counter!(RECORDS, "way" => way, "outcome" => outcome).increment(count);
    }
}
