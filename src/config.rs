//! What the program is told: one description of every command and option.
//!
//! The structs below are all there is: their doc comments are the `--help`, and every
//! option is also an environment variable `KENKO_<OPTION>` and a key of the TOML file of
//! `--config`, without being named a second time. The command line beats the environment,
//! the environment beats the file, the file beats the default.
//!
//! | option | environment | TOML |
//! |---|---|---|
//! | `--body-limit 16M` | `KENKO_BODY_LIMIT=16M` | `body-limit = "16M"` |
//! | `--demo` | `KENKO_DEMO=true` | `demo = true` |
//! | `--cors-origin A --cors-origin B` | `KENKO_CORS_ORIGIN=A,B` | `cors-origin = ["A", "B"]` |
//!
//! What says which form a converter reads and writes is an option only (interface
//! specification §1): a setting that a user forgot must not change what a file becomes.

mod connections;
mod file;
mod japanese;
mod print;
mod timeouts;
mod value;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

pub use connections::Connections;
pub use file::FileError;
pub use timeouts::{Timeout, Timeouts};
pub use value::{Day, Instant, Listen, Size};

use crate::exchange;
use crate::fault::Lang;
use crate::fhir::canonical::{Canonical, DEFAULT_BASE};
use crate::kind::Edition;
use crate::store::QUARANTINE_TTL;

/// Bridge between Japan's health information exchange protocol (健康情報等交換規約) and HL7
/// FHIR R4.
#[derive(Debug, Parser)]
#[command(
    name = "kenko-fhir",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Example:
  kenko-fhir convert examples/first.json
  kenko-fhir serve --demo

Exit codes: 0 done, 1 some input was refused, 2 wrong usage or configuration, 3 the system
failed. Options are also environment variables KENKO_<OPTION> and keys of the TOML file
(option > environment > file > default), except for --to, --as, --shape, --edition and -o.
Logs go to stderr; RUST_LOG sets their level."
)]
pub struct Cli {
    /// TOML file of settings, with the names of the options as keys
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub config: Option<PathBuf>,

    /// The database: a SQLite file, created where it is missing, or postgres://USER@HOST/DATABASE
    #[arg(
        long,
        global = true,
        value_name = "URL",
        default_value = "sqlite://kenko.db",
        help_heading = "Everywhere"
    )]
    pub database: String,

    /// Says nothing where all goes well
    #[arg(short = 'q', long, global = true, help_heading = "Everywhere")]
    pub quiet: bool,

    /// How long the database is waited for.
    #[command(flatten)]
    pub timeouts: Timeouts,
    /// Format of the log on stderr
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t = LogFormat::Text,
        help_heading = "Everywhere"
    )]
    pub log_format: LogFormat,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// A line of text an event
    #[default]
    Text,
    /// A JSON object a line
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves both sides over HTTP: /exchange for the protocol, /fhir for FHIR R4
    Serve(Serve),
    /// Converts files from one side to the other, without a database
    Convert(Convert),
    /// Checks files and tells every fault with its line and column
    Validate(Validate),
    /// Loads submissions and registries into the database
    Import(Import),
    /// Writes what the database holds as submissions or as FHIR NDJSON
    Export(Export),
    /// Loads and shows the six lists that are registered before data flows
    #[command(
        subcommand_required = true,
        arg_required_else_help = true,
        after_help = "Example:
  kenko-fhir registry load participants participants.csv
  kenko-fhir registry show participants --format csv"
    )]
    Registry {
        /// What to do with a list.
        #[command(subcommand)]
        command: Registry,
    },
    /// Brings the schema of the database up to date
    #[command(after_help = "Example:\n  kenko-fhir migrate --database sqlite://kenko.db")]
    Migrate(Migrate),
    /// Takes a snapshot of a SQLite database while it is in use
    Backup(Backup),
    /// Puts a snapshot back
    Restore(Restore),
    /// Prints the OpenAPI 3.1 document of the HTTP interface
    Openapi(Openapi),
    /// Writes an invented cohort in protocol format, with its registries
    Synth(Synth),
}

