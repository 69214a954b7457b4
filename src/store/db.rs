//! Statements and their rows: the one way to the database.
//!
//! A [`Statement`] is a text with its values; it runs on a transaction or on the readers,
//! and its rows are read by [`Row::try_get`]. The text is made of parts of this program and
//! of numbers only; whatever came from outside is bound. Placeholders are `?`. One text does
//! for both databases: what they have in common is used, and what differs differs here.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::types::{FromSql, Value};
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Decode, Postgres, Row as _, Sqlite};

use super::at_once::AtOnce;
use super::bulk::{ROWS, Rows};
use super::postgres::{self, Writing};
use super::readers::Readers;
use super::{Error, Result, among, sql, sqlite};
use crate::fhir::id::Hash96;
use crate::metrics;

/// A value bound to a statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Bound {
    /// A number.
    Int(i64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A text.
    Text(String),
    /// No value, where one of this type could be.
    Null(Type),
}

/// The types of values that may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// A number of 64 bits.
    Int,
    /// A text.
    Text,
    /// Bytes.
    Bytes,
}

impl From<i64> for Bound {
    fn from(value: i64) -> Bound {
        Bound::Int(value)
    }
}

impl From<&i64> for Bound {
    fn from(value: &i64) -> Bound {
        Bound::Int(*value)
    }
}

impl From<&str> for Bound {
    fn from(text: &str) -> Bound {
        Bound::Text(text.to_owned())
    }
}

impl From<&String> for Bound {
    fn from(text: &String) -> Bound {
        Bound::Text(text.clone())
    }
}

impl From<String> for Bound {
    fn from(text: String) -> Bound {
        Bound::Text(text)
    }
}

impl From<Vec<u8>> for Bound {
    fn from(bytes: Vec<u8>) -> Bound {
        Bound::Bytes(bytes)
    }
}

impl From<&[u8]> for Bound {
    fn from(bytes: &[u8]) -> Bound {
        Bound::Bytes(bytes.to_owned())
    }
}

impl From<&Hash96> for Bound {
    fn from(hash: &Hash96) -> Bound {
        Bound::Bytes(hash.to_vec())
    }
}

impl From<Option<i64>> for Bound {
    fn from(value: Option<i64>) -> Bound {
        value.map_or(Bound::Null(Type::Int), Bound::Int)
    }
}

impl From<Option<&str>> for Bound {
    fn from(text: Option<&str>) -> Bound {
        text.map_or(Bound::Null(Type::Text), Bound::from)
    }
}

impl From<Option<String>> for Bound {
    fn from(text: Option<String>) -> Bound {
        text.map_or(Bound::Null(Type::Text), Bound::Text)
    }
}

/// A statement with its values.
#[derive(Debug)]
pub struct Statement {
    sql: Cow<'static, str>,
    values: Vec<Bound>,
    rows: Option<Rows>,
    once: bool,
}

/// A statement whose values are still to be bound.
pub fn query(sql: impl Into<Cow<'static, str>>) -> Statement {
    Statement {
        sql: sql.into(),
        values: Vec::new(),
        rows: None,
        once: false,
    }
}

/// A statement with its values bound.
pub fn bind(sql: &str, bound: &[Bound]) -> Statement {
    Statement {
        values: bound.to_vec(),
        ..query(sql.to_owned())
    }
}

/// Connections that read.
pub enum Reads {
    /// On SQLite.
    Sqlite(Arc<AtOnce>),
    /// On PostgreSQL.
    Postgres(Box<Readers<PgConnection>>),
}

/// A transaction that writes. Dropped without [`Transaction::commit`], it changes nothing.
pub enum Transaction {
    /// On SQLite.
    Sqlite(sqlite::Writing),
    /// On PostgreSQL.
    Postgres(Writing),
}

/// Where a statement runs.
pub enum Db<'a> {
    /// In a transaction.
    Writing(&'a mut Transaction),
    /// On a connection that reads.
    Reading(&'a Reads),
}

/// A row of an answer.
pub enum Row {
    /// Of SQLite, in a transaction.
    Sqlite(SqliteRow),
    /// Of SQLite, the values that a reading connection gave.
    Read(Box<[Value]>),
    /// Of PostgreSQL.
    Postgres(PgRow),
}

impl From<SqliteRow> for Row {
    fn from(row: SqliteRow) -> Row {
        Row::Sqlite(row)
    }
}

impl From<PgRow> for Row {
    fn from(row: PgRow) -> Row {
        Row::Postgres(row)
    }
}

/// A row while its turn is, without what keeping it costs.
pub enum RowRef<'r> {
    /// It was kept, all the same.
    Kept(Row),
    /// Where a reading connection to SQLite stands.
    At(&'r rusqlite::Row<'r>),
}

