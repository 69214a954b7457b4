//! Serving until told to stop.

use std::future::Future;
use std::io::{self, Write as _};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// How long a server that is told to stop goes on with what is in flight.
const GRACE: Duration = Duration::from_secs(30);

/// Serves until `shutdown` is over, then finishes what is in flight, at most 30 s.
///
/// The first line on stdout is `listening on http://ADDR`; from then on it answers.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
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
        tokio::time::sleep(GRACE).await;
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

/// Over when the process gets SIGTERM or SIGINT.
///
/// # Errors
/// When the signals cannot be listened to.
pub fn signals() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

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
        let server = tokio::spawn(serve(listener, Router::new().route("/", slow), async {
            let _ = stopped.await;
        }));
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