/// Where the record kinds come from.
#[derive(Debug, Clone, Args)]
pub struct Mappings {
    /// Folder of mapping files that add record kinds, or replace those of the same name
    #[arg(long, value_name = "DIR")]
    pub mappings: Option<PathBuf>,

    /// Base of the project's own identifier systems, code systems and profiles
    #[arg(long, value_name = "URL", default_value = DEFAULT_BASE)]
    pub canonical_base: String,
}

impl Mappings {
    /// The canonical strings under the base.
    pub fn canonical(&self) -> Canonical {
        Canonical::new(&self.canonical_base)
    }
}

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Auth {
    /// Anyone who reaches the address, which must be a loopback one
    Off,
}

/// What happens with people and laboratories that no list knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RegistryMode {
    /// Records that name them are refused
    Strict,
    /// They are registered provisionally
    Auto,
}

/// Limits of what is kept of refused records.
#[derive(Debug, Clone, Args)]
pub struct Refusals {
    /// Most faults listed of a submission; beyond them, the first error of each record
    #[arg(long, value_name = "NUMBER", default_value_t = exchange::Options::default().faults_max)]
    pub faults_max: usize,

    /// Most refused records kept of a submission beyond these faults; further ones are counted
    #[arg(long, value_name = "NUMBER", default_value_t = exchange::Options::default().refused_max)]
    pub refused_max: usize,

    /// Days that refused records wait in the quarantine before they are deleted
    #[arg(long, value_name = "DAYS", default_value_t = QUARANTINE_TTL.as_secs() / 86_400,
        value_parser = clap::value_parser!(u64).range(1..=36_500))]
    pub quarantine_ttl: u64,
}

impl Refusals {
    /// How submissions are read.
    pub fn reading(&self, lenient: bool) -> exchange::Options {
        exchange::Options {
            lenient,
            faults_max: self.faults_max,
            refused_max: self.refused_max,
        }
    }

    /// How long rows of the quarantine are kept.
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(self.quarantine_ttl * 86_400)
    }
}

/// `serve`
#[derive(Debug, Args)]
#[command(after_help = "Example:
  kenko-fhir serve --listen 127.0.0.1:8080 --database sqlite://kenko.db
  curl -s http://127.0.0.1:8080/fhir/metadata

The first line on stdout is \"listening on http://ADDR\", once it answers. SIGTERM and SIGINT
finish what is in flight, for as long as --shutdown-timeout allows; a second one ends at once.")]
pub struct Serve {
    /// Address and port; an IPv6 address stands in brackets; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: Listen,

    /// The outer root of the server, for links; without it they follow the Host header
    #[arg(long, value_name = "URL", value_parser = value::base_url)]
    pub base_url: Option<String>,

    /// Who may call
    #[arg(long, value_enum, default_value_t = Auth::Off)]
    pub auth: Auth,

    /// Where record kinds come from.
    #[command(flatten)]
    pub mappings: Mappings,

    /// Whether unknown consortia, participants and laboratories are refused or registered
    #[arg(long, value_enum, default_value_t = RegistryMode::Strict)]
    pub registry: RegistryMode,

    /// Largest body taken, counted after decompression; k, M and G are powers of 1024
    #[arg(long, value_name = "SIZE", default_value = "64M")]
    pub body_limit: Size,

    /// Limits of what is kept of refused records.
    #[command(flatten)]
    pub refusals: Refusals,

    /// Most entries of a batch or transaction Bundle
    #[arg(long, value_name = "NUMBER", default_value_t = 5000)]
    pub bundle_max: usize,

    /// Most that a batch or transaction Bundle is answered; entries beyond it are 422
    #[arg(long, value_name = "SIZE", default_value = "16M")]
    pub bundle_answer_limit: Size,

    /// Largest JSON Patch, and the most that the patches of a request copy and move
    #[arg(long, value_name = "SIZE", default_value = "1M")]
    pub patch_limit: Size,