/// A row that stays when its connection goes on.
fn kept(row: &rusqlite::Row<'_>) -> Result<Row> {
    let values = (0..row.as_ref().column_count()).map(|at| row.get(at));
    Ok(Row::Read(values.collect::<rusqlite::Result<_>>()?))
}

/// Runs a statement where it is to run, as sqlx calls it, and makes something of what is
/// done.
///
/// What sqlx has to remember meanwhile is some kilobytes, which a read on SQLite would carry
/// along for nothing: it has a place of its own.
macro_rules! on {
    ($db:expr, $statement:ident.$run:ident, $read:ident => $at_once:expr, $done:ident => $made:expr) => {
        match $db {
            Db::Reading(Reads::Sqlite($read)) => $at_once,
            Db::Writing(Transaction::Sqlite(tx)) => {
                let done = Box::pin($statement.sqlite().$run(&mut **tx)).await;
                let $done = tx.checked(done)?;
                $made
            }
            Db::Writing(Transaction::Postgres(tx)) => {
                let query = $statement.postgres();
                let $done = Box::pin(tx.run(async |c| query.$run(c).await)).await?;
                $made
            }
            Db::Reading(Reads::Postgres(readers)) => {
                let query = $statement.postgres();
                let done = Box::pin(readers.short(async |c| query.$run(c).await)).await?;
                let $done = match done {
                    Some(done) => done,
                    None => {
                        let query = $statement.postgres();
                        Box::pin(readers.slow(async |c| query.$run(c).await)).await?
                    }
                };
                $made
            }
        }
    };
}

/// A statement that takes longer is logged.
const SLOW: Duration = Duration::from_secs(1);
/// Characters of a statement's text that a log line shows.
const SHOWN: usize = 400;

/// The time of a statement: measured, and logged where it is slow, when it is dropped.
///
/// A log line shows the shape of the statement: the beginning of its text with each list of
/// placeholders as one. The text has no values, for they are bound.
struct Timer {
    sql: Cow<'static, str>,
    writes: bool,
    since: Instant,
}

impl Timer {
    fn start(statement: &Statement, db: &Db<'_>) -> Timer {
        Timer {
            sql: match &statement.sql {
                Cow::Borrowed(sql) => Cow::Borrowed(sql),
                Cow::Owned(sql) => {
                    let end = sql
                        .char_indices()
                        .nth(SHOWN)
                        .map_or(sql.len(), |(at, _)| at);
                    Cow::Owned(sql[..end].to_owned())
                }
            },
            writes: matches!(db, Db::Writing(_)),
            since: Instant::now(),
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let elapsed = self.since.elapsed();
        metrics::statement(self.writes, elapsed);
        let millis = elapsed.as_micros() as f64 / 1000.0;
        if elapsed >= SLOW {
            tracing::warn!(statement = shape(&self.sql), millis, "slow statement");
        } else {
            tracing::trace!(statement = shape(&self.sql), millis, "statement");
        }
    }
}

/// The text of a statement with each list of placeholders (or of rows of them) as one, cut where
/// it is long.
fn shape(sql: &str) -> String {
    let mut out = String::new();
    for word in sql.split_inclusive(", ") {
        let repeats = out.ends_with(word) && word.contains('?');
        if !repeats {
            out.push_str(word);
        }
    }
    if let Some((at, _)) = out.char_indices().nth(SHOWN) {
        out.truncate(at);
        out.push('…');
    }
    out
}

impl Statement {
    /// Binds the next value.
    pub fn bind(mut self, value: impl Into<Bound>) -> Statement {
        self.values.push(value.into());
        self
    }

    /// Binds the next values.
    pub fn bind_all<T: Into<Bound>>(mut self, values: impl IntoIterator<Item = T>) -> Statement {
        self.extend(values);
        self
    }

    /// Binds the next values in place.
    pub fn extend<T: Into<Bound>>(&mut self, values: impl IntoIterator<Item = T>) {
        self.values.extend(values.into_iter().map(T::into));
    }

    /// Binds rows of numbers, in the place of [`ROWS`]. Nothing else is bound then.
    pub fn rows(mut self, rows: Rows) -> Statement {
        self.rows = Some(rows);
        self
    }

    /// It is not kept prepared: its text comes once.
    pub fn once(mut self) -> Statement {
        self.once = true;
        self
    }

    /// Its text and values, rows as values among them.
    pub(super) fn plain(self) -> (Cow<'static, str>, Vec<Bound>) {
        let Some(rows) = self.rows else {
            return among::shared(among::marked(self.sql, false), self.values, '?');
        };
        let sql = self.sql.replace(ROWS, &rows.as_values());
        (
            sql.into(),
            rows.cells().into_iter().map(Bound::from).collect(),
        )
    }

