//! What an operator puts in front of several nodes: it asks one of them, and another when that one does not answer.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::wire::{Answer, PATIENCE, send};

/// Listens on a port until it is dropped. One request a connection.
pub(crate) struct Balancer {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    nodes: Vec<u16>,
    turn: AtomicUsize,
    failures: Vec<AtomicUsize>,
    is_over: AtomicBool,
}

impl Balancer {
    /// Listens on `port`, in front of the nodes on these.
    pub(crate) fn start(port: u16, nodes: &[u16]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a free port");
        let failures = nodes.iter().map(|_| AtomicUsize::new(0)).collect();
        let shared = Shared { nodes: nodes.to_vec(), turn: AtomicUsize::new(0), failures, is_over: AtomicBool::new(false) };
        let shared = Arc::new(shared);
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Self { port, shared }
    }

    /// How often a node did not answer.
    pub(crate) fn failures(&self, node: usize) -> usize {
        self.shared.failures[node].load(Ordering::Relaxed)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let Ok(request) = read_request(&mut stream) else { return };
        // Every request of ours may be sent twice: what it writes is the same again.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        for node in (0..self.nodes.len()).map(|n| (turn + n) % self.nodes.len()) {
            match send(self.nodes[node], &request) {
                Ok(answer) => {
                    let _ = stream.write_all(&to_bytes(&answer, request.starts_with(b"HEAD ")));
                    return;
                }
                Err(_) => self.failures[node].fetch_add(1, Ordering::Relaxed),
            };
        }
    }
}

fn read_request(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut request, mut piece) = (Vec::new(), [0; 8192]);
    loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            if request.len() >= end + 4 + length.unwrap_or(0) {
                return Ok(request);
            }
        }
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => request.extend_from_slice(&piece[..count]),
        }
    }
}

fn to_bytes(answer: &Answer, is_head: bool) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {} -\r\n", answer.status).into_bytes();
    let is_ours =
        |name: &str| ["content-length", "transfer-encoding", "connection"].contains(&name.to_ascii_lowercase().as_str());
    for (name, value) in answer.headers.iter().filter(|(name, _)| !is_ours(name)) {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    bytes.extend(format!("Content-Length: {}\r\nConnection: close\r\n\r\n", answer.body.len()).bytes());
    if !is_head {
        bytes.extend_from_slice(&answer.body);
    }
    bytes
}