    /// Most values of a search, all its parameters together
    #[arg(long, value_name = "NUMBER", default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub search_values_max: u32,

    /// Most references that a chain (a.b.c) or nested _has of a search leads along
    #[arg(long, value_name = "NUMBER", default_value_t = 4,
        value_parser = clap::value_parser!(u32).range(1..=16))]
    pub search_depth_max: u32,

    /// Most references that a search leads along, each counted for every type it may lead to
    #[arg(long, value_name = "NUMBER", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub search_joins_max: u32,

    /// Origin that browsers may call from; repeatable, none by default
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',', value_parser = value::origin)]
    pub cors_origin: Vec<String>,

    /// Longest time from SIGTERM or SIGINT to the end, whatever is in flight or hangs
    #[arg(long, value_name = "TIME", default_value = "29s")]
    pub shutdown_timeout: Timeout,

    /// Size of a SQLite file's write-ahead log at which writes wait until it is emptied; that is
    /// tried from a third of it on
    #[arg(long, value_name = "SIZE", default_value = "48M")]
    pub wal_limit: Size,

    /// Loads a small invented cohort into an empty database
    #[arg(long)]
    pub demo: bool,

    /// Prints every setting with its default as a commented TOML file, and ends
    #[arg(long)]
    pub print_config: bool,

    /// Limits of connections.
    #[command(flatten)]
    pub connections: Connections,
}

/// A side of the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// FHIR R4
    Fhir,
    /// The exchange protocol
    Exchange,
}

/// The form in which FHIR resources are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Form {
    /// A collection Bundle
    #[default]
    Bundle,
    /// A transaction Bundle that any FHIR server takes
    Transaction,
    /// A resource a line, the envelope's Bundle without entries first
    Ndjson,
}

/// How many Observations a record becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Shape {
    /// One, with components
    #[default]
    Panel,
    /// One for each quantity
    Split,
}

