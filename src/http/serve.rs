//! Serving until told to stop.

use std::future::Future;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, EXPECT};
use axum::http::{HeaderValue, Request, Response};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tower::ServiceExt as _;

use super::body::Peer;
use super::connection::{Connection, Connections, Io, Limits, Phase, Refused, Taken};
use super::connection_body::{Received, Sent};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// Descriptors that are kept for the database and temporary files.
const RESERVE: u64 = 128;
/// How often connections are looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// How long nothing is accepted after the system refused.
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes of a connection's buffers; the head of a request must fit in one.
const BUFFER: usize = 128 << 10;
/// How long a closed connection is read on, so that its last answer is not lost.
const LINGER: Duration = Duration::from_secs(1);
/// Connections that are told at once that they are not taken.
const TOLD: usize = 32;

/// Listener at an address.
///
/// # Errors
/// When none of the addresses can be listened at.
pub fn listen(addresses: &[SocketAddr]) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        let bound = || {
            let domain = Domain::for_address(*address);
            let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
            #[cfg(unix)]
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&(*address).into())?;
            socket.listen(BACKLOG as i32)?;
            TcpListener::from_std(socket.into())
        };
        match bound() {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Connections that the descriptors of the process allow, at most `wanted`, beside so many
/// temporary files. The soft limit is raised as far as the system lets.
pub fn allowed(wanted: usize, files: usize) -> usize {
    let limit = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => limit,
        Err(error) => {
            tracing::debug!(%error, "limit of descriptors");
            return wanted;
        }
    };
    let reserve = (RESERVE + files as u64).min(limit / 2);
    let allowed = usize::try_from(limit - reserve).unwrap_or(usize::MAX);
    if allowed < wanted {
        tracing::warn!(limit, allowed, "fewer connections than --connections-max");
    }
    wanted.min(allowed).max(1)
}

/// Serves until `shutdown` is over, then finishes what is in flight, for `grace` at most.
///
/// The first line on stdout is `listening on http://ADDR`; from then on it answers.
///
/// # Errors
/// When the listener has no address.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
    grace: Duration,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    // A client that connects from here on waits in the listener's queue at worst.
    tell(&format!("listening on http://{address}"));
    tracing::info!(%address, "listening");
    let connections = Connections::new(limits);
    let (stop, stopping) = watch::channel(());
    let told = Arc::new(Semaphore::new(TOLD));
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = sweep.tick() => {
                connections.sweep();
                continue;
            }
            () = &mut shutdown => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // A client that went before its turn, or no descriptor is left.
                if !is_of_client(&error) {
                    tracing::warn!(%error, "accepting");
                    connections.close_idlest();
                    tokio::time::sleep(PAUSE).await;
                }
                continue;
            }
        };
        match connections.take(stream, peer) {
            Ok(taken) => {
                let serving = converse(taken, app.clone(), stopping.clone());
                tokio::spawn(serving);
            }
            Err((stream, refused)) => {
                if let Ok(place) = told.clone().try_acquire_owned() {
                    tokio::spawn(async move {
                        refuse(stream, refused).await;
                        drop(place);
                    });
                }
            }
        }
    }
    tracing::info!("stopping");
    drop((listener, stopping));
    stop.send_replace(());
    let too_long = tokio::time::sleep(grace);
    tokio::pin!(too_long);
    loop {
        tokio::select! {
            () = stop.closed() => return Ok(()),
            _ = sweep.tick() => connections.sweep(),
            () = &mut too_long => {
                tracing::warn!("stopped with requests in flight");
                return Ok(());
            }
        }
    }
}

/// Whether accepting failed by the client's doing.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Tells a client that its connection is not taken.
async fn refuse(stream: TcpStream, refused: Refused) {
    // The language that the client asks for is not known yet: both are given.
    let (status, detail) = match refused {
        Refused::Full => (
            "503 Service Unavailable",
            "too many connections (--connections-max); try again later / 接続数が上限（--connections-max）に達しています。後で再度お試しください",
        ),
        Refused::Peer => (
            "429 Too Many Requests",
            "too many connections of one address (--connections-per-peer); close some / 同じアドレスからの接続数が上限（--connections-per-peer）に達しています。不要な接続を閉じてください",
        ),
    };
    let (code, title) = status.split_at(4);
    let code = code.trim_end();
    let body = format!(
        "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{code},\"detail\":\"{detail}\"}}"
    );
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n\
         Retry-After: 1\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.try_write(answer.as_bytes());
    linger(&stream).await;
}

