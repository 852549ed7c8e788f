//! Somebody on the broker's port who is no broker, or a bad one, and counts who comes.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How it treats those who connect.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// Takes the connection and says nothing.
    Silent,
    /// Answers 500.
    Failing,
    /// Begins a good answer and sends an octet of it now and then.
    Dribbling,
    /// Answers a path with a body, and others with 404.
    Answering(Vec<(&'static str, String)>),
}

/// It listens until it is dropped.
pub(crate) struct FakeBroker {
    shared: Arc<Shared>,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    manner: Mutex<Manner>,
    ended: AtomicBool,
    connections: AtomicUsize,
    paths: Mutex<Vec<String>>,
}

impl FakeBroker {
    /// Listens on `port`.
    pub(crate) fn on(port: u16, manner: Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the broker's port is free");
        let shared = Arc::new(Shared {
            manner: Mutex::new(manner),
            ended: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            paths: Mutex::default(),
        });
        let inside = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if inside.ended.load(Ordering::SeqCst) {
                    break;
                }
                inside.connections.fetch_add(1, Ordering::SeqCst);
                if let Ok(stream) = stream {
                    let inside = Arc::clone(&inside);
                    thread::spawn(move || inside.meet(stream));
                }
            }
        });
        Self { shared, port, thread: Some(thread) }
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How often a path was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.shared.paths.lock().expect("no panic").iter().filter(|asked| *asked == path).count()
    }

    /// Changes its manner.
    pub(crate) fn behave(&self, manner: Manner) {
        *self.shared.manner.lock().expect("no panic") = manner;
    }
}

impl Drop for FakeBroker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    /// One connection, one request. What fails here fails because the other side has gone.
    fn meet(&self, mut stream: TcpStream) -> Option<()> {
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        let path = read_path(&mut stream)?;
        self.paths.lock().expect("no panic").push(path.clone());
        let manner = self.manner.lock().expect("no panic").clone();
        match manner {
            Manner::Silent => {
                let _ = stream.read(&mut [0]);
            }
            Manner::Failing => {
                stream.write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()?
            }
            Manner::Dribbling => {
                for octet in answer("200 OK", r#"{"status":"ok"}"#).bytes() {
                    stream.write_all(&[octet]).ok()?;
                    thread::sleep(Duration::from_millis(100));
                }
            }
            Manner::Answering(documents) => {
                let found = documents.iter().find(|(at, _)| *at == path);
                let answer = found.map_or_else(|| answer("404 Not Found", ""), |(_, body)| answer("200 OK", body));
                stream.write_all(answer.as_bytes()).ok()?;
            }
        }
        Some(())
    }
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn read_path(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut piece).ok()? {
            0 => return None,
            count => head.extend_from_slice(&piece[..count]),
        }
    }
    String::from_utf8(head).ok()?.split(' ').nth(1).map(String::from)
}
