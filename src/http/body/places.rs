//! Limits of the bodies of all requests together: open at once, parsed at once, and the memory
//! that parsing needs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::spool::{IN_MEMORY, Room};
use crate::http::error::{Kind, Problem, Result};
use crate::metrics;

/// Bytes up to which a body needs no place among the open ones, so that small requests wait for
/// none of those that come slowly.
pub(super) const SMALL: u64 = 16 << 10;
/// How long a request waits for its turn before it is told to come again.
const PATIENCE: Duration = Duration::from_secs(10);
/// Memory that the work on a body takes at most, in its own sizes.
const FACTOR: u64 = 6;
/// Bytes of the memory budget that a permit stands for.
const UNIT: u64 = 1 << 10;

/// Limits of bodies.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bodies of more than [`SMALL`] bytes that are open at the same time.
    pub open: usize,
    /// Those of them that come from one address.
    pub per_peer: usize,
    /// Memory for the parsing of bodies that are larger than [`IN_MEMORY`], in bytes.
    pub memory: u64,
    /// Bytes of temporary files.
    pub spooled: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            open: 256,
            per_peer: 64,
            memory: 256 << 20,
            spooled: 2 << 30,
        }
    }
}

/// The places that bodies take.
#[derive(Debug, Clone)]
pub struct Places {
    limits: Limits,
    open: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    /// Of small bodies and of large ones, so that these do not hold up those.
    parsing: [Arc<Semaphore>; 2],
    room: Arc<Room>,
    peers: Arc<Peers>,
}

/// Open bodies by address.
#[derive(Debug, Default)]
struct Peers(Mutex<HashMap<IpAddr, usize>>);

impl Peers {
    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Address of a client whose open bodies are limited, as an extension of its requests.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// Extension of a request that is a part of another one, whose place its body shares.
#[derive(Debug, Clone, Copy)]
pub struct Part;

/// Share of a body in the limits, held until its request is answered: its place and its memory.
#[derive(Debug, Default)]
pub struct Reservation {
    _present: Option<metrics::Present>,
    open: Option<OwnedSemaphorePermit>,
    peer: Option<PeerPlace>,
    memory: Option<OwnedSemaphorePermit>,
}

/// A reservation as an extension of an answer, held until the answer is sent.
pub type SharedReservation = Arc<OnceLock<Reservation>>;

impl Reservation {
    /// The reservation of a body that begins to come.
    pub(super) fn new() -> Reservation {
        Reservation {
            _present: Some(metrics::Present::body()),
            ..Reservation::default()
        }
    }

    /// Memory that it holds of the budget, in bytes.
    pub fn memory(&self) -> u64 {
        let units = self
            .memory
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        units as u64 * UNIT
    }
}

#[derive(Debug)]
struct PeerPlace(Arc<Peers>, IpAddr);

impl Drop for PeerPlace {
    fn drop(&mut self) {
        let mut counts = self.0.counts();
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}

impl Places {
    /// Places within limits.
    pub fn new(limits: Limits) -> Places {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let units = usize::try_from(limits.memory / UNIT).unwrap_or(usize::MAX);
        let semaphore =
            |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Places {
            limits,
            open: semaphore(limits.open),
            memory: semaphore(units),
            parsing: [semaphore(cores), semaphore(cores)],
            room: Room::new(limits.spooled),
            peers: Arc::default(),
        }
    }

    /// The room of temporary files.
    pub(super) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// A place for a body of more than [`SMALL`] bytes, unless it has one.
    ///
    /// # Errors
    /// 429 where as many bodies of the same address are open as may be, 503 where none of all
    /// places is free in time.
    pub(super) async fn open(
        &self,
        peer: Option<Peer>,
        reservation: &mut Reservation,
    ) -> Result<()> {
        if reservation.open.is_some() {
            return Ok(());
        }
        let peer = peer
            .map(|Peer(address)| self.open_of(address))
            .transpose()?;
        let wait = metrics::Wait::body();
        let permit = acquire(&self.open, 1)
            .await
            .ok_or_else(|| Problem::new(Kind::Unavailable))?;
        drop(wait);
        reservation.open = Some(permit);
        reservation.peer = peer;
        Ok(())
    }

    fn open_of(&self, address: IpAddr) -> Result<PeerPlace> {
        let mut counts = self.peers.counts();
        let count = counts.entry(address).or_default();
        if *count >= self.limits.per_peer {
            let max = self.limits.per_peer;
            return Err(Problem::new(Kind::Throttled).detail(
                format!("an address sends at most {max} bodies at a time (--open-bodies-per-peer)"),
                format!(
                    "同じアドレスから同時に送れる本文は {max} 件までです（--open-bodies-per-peer）"
                ),
            ));
        }
        *count += 1;
        Ok(PeerPlace(self.peers.clone(), address))
    }

    /// The memory that the work on `length` bytes needs; none of the budget for few of them, which
    /// the number of open bodies limits.
    ///
    /// # Errors
    /// 503 where the budget has none in time.
    pub async fn reserve(&self, reservation: &mut Reservation, length: u64) -> Result<()> {
        if length <= IN_MEMORY as u64 {
            return Ok(());
        }
        let units = (length * FACTOR).min(self.limits.memory) / UNIT;
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let wait = metrics::Wait::memory();
        let permit = acquire(&self.memory, units).await.ok_or_else(|| {
            Problem::new(Kind::Unavailable).detail(
                "other large bodies use the memory there is for them (--memory-budget); send this one again later, or in parts",
                "他の大きな本文の処理でメモリの上限（--memory-budget）に達しています。後で送り直すか、分割してください",
            )
        })?;
        drop(wait);
        reservation.memory = Some(permit);
        Ok(())
    }

    /// The right to work on a body of `length` bytes.
    ///
    /// # Errors
    /// 503 where it does not come in time.
    pub(super) async fn parse(&self, length: u64) -> Result<OwnedSemaphorePermit> {
        let lane = usize::from(length > IN_MEMORY as u64);
        let permit = acquire(&self.parsing[lane], 1).await;
        permit.ok_or_else(|| Problem::new(Kind::Unavailable))
    }
}

async fn acquire(semaphore: &Arc<Semaphore>, permits: u32) -> Option<OwnedSemaphorePermit> {
    let permits = semaphore.clone().acquire_many_owned(permits);
    tokio::time::timeout(PATIENCE, permits).await.ok()?.ok()
}