    fn sqlite<'q>(self) -> sqlx::query::Query<'q, Sqlite, SqliteArguments> {
        let once = self.once;
        let (sql, values) = self.plain();
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(!once);
        for value in values {
            query = match value {
                Bound::Int(value) => query.bind(value),
                Bound::Bytes(bytes) => query.bind(bytes),
                Bound::Text(text) => query.bind(text),
                Bound::Null(_) => query.bind(None::<i64>),
            };
        }
        query
    }

    fn postgres<'q>(&self) -> sqlx::query::Query<'q, Postgres, PgArguments> {
        if let Some(rows) = &self.rows {
            // Their text is the same however many they are, and worth keeping.
            let sql = self.sql.replace(ROWS, &rows.as_arrays());
            let mut query = sqlx::query(AssertSqlSafe(sql));
            let (arrays, same) = rows.arrays();
            for array in arrays {
                query = query.bind(array);
            }
            for value in same {
                query = query.bind(value);
            }
            return query;
        }
        let (sql, values) = among::shared(
            among::marked(self.sql.clone(), true),
            self.values.clone(),
            '$',
        );
        let sql = postgres::numbered(&sql);
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(!self.once);
        for value in &values {
            query = match value {
                Bound::Int(value) => query.bind(*value),
                Bound::Bytes(bytes) => query.bind(bytes.clone()),
                // The one character that PostgreSQL keeps in no text. Nothing stored has it,
                // for it is no character of FHIR or of the protocol; it may be searched for.
                Bound::Text(text) if text.contains('\0') => {
                    query.bind(text.replace('\0', "\u{FFFD}"))
                }
                Bound::Text(text) => query.bind(text.clone()),
                Bound::Null(Type::Int) => query.bind(None::<i64>),
                Bound::Null(Type::Text) => query.bind(None::<String>),
                Bound::Null(Type::Bytes) => query.bind(None::<Vec<u8>>),
            };
        }
        query
    }

    /// What is made of each of its rows, without keeping them: for many rows.
    ///
    /// # Errors
    /// [`Error::Database`], and what `make` finds wrong.
    pub async fn read<'a, T: Send + 'static>(
        self,
        db: impl Into<Db<'a>>,
        make: impl Fn(&RowRef<'_>) -> Result<T> + Clone + Send + 'static,
    ) -> Result<Vec<T>> {
        let db = db.into();
        let _timer = Timer::start(&self, &db);
        on!(
            db,
            self.fetch_all,
            read => read.fetch(self, usize::MAX, move |row| make(&RowRef::At(row))).await,
            rows => rows.into_iter().map(|row| make(&RowRef::Kept(row.into()))).collect()
        )
    }

    /// All its rows.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn fetch_all<'a>(self, db: impl Into<Db<'a>>) -> Result<Vec<Row>> {
        let db = db.into();
        let _timer = Timer::start(&self, &db);
        Ok(on!(
            db,
            self.fetch_all,
            read => read.fetch(self, usize::MAX, kept).await?,
            rows => rows.into_iter().map(Row::from).collect()
        ))
    }

    /// Its first row, if it has one.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn fetch_optional<'a>(self, db: impl Into<Db<'a>>) -> Result<Option<Row>> {
        let db = db.into();
        let _timer = Timer::start(&self, &db);
        Ok(on!(
            db,
            self.fetch_optional,
            read => read.fetch(self, 1, kept).await?.pop(),
            row => row.map(Row::from)
        ))
    }

    /// Its first row.
    ///
    /// # Errors
    /// [`Error::Database`], also where it has none.
    pub async fn fetch_one<'a>(self, db: impl Into<Db<'a>>) -> Result<Row> {
        let row = self.fetch_optional(db).await?;
        row.ok_or(Error::Database(sqlx::Error::RowNotFound))
    }

    /// Runs it; how many rows it changed.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn execute<'a>(self, db: impl Into<Db<'a>>) -> Result<u64> {
        let db = db.into();
        let _timer = Timer::start(&self, &db);
        Ok(on!(
            db,
            self.execute,
            read => read.fetch(self, usize::MAX, |_| Ok(())).await.map(|_| 0)?,
            done => done.rows_affected()
        ))
    }
}

/// What a column can be read as: `i64`, `String`, `Vec<u8>`, and options of them.
pub trait Column<'r>:
    Decode<'r, Sqlite> + sqlx::Type<Sqlite> + Decode<'r, Postgres> + sqlx::Type<Postgres> + FromSql
{
}

impl<'r, T> Column<'r> for T where
    T: Decode<'r, Sqlite>
        + sqlx::Type<Sqlite>
        + Decode<'r, Postgres>
        + sqlx::Type<Postgres>
        + FromSql
{
}

