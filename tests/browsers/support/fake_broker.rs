//! A broker that is out of order, in each of the ways in which brokers are.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::process::free_port;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing listens.
    Refuse,
    /// It accepts connections and never answers.
    Hang,
    /// It answers 500 to everything.
    Error500,
}

/// A broken broker on a port of its own, until it is dropped.
pub(crate) struct FakeBroker {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    closing: Arc<AtomicBool>,
}

impl FakeBroker {
    /// Begins to be broken.
    pub(crate) fn start(fault: Fault) -> FakeBroker {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let closing = Arc::new(AtomicBool::new(false));
        if fault == Fault::Refuse {
            return FakeBroker {
                port: free_port(),
                requests,
                closing,
            };
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port for the broker");
        let port = listener.local_addr().expect("its address").port();
        let (seen, closed) = (Arc::clone(&requests), Arc::clone(&closing));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if closed.load(Ordering::SeqCst) {
                    break;
                }
                let seen = Arc::clone(&seen);
                thread::spawn(move || answer(stream, fault, &seen));
            }
        });
        FakeBroker {
            port,
            requests,
            closing,
        }
    }

    /// Where it listens, or would.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The visitors that were sent here: request lines of hops. There should be none.
    pub(crate) fn hops(&self) -> Vec<String> {
        let requests = self
            .requests
            .lock()
            .expect("no thread panics with the lock");
        requests
            .iter()
            .filter(|line| line.contains("/_throughline/hop"))
            .cloned()
            .collect()
    }
}

impl Drop for FakeBroker {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is closing.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn answer(mut stream: TcpStream, fault: Fault, seen: &Mutex<Vec<String>>) {
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer).unwrap_or(0);
    let request = String::from_utf8_lossy(&buffer[..read]).into_owned();
    let line = request.lines().next().unwrap_or_default().to_owned();
    seen.lock()
        .expect("no thread panics with the lock")
        .push(line);
    if fault == Fault::Error500 {
        let body = "broken";
        let head = "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 6";
        let _ = write!(stream, "{head}\r\n\r\n{body}");
    } else {
        // Silent until the other side gives up.
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
    }
}
