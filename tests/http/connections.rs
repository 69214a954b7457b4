//! Connections over real sockets: slow, stalled, half-closed and departed clients.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use kenko_fhir::http::{self, Limits, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(20);

fn short() -> Limits {
    Limits {
        header: Duration::from_secs(2),
        idle: Duration::from_secs(2),
        write: Duration::from_secs(2),
        ..Limits::default()
    }
}

fn endless() -> Limits {
    let long = Duration::from_secs(600);
    Limits {
        header: long,
        idle: long,
        write: long,
        ..Limits::default()
    }
}

struct Listening {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Listening {
    fn start(app: Router, limits: Limits) -> Listening {
        let listener = http::listen(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let never = std::future::pending();
            http::serve(listener, app, limits, never, Duration::ZERO)
                .await
                .unwrap();
        });
        Listening { address, serving }
    }

    async fn connect(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn connect_from(&self, address: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(address.parse().unwrap()).unwrap();
        socket.connect(self.address).await.unwrap()
    }
}

/// All that comes until the connection ends.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut text)).await;
    // A connection may also end by a reset.
    let _ = read.expect("the connection ends");
    String::from_utf8(text).unwrap()
}

/// One answer with a `Content-Length`, whose connection stays open.
async fn answer(stream: &mut TcpStream) -> String {
    let read = async {
        let mut text = Vec::new();
        loop {
            let head = text.windows(4).position(|w| w == b"\r\n\r\n");
            if let Some(head) = head {
                let told = String::from_utf8_lossy(&text[..head]).to_lowercase();
                let length = told.split("content-length: ").nth(1);
                let length = length.unwrap().lines().next().unwrap();
                if text.len() >= head + 4 + length.parse::<usize>().unwrap() {
                    return String::from_utf8(text).unwrap();
                }
            }
            let n = stream.read_buf(&mut text).await.unwrap();
            assert!(n > 0, "ends early: {}", String::from_utf8_lossy(&text));
        }
    };
    timeout(PATIENCE, read).await.expect("an answer comes")
}

const GET: &str = "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn half_a_head_is_408_and_an_idle_connection_ends() {
    let server = Server::empty().await;
    let listening = Listening::start(server.app.clone(), short());
    let mut half = listening.connect("GET /health/live HTTP/1.1\r\nHo").await;
    let mut silent = listening.connect("").await;
    let mut idle = listening.connect(GET).await;
    assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200"));
    assert!(rest(&mut half).await.starts_with("HTTP/1.1 408"));
    assert_eq!(rest(&mut silent).await, "");
    assert_eq!(rest(&mut idle).await, "");
}

#[tokio::test]
async fn an_address_has_as_many_bodies_as_it_may() {
    let server = Server::with(Settings {
        bodies: http::BodyLimits {
            per_peer: 2,
            ..Default::default()
        },
        ..Settings::default()
    })
    .await;
    let limits = Limits {
        trusted: Vec::new(),
        ..endless()
    };
    let listening = Listening::start(server.app.clone(), limits);
    let head = "POST /exchange/submissions HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/json\r\nContent-Length: 20002\r\n\r\n";
    let half = format!("{head}{{{}", " ".repeat(20_000));
    let mut first = listening.connect(&half).await;
    let _second = listening.connect(&half).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut third = listening.connect(&half).await;
    let told = answer(&mut third).await;
    assert!(told.starts_with("HTTP/1.1 429"), "{told}");
    assert!(told.contains("--open-bodies-per-peer"), "{told}");
    // Another address has places of its own.
    let mut other = listening.connect_from("127.0.0.2:0").await;
    other
        .write_all(format!("{half}}}").as_bytes())
        .await
        .unwrap();
    assert!(answer(&mut other).await.starts_with("HTTP/1.1 422"));
    // A place is free when its body is answered.
    first.write_all(b"}").await.unwrap();
    assert!(answer(&mut first).await.starts_with("HTTP/1.1 422"));
    let mut fourth = listening.connect(&format!("{half}}}")).await;
    assert!(answer(&mut fourth).await.starts_with("HTTP/1.1 422"));
}

