//! Connections: a registry of what each of them waits for, and the limits of it.
//!
//! Each connection is in a [`Phase`]. Once a second [`Connections::sweep`] closes those that are
//! in one for too long, and those whose client is gone; so a connection needs no timer of its own.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// How long after its last answer a connection counts as in use, so that it is not closed in favour
/// of another one.
const IN_USE: Duration = Duration::from_secs(1);
/// How long a request is worked on whose client has closed its side.
const HALF_CLOSED: Duration = Duration::from_secs(3);

/// Limits of connections.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address.
    pub per_peer: usize,
    /// Addresses, such as that of a proxy, without a limit of their own.
    pub trusted: Vec<IpAddr>,
    /// How long the head of a request may take to come.
    pub header: Duration,
    /// How long a connection may be without a request.
    pub idle: Duration,
    /// How long a client may take nothing of its answer.
    pub write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 4096,
            per_peer: 256,
            trusted: vec![
                std::net::Ipv4Addr::LOCALHOST.into(),
                std::net::Ipv6Addr::LOCALHOST.into(),
            ],
            header: Duration::from_secs(15),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
        }
    }
}

/// The part of an exchange that a connection is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Between requests.
    Idle,
    /// In the head of a request.
    Header,
    /// A handler reads the body or works.
    Handling,
    /// The answer has begun.
    Answering,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// Whether a request of the connection was answered.
    was_answered: bool,
    /// Since when the client takes nothing.
    blocked: Option<Instant>,
    /// Since when the client has closed its side.
    half_closed: Option<Instant>,
}

/// A connection of a client.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    peer: IpAddr,
    state: Mutex<State>,
    cut: Notify,
}

impl Connection {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection is in another phase from now on.
    pub fn enter(&self, phase: Phase) {
        let mut state = self.state();
        state.phase = phase;
        state.since = Instant::now();
        state.was_answered |= phase == Phase::Answering;
    }

    /// The phase.
    pub fn phase(&self) -> Phase {
        self.state().phase
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Over when the connection is to be closed at once.
    pub async fn cut(&self) {
        self.cut.notified().await;
    }

    /// Since when the connection idles; `None` where it does not, or was answered a moment ago.
    fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        let in_use = state.was_answered && state.since.elapsed() < IN_USE;
        (state.phase == Phase::Idle && state.blocked.is_none() && !in_use).then_some(state.since)
    }

    /// Whether the connection has used up a time or lost its client.
    fn is_over(&self, limits: &Limits, now: Instant) -> bool {
        let interest = Interest::READABLE | Interest::WRITABLE;
        let ready = self.stream.ready(interest).now_or_never();
        let ready = match ready {
            Some(Ok(ready)) => ready,
            Some(Err(_)) => return true,
            None => tokio::io::Ready::EMPTY,
        };
        let mut state = self.state();
        let lasts = |since: Instant, limit| now.saturating_duration_since(since) >= limit;
        if ready.is_write_closed() || state.blocked.is_some_and(|b| lasts(b, limits.write)) {
            return true;
        }
        if ready.is_read_closed() && state.half_closed.is_none() {
            state.half_closed = Some(now);
        }
        match state.phase {
            Phase::Idle => state.blocked.is_none() && lasts(state.since, limits.idle),
            Phase::Header => lasts(state.since, limits.header),
            Phase::Handling => state.half_closed.is_some_and(|h| lasts(h, HALF_CLOSED)),
            Phase::Answering => false,
        }
    }
}

/// The open connections of a server.
#[derive(Debug)]
pub struct Connections {
    limits: Limits,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    all: HashMap<u64, Arc<Connection>>,
    peers: HashMap<IpAddr, usize>,
}

/// The reason for which a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There are as many as there may be.
    Full,
    /// There are as many from this address as there may be.
    Peer,
}

impl Connections {
    /// None yet.
    pub fn new(limits: Limits) -> Arc<Connections> {
        Arc::new(Connections {
            limits,
            open: Mutex::default(),
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection; where there are too many, in place of the one that idles longest.
    ///
    /// # Errors
    /// The stream with the reason for which it is not taken.
    pub fn take(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Result<Taken, (TcpStream, Refused)> {
        let peer = peer.ip().to_canonical();
        let mut open = self.open();
        let of_peer = open.peers.get(&peer).copied().unwrap_or_default();
        if of_peer >= self.limits.per_peer && !self.limits.trusted.contains(&peer) {
            return Err((stream, Refused::Peer));
        }
        if open.all.len() >= self.limits.connections && !open.close_idlest() {
            return Err((stream, Refused::Full));
        }
        let connection = Arc::new(Connection {
            stream,
            peer,
            state: Mutex::new(State {
                phase: Phase::Idle,
                since: Instant::now(),
                was_answered: false,
                blocked: None,
                half_closed: None,
            }),
            cut: Notify::new(),
        });
        let key = open.next;
        open.next += 1;
        open.all.insert(key, connection.clone());
        *open.peers.entry(peer).or_default() += 1;
        drop(open);
        Ok(Taken {
            connections: self.clone(),
            key,
            connection,
        })
    }

    /// Closes the connection that idles longest; false where none does.
    pub fn close_idlest(&self) -> bool {
        self.open().close_idlest()
    }

    /// Closes the connections that used up a time of theirs or lost their clients.
    pub fn sweep(&self) {
        let now = Instant::now();
        for connection in self.open().all.values() {
            if connection.is_over(&self.limits, now) {
                connection.cut.notify_one();
            }
        }
    }
}

impl Open {
    fn close_idlest(&mut self) -> bool {
        let idle = self.all.iter();
        let idle = idle.filter_map(|(key, c)| c.idle_since().map(|since| (since, *key)));
        let Some((_, key)) = idle.min() else {
            return false;
        };

        if let Some(connection) = self.remove(key) {
            connection.cut.notify_one();
        }
        true
    }

    fn remove(&mut self, key: u64) -> Option<Arc<Connection>> {
        let connection = self.all.remove(&key)?;
        if let Some(count) = self.peers.get_mut(&connection.peer) {
            *count -= 1;
            if *count == 0 {
                self.peers.remove(&connection.peer);
            }
        }
        Some(connection)
    }
}

/// A connection that counts while this is held.
pub struct Taken {
    connections: Arc<Connections>,
    key: u64,
    connection: Arc<Connection>,
}

impl Taken {
    /// The address of the client, unless it is one that many clients come through.
    pub fn peer(&self) -> Option<IpAddr> {
        let peer = self.connection.peer;
        (!self.connections.limits.trusted.contains(&peer)).then_some(peer)
    }

    /// The connection.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.connections.open().remove(self.key);
    }
}

/// The bytes of a connection, which tell its registry what happens.
pub struct Io(pub Arc<Connection>);

impl Io {
    fn written(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let mut state = self.0.state();
        if result.is_ready() {
            state.blocked = None;
        } else if state.blocked.is_none() {
            state.blocked = Some(Instant::now());
        }
        result
    }

    fn try_write(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.stream.poll_write_ready(cx))?;
            match write(&self.0.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.stream.poll_read_ready(cx))?;
            match self.0.stream.try_read_buf(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(_) => {
                    let mut state = self.0.state();
                    if state.phase == Phase::Idle {
                        state.phase = Phase::Header;
                        state.since = Instant::now();
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.written(self.try_write(cx, |stream| stream.try_write(buf)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.written(self.try_write(cx, |stream| stream.try_write_vectored(bufs)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = socket2::SockRef::from(&self.0.stream);
        Poll::Ready(socket.shutdown(std::net::Shutdown::Write))
    }
}