/// Ends our side of a connection and reads what still comes: a socket that is closed with bytes
/// unread resets its connection, and the answer may be lost.
async fn linger(stream: &TcpStream) {
    if socket2::SockRef::from(stream)
        .shutdown(std::net::Shutdown::Write)
        .is_err()
    {
        return;
    }
    let reading = async {
        let mut buf = [0; 4096];
        while stream.readable().await.is_ok() {
            match stream.try_read(&mut buf) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => break,
                _ => {}
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, reading).await;
}

/// Answers the requests of a connection.
async fn converse(taken: Taken, app: Router, mut stopping: watch::Receiver<()>) {
    let connection = taken.connection().clone();
    let socket = socket2::SockRef::from(connection.stream());
    // Small answers go at once, and little waits in the system for a client who does not read.
    if let Err(error) = socket.set_tcp_nodelay(true) {
        tracing::debug!(%error, "nodelay");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = socket.set_tcp_notsent_lowat(BUFFER as u32) {
        tracing::debug!(%error, "unsent bytes");
    }
    let of = connection.clone();
    let peer = taken.peer().map(Peer);
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        Box::pin(answer(app.clone(), of.clone(), request))
    });
    let mut serving = http1::Builder::new()
        .half_close(true)
        .max_buf_size(BUFFER)
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(Io(connection.clone())), service);
    let mut stopped = false;
    loop {
        tokio::select! {
            done = std::future::poll_fn(|cx| serving.poll_without_shutdown(cx)) => {
                if let Err(error) = done {
                    tracing::debug!(%error, "connection");
                }
                break;
            }
            () = connection.cut() => {
                if connection.phase() == Phase::Header {
                    let _ = connection.stream().try_write(
                        b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                    );
                }
                return;
            }
            _ = stopping.changed(), if !stopped => {
                stopped = true;
                std::pin::Pin::new(&mut serving).graceful_shutdown();
            }
        }
    }
    // A handler ends before the rest is read; the end of the server does not wait for the rest.
    drop((serving, stopping));
    tokio::select! {
        () = linger(connection.stream()) => {}
        () = connection.cut() => {}
    }
}

/// Answers a request.
async fn answer(
    app: Router,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Sent>, std::convert::Infallible> {
    connection.enter(Phase::Handling);
    let (parts, body) = request.into_parts();
    let expects = parts.headers.contains_key(EXPECT);
    let (body, rest) = match body.is_end_stream() {
        true => (Body::empty(), None),
        false => {
            let (body, rest) = Received::new(body);
            (Body::new(body), Some(rest))
        }
    };
    let mut response = app.oneshot(Request::from_parts(parts, body)).await?;
    if let Some(rest) = rest
        && !rest.drain(expects).await
    {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    connection.enter(Phase::Answering);
    let reservation = response.extensions_mut().remove();
    Ok(response.map(|body| Sent::new(body, connection, reservation)))
}

/// A line on stdout, even where stdout is gone.
fn tell(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Over when the process gets SIGTERM or SIGINT. The process ends, with exit code 0, when it is
/// still there after `limit`, and at once when it gets another such signal.
///
/// A thread of its own sees to it: whatever blocks the others does not block the end.
///
/// # Errors
/// When the signals cannot be listened to.
pub fn signals(limit: Duration) -> io::Result<impl Future<Output = ()> + Send + Unpin + 'static> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut received = {
        let _context = runtime.enter();
        Signals::listen()?
    };
    let (told, over) = oneshot::channel();
    let watch = move || {
        runtime.block_on(async {
            received.next().await;
            // Where nobody listens any more, it has ended already.
            let _ = told.send(());
            let _ = tokio::time::timeout(limit, received.next()).await;
        });
        // Logging may be what blocks: the end does not wait for it.
        std::thread::spawn(|| tracing::warn!("ended with work in flight"));
        std::thread::sleep(Duration::from_millis(50));
        std::process::exit(0);
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(watch)?;
    Ok(Box::pin(async {
        let _ = over.await;
    }))
}

/// The signals that end a server.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn listen() -> io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    fn listen() -> io::Result<Signals> {
        Ok(Signals {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn what_is_in_flight_is_finished() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (entered, inside) = oneshot::channel::<()>();
        let entered = std::sync::Arc::new(std::sync::Mutex::new(Some(entered)));
        let slow = get(move || async move {
            if let Some(entered) = entered.lock().unwrap().take() {
                entered.send(()).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            "done"
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async {
            let _ = stopped.await;
        };
        let app = Router::new().route("/", slow);
        let grace = Duration::from_secs(20);
        let server = tokio::spawn(serve(listener, app, Limits::default(), stopped, grace));
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        connection
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        inside.await.unwrap();
        stop.send(()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("done"), "{answer}");
        server.await.unwrap().unwrap();
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }
}