#[tokio::test]
async fn a_body_of_a_byte_now_and_then_is_408() {
    let server = Server::with(Settings {
        body_rate: 1000,
        body_grace: Duration::from_secs(1),
        ..Settings::default()
    })
    .await;
    let listening = Listening::start(server.app.clone(), endless());
    let head = "POST /exchange/submissions HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n";
    let stream = listening.connect(head).await;
    let (mut read, mut write) = stream.into_split();
    // Each pause is shorter than the grace.
    let sending = tokio::spawn(async move {
        while write.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut text = [0; 12];
    let came = timeout(PATIENCE, read.read_exact(&mut text)).await;
    came.expect("it is answered").unwrap();
    assert_eq!(&text, b"HTTP/1.1 408");
    sending.abort();
}

#[tokio::test]
async fn a_reader_that_stalls_is_cut_and_one_that_reads_is_not() {
    struct Dropped(tokio::sync::mpsc::Sender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.try_send(());
        }
    }
    let (sender, mut dropped) = tokio::sync::mpsc::channel(8);
    let long = get(async move || {
        let held = Dropped(sender.clone());
        let blocks = futures_util::stream::unfold((held, 0), async |(held, n)| {
            let block = bytes::Bytes::from(vec![b'x'; 64 << 10]);
            (n < 512).then_some((Ok::<_, std::io::Error>(block), (held, n + 1)))
        });
        Body::from_stream(blocks)
    });
    let listening = Listening::start(Router::new().route("/", long), short());
    let head = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let stalled = listening.connect(head).await;
    let cut = timeout(PATIENCE, dropped.recv()).await;
    cut.expect("the answer is given up").unwrap();
    drop(stalled);
    let mut reading = listening.connect(head).await;
    assert!(rest(&mut reading).await.len() > 512 * (64 << 10));
}

#[tokio::test]
async fn half_closed_clients_are_answered_and_departed_ones_end_their_work() {
    let (sender, mut dropped) = tokio::sync::mpsc::channel::<()>(1);
    let (entered, mut inside) = tokio::sync::mpsc::channel::<()>(1);
    let ever = get(async move || {
        struct Dropped(tokio::sync::mpsc::Sender<()>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                let _ = self.0.try_send(());
            }
        }
        let _held = Dropped(sender.clone());
        let _ = entered.send(()).await;
        std::future::pending::<()>().await;
    });
    let slow = get(async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        "done"
    });
    let app = Router::new().route("/", slow).route("/ever", ever);
    let listening = Listening::start(app, endless());
    let mut half = listening
        .connect("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    half.shutdown().await.unwrap();
    assert!(rest(&mut half).await.ends_with("done"));
    for reset in [false, true] {
        let departed = listening
            .connect("GET /ever HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
        inside.recv().await.unwrap();
        if reset {
            departed.set_zero_linger().unwrap();
        }
        drop(departed);
        let ended = timeout(PATIENCE, dropped.recv()).await;
        ended.expect("the work ends").unwrap();
    }
}

#[tokio::test]
async fn an_early_answer_keeps_the_connection_or_says_that_it_closes() {
    let server = Server::empty().await;
    let listening = Listening::start(server.app.clone(), endless());
    let media = "Content-Type: application/json";
    for (request, status) in [
        (format!("POST /nowhere HTTP/1.1\r\n{media}"), "404"),
        (format!("POST /health/live HTTP/1.1\r\n{media}"), "405"),
        (
            "POST /exchange/submissions HTTP/1.1\r\nContent-Type: image/png".to_owned(),
            "415",
        ),
        (
            format!("POST /exchange/submissions HTTP/1.1\r\n{media}\r\nAccept: image/png"),
            "406",
        ),
        (
            format!("POST /exchange/submissions HTTP/1.1\r\n{media}\r\nHost: other"),
            "400",
        ),
    ] {
        let begin =
            |length: usize| format!("{request}\r\nHost: localhost\r\nContent-Length: {length}\r\n");
        // What is short is read, though it comes late, and the connection goes on.
        let mut stream = listening.connect(&(begin(20_000) + "\r\n")).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.write_all(&[b' '; 20_000]).await.unwrap();
        let text = answer(&mut stream).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text}");
        assert!(!text.contains("connection: close"), "{text}");
        stream.write_all(GET.as_bytes()).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));

        // What is long is not, and the answer arrives whole with the word that it closes.
        let mut stream = listening.connect(&(begin(1 << 20) + "\r\n")).await;
        let _ = stream.write_all(&[b' '; 300_000]).await;
        let text = rest(&mut stream).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text}");
        assert!(text.contains("connection: close"), "{text}");

        // A client that asks before it sends is not told to send.
        let expects = begin(100) + "Expect: 100-continue\r\n\r\n";
        let mut stream = listening.connect(&expects).await;
        let text = rest(&mut stream).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text}");
        assert!(text.contains("connection: close"), "{text}");
    }
}

#[tokio::test]
async fn one_address_cannot_take_all_connections_and_the_idlest_makes_room() {
    let server = Server::empty().await;
    let limits = Limits {
        connections: 4,
        per_peer: 2,
        ..endless()
    };
    let listening = Listening::start(server.app.clone(), limits);
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = listening.connect_from("127.0.0.2:0").await;
        stream.write_all(GET.as_bytes()).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        held.push(stream);
    }
    let mut third = listening.connect_from("127.0.0.2:0").await;
    assert!(rest(&mut third).await.starts_with("HTTP/1.1 429"));
    // Those of others, and of the address that is trusted, are taken in place of the idlest, unless
    // that was in use a moment ago.
    let mut fourth = Vec::new();
    for _ in 0..2 {
        fourth.push(listening.connect("GET /health").await);
    }
    let mut fifth = listening.connect("GET /health").await;
    assert!(rest(&mut fifth).await.starts_with("HTTP/1.1 503"));
    held.extend(fourth);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    for _ in 0..2 {
        let mut stream = listening.connect("GET /health").await;
        stream.write_all(b"").await.unwrap();
        held.push(stream);
    }
    assert_eq!(rest(&mut held[0]).await, "");
    assert_eq!(rest(&mut held[1]).await, "");
    // Nobody idles: the next one is told so, and one that ends makes room.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut more = listening.connect_from("127.0.0.3:0").await;
    assert!(rest(&mut more).await.starts_with("HTTP/1.1 503"));
    drop(held);
    let mut tries = 0;
    loop {
        let mut stream = listening.connect(GET).await;
        let mut text = [0; 12];
        if stream.read_exact(&mut text).await.is_ok() && text.ends_with(b"200") {
            break;
        }
        tries += 1;
        assert!(tries < 100);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