/// A value of a row that was kept.
fn value<T: FromSql>(values: &[Value], column: usize) -> Result<T> {
    let value = values
        .get(column)
        .ok_or_else(|| rusqlite::Error::InvalidColumnIndex(column))?;
    let ty = value.data_type();
    Ok(T::column_result(value.into())
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, ty, Box::new(error)))?)
}

impl Row {
    /// The value of a column, from 0.
    ///
    /// # Errors
    /// [`Error::Database`] where it is of another type, or absent and the type has no place
    /// for that.
    pub fn try_get<'r, T: Column<'r>>(&'r self, column: usize) -> Result<T> {
        Ok(match self {
            Row::Sqlite(row) => row.try_get(column)?,
            Row::Read(values) => value(values, column)?,
            // Numbers of 32 bits, which stand in some texts, are read as they are; what else a
            // column holds is known to whoever wrote the statement.
            Row::Postgres(row) => row.try_get_unchecked(column)?,
        })
    }
}

impl RowRef<'_> {
    /// The value of a column, from 0.
    ///
    /// # Errors
    /// [`Error::Database`] and [`Error::Reading`] where it is of another type, or absent and
    /// the type has no place for that.
    pub fn try_get<'r, T: Column<'r>>(&'r self, column: usize) -> Result<T> {
        match self {
            RowRef::Kept(row) => row.try_get(column),
            RowRef::At(row) => Ok(row.get(column)?),
        }
    }
}

impl Transaction {
    /// Makes it durable.
    ///
    /// # Errors
    /// [`Error::Database`]; then nothing was changed, unless the connection was lost at this
    /// very moment.
    pub async fn commit(self) -> Result<()> {
        let since = Instant::now();
        match self {
            Transaction::Sqlite(tx) => tx.commit().await?,
            Transaction::Postgres(tx) => tx.commit().await?,
        }
        metrics::commit(since.elapsed());
        Ok(())
    }

    /// Gives it up.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn rollback(self) -> Result<()> {
        match self {
            Transaction::Sqlite(tx) => tx.rollback().await,
            Transaction::Postgres(tx) => tx.rollback().await,
        }
    }

    /// Cuts rows into those of one statement: into a few sizes on SQLite, whose texts differ
    /// with them.
    pub fn blocks<'r, T>(&self, rows: &'r [T]) -> impl Iterator<Item = &'r [T]> + use<'r, T> {
        match self {
            Transaction::Sqlite(_) => sqlx::Either::Left(sql::chunks(rows)),
            Transaction::Postgres(_) => sqlx::Either::Right(rows.chunks(postgres::BLOCK)),
        }
    }

    /// Whether it is on PostgreSQL, for the few statements whose texts differ.
    pub fn is_postgres(&self) -> bool {
        matches!(self, Transaction::Postgres(_))
    }
}

impl Reads {
    /// Where statements run on them.
    pub fn db(&self) -> Db<'_> {
        Db::Reading(self)
    }

    /// Ends the connections.
    pub async fn close(&self) {
        match self {
            Reads::Sqlite(readers) => readers.close(),
            Reads::Postgres(readers) => readers.close().await,
        }
    }
}

impl Db<'_> {
    /// The same, for a further statement.
    pub fn again(&mut self) -> Db<'_> {
        match self {
            Db::Writing(tx) => Db::Writing(tx),
            Db::Reading(readers) => Db::Reading(readers),
        }
    }

    /// Whether what is read is durable.
    pub fn is_durable(&self) -> bool {
        matches!(self, Db::Reading(_))
    }
}

impl<'a> From<&'a mut Transaction> for Db<'a> {
    fn from(tx: &'a mut Transaction) -> Db<'a> {
        Db::Writing(tx)
    }
}

impl<'a> From<&'a Reads> for Db<'a> {
    fn from(readers: &'a Reads) -> Db<'a> {
        Db::Reading(readers)
    }
}

#[cfg(test)]
mod tests {
    use super::shape;

    #[test]
    fn a_statement_is_shown_by_its_shape() {
        assert_eq!(shape("SELECT 1"), "SELECT 1");
        assert_eq!(
            shape("SELECT a FROM b WHERE c IN (?, ?, ?, ?) AND d = ?"),
            "SELECT a FROM b WHERE c IN (?, ?) AND d = ?"
        );
        let rows = format!("INSERT INTO a VALUES {}(?, ?)", "(?, ?), ".repeat(5000));
        assert!(shape(&rows).chars().count() <= 401, "{}", shape(&rows));
        assert!(shape(&"é".repeat(500)).ends_with('…'));
    }
}
