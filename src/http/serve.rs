//! Serving until told to stop.

use std::future::Future;
use std::io::{self, Write as _};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};

/// Serves until `shutdown` is over, then finishes what is in flight, for `grace` at most.
///
/// The first line on stdout is `listening on http://ADDR`; from then on it answers.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
    grace: Duration,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    // Whoever connects from here on waits in the listener's queue at worst.
    tell(&format!("listening on http://{address}"));
    tracing::info!(%address, "listening");
    let listener = listener.tap_io(|connection| {
        // Small answers go at once.
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "nodelay");
        }
    });
    let stopping = std::sync::Arc::new(Notify::new());
    let told = stopping.clone();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        shutdown.await;
        tracing::info!("stopping");
        told.notify_one();
    });
    let too_long = async {
        stopping.notified().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        done = server => done,
        () = too_long => {
            tracing::warn!("stopped with requests in flight");
            Ok(())
        }
    }
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
        let server = tokio::spawn(serve(listener, app, stopped, grace));
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