/// `convert`
#[derive(Debug, Args)]
#[command(after_help = "Example:
  kenko-fhir convert examples/first.json > bundle.json
  kenko-fhir convert --registries examples/registries bundle.json > submission.json
  kenko-fhir convert --as ndjson -o out/ submissions/*.json.gz

Several inputs give one document a line; with -o naming a folder (one that stands there, or a
name that ends in /), one file each. A submission with faults writes nothing, and the faults
are on stderr, one a line: FILE:LINE:COLUMN: POINTER: message.")]
pub struct Convert {
    /// Side to convert to; told from the input when absent
    #[arg(long, value_enum)]
    pub to: Option<Side>,

    /// Form of FHIR output
    #[arg(long = "as", value_enum, default_value_t = Form::Bundle)]
    pub form: Form,

    /// Shape of FHIR output
    #[arg(long, value_enum, default_value_t = Shape::Panel)]
    pub shape: Shape,

    /// Edition of protocol output, which decides some field names
    #[arg(long, default_value = "2017", value_parser = editions())]
    pub edition: Edition,

    /// Where record kinds come from.
    #[command(flatten)]
    pub mappings: Mappings,

    /// Folder of the registries: {list}.json or {list}.csv
    #[arg(long, value_name = "DIR")]
    pub registries: Option<PathBuf>,

    /// Writes the good records where others are refused; unknown fields are warnings
    #[arg(long)]
    pub lenient: bool,

    /// File for the OperationOutcome of a conversion to the protocol; stderr when absent
    #[arg(long, value_name = "FILE")]
    pub outcome: Option<PathBuf>,

    /// File or folder to write to; stdout when absent
    #[arg(short = 'o', long, value_name = "OUT")]
    pub output: Option<PathBuf>,

    /// How faults are told.
    #[command(flatten)]
    pub reporting: Reporting,

    /// Files to convert (.gz too); - or none for stdin
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// How faults are told.
#[derive(Debug, Clone, Default, Args)]
pub struct Reporting {
    /// Lists every fault; without it equal ones are listed ten times and counted beyond
    #[arg(long)]
    pub all: bool,

    /// File to which every fault is written as well, .csv or .json by its ending
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// `validate`
#[derive(Debug, Args)]
#[command(after_help = "Example:
  kenko-fhir validate --registries examples/registries examples/first.json

A line a fault on stderr, FILE:LINE:COLUMN: POINTER: message, with \"warning: \" before the
message of a warning; in Japanese where LC_ALL, LC_MESSAGES or LANG says ja. Warnings alone
exit with 0.")]
pub struct Validate {
    /// What the files are; told from each input when absent
    #[arg(long = "as", value_enum)]
    pub side: Option<Side>,

    /// Where record kinds come from.
    #[command(flatten)]
    pub mappings: Mappings,

    /// Folder of the registries: {list}.json or {list}.csv
    #[arg(long, value_name = "DIR")]
    pub registries: Option<PathBuf>,

    /// How faults are told.
    #[command(flatten)]
    pub reporting: Reporting,

    /// Files or folders to check: JSON, NDJSON, registry lists, .gz and .zip of them; - for stdin
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

/// `import`
#[derive(Debug, Args)]
#[command(after_help = "Example:
  kenko-fhir synth --participants 100 --days 30 --seed 1 -o cohort
  kenko-fhir import cohort

Registries of a folder are loaded before its submissions. What is there already is unchanged,
so an import that was interrupted is simply run again.")]
pub struct Import {
    /// Where record kinds come from.
    #[command(flatten)]
    pub mappings: Mappings,

    /// Stores the good records and quarantines the refused ones
    #[arg(long)]
    pub lenient: bool,

    /// Whether unknown consortia, participants and laboratories are refused or registered
    #[arg(long, value_enum, default_value_t = RegistryMode::Strict)]
    pub registry: RegistryMode,

    /// Limits of what is kept of refused records.
    #[command(flatten)]
    pub refusals: Refusals,

    /// How faults are told.
    #[command(flatten)]
    pub reporting: Reporting,

    /// Files or folders: submissions (JSON, NDJSON) and registry lists (CSV, JSON), .gz and .zip of them
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
}

/// What `export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportTo {
    /// A submission a consortium: {consortium_id}.json
    Exchange,
    /// FHIR resources: {Type}.ndjson
    Ndjson,
}

/// `export`
#[derive(Debug, Args)]
#[command(after_help = "Example:
  kenko-fhir export --to exchange --consortium A00001 --from 2016-09-01 --until 2016-10-01 -o out/")]
pub struct Export {
    /// What to write
    #[arg(long, value_enum)]
    pub to: ExportTo,

    /// Where record kinds come from.
    #[command(flatten)]
    pub mappings: Mappings,

    /// Edition of protocol output, which decides some field names
    #[arg(long, default_value = "2017", value_parser = editions())]
    pub edition: Edition,

    /// Only this consortium
    #[arg(long, value_name = "ID")]
    pub consortium: Option<String>,

    /// Only this participant
    #[arg(long, value_name = "ID")]
    pub person: Option<String>,

    /// Only this record kind
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,

    /// Only what was received or changed then or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub since: Option<Instant>,

    /// Only what was measured on this day or later (yyyy-mm-dd, JST)
    #[arg(long, value_name = "DATE")]
    pub from: Option<Day>,

    /// Only what was measured before this day (yyyy-mm-dd, JST)
    #[arg(long, value_name = "DATE")]
    pub until: Option<Day>,

    /// Folder to write to, made where it is missing
    #[arg(short = 'o', long, value_name = "DIR")]
    pub output: PathBuf,
}

/// How a list is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ListFormat {
    /// A JSON array
    #[default]
    Json,
    /// CSV with a header row
    Csv,
}

/// `registry`
#[derive(Debug, Subcommand)]
pub enum Registry {
    /// Adds the rows of a file, each replacing the stored row of its key
    #[command(after_help = "Example:\n  kenko-fhir registry load participants participants.csv")]
    Load {
        /// Where record kinds come from.
        #[command(flatten)]
        mappings: Mappings,
        /// The list
        #[arg(value_name = "LIST", value_parser = lists())]
        list: String,
        /// CSV (UTF-8 or CP932) or JSON file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Prints a list in the order of its keys
    #[command(after_help = "Example:\n  kenko-fhir registry show laboratories --format csv")]
    Show {
        /// Where record kinds come from.
        #[command(flatten)]
        mappings: Mappings,
        /// The list
        #[arg(value_name = "LIST", value_parser = lists())]
        list: String,
        /// How to print it
        #[arg(long, value_enum, default_value_t = ListFormat::Json)]
        format: ListFormat,
        /// Prints the columns with an example row instead of what is stored
        #[arg(long)]
        empty: bool,
    },
}

/// `migrate`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  kenko-fhir migrate --database sqlite://kenko.db")]
pub struct Migrate {
    /// Where record kinds come from.
    #[command(flatten)]
    pub mappings: Mappings,
}

/// `backup`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  kenko-fhir backup kenko-2026-08-01.db")]
pub struct Backup {
    /// Where record kinds come from.
    #[command(flatten)]
    pub mappings: Mappings,

    /// File to write
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `restore`
#[derive(Debug, Args)]
#[command(after_help = "Example:
  kenko-fhir restore kenko-2026-08-01.db --database sqlite://kenko.db

No server may be running on the database.")]
pub struct Restore {
    /// Snapshot to put back
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `openapi`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  kenko-fhir openapi > openapi.json")]
pub struct Openapi {
    /// Where record kinds come from.
    #[command(flatten)]
    pub mappings: Mappings,
}

/// `synth`
#[derive(Debug, Args)]
#[command(after_help = "Example:
  kenko-fhir synth --participants 100 --days 30 --seed 1 -o cohort

The same arguments give the same bytes on every machine. All people are invented.")]
pub struct Synth {
    /// How many people take part
    #[arg(long, value_name = "P")]
    pub participants: u32,

    /// How many days are measured
    #[arg(long, value_name = "D")]
    pub days: u32,

    /// What tells one cohort of this size from another
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,

    /// Folder to write to, made where it is missing
    #[arg(short = 'o', long, value_name = "DIR")]
    pub output: PathBuf,
}

fn editions() -> impl TypedValueParser<Value = Edition> {
    PossibleValuesParser::new([Edition::E2016.as_str(), Edition::E2017.as_str()])
        .map(|text| Edition::parse(&text).unwrap_or_default())
}

fn lists() -> PossibleValuesParser {
    PossibleValuesParser::new(crate::registry::List::ALL.map(|list| list.name))
}

/// Why the program cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line or the environment is wrong, or help was asked for.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// The command line or the environment is wrong, told in the language of the terminal.
    #[error("{0}")]
    Mistake(String),
    /// The file of `--config` is wrong.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The settings of a server as a commented TOML file that `--config` takes.
pub fn print() -> String {
    let mut command = Cli::command();
    if Lang::of_terminal() == Lang::Ja {
        command = japanese::japanese(command);
    }
    print::config(&command)
}

/// The command line with the environment and the TOML file behind it.
///
/// # Errors
/// [`Error::Usage`] also carries `--help` and `--version`, which are no mistakes.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut command = file::with_environment(Cli::command());
    if let Some(path) = file::named(&command, &arguments) {
        command = file::with_file(command, &path)?;
    }
    let lang = Lang::of_terminal();
    if lang == Lang::Ja {
        command = japanese::japanese(command);
    }
    let told = |error: clap::Error| match japanese::mistake(&error) {
        Some(text) if lang == Lang::Ja => Error::Mistake(text),
        _ => Error::Usage(error),
    };
    let mut matches = command.try_get_matches_from_mut(arguments).map_err(told)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|e| told(e.format(&mut command)))
}
