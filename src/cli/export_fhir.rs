//! `export --to ndjson`.
use super::{Exit, Failure};
use crate::config::Export;
use crate::store::Store;
use std::sync::Arc;

pub(super) async fn ndjson(_: &Arc<Store>, _: &Export, _: &[usize]) -> Result<Exit, Failure> {
    Err(Failure::system("not yet"))
}
