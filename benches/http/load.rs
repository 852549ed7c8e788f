//! The load generator: keep-alive connections without pipelining, one thread, two system calls a request.
//!
//! With one request under way on each connection, the server never waits for the generator; and the generator needs no
//! poll, because it comes round to a connection when its answer is long there.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

/// An answer that takes longer is a fault, and ends the run.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked.
pub(crate) enum Requests {
    /// The same each time, so many times.
    Same(Vec<u8>, usize),
    /// Each once.
    Each(Vec<Vec<u8>>),
}

impl Requests {
    fn len(&self) -> usize {
        match self {
            Self::Same(_, count) => *count,
            Self::Each(requests) => requests.len(),
        }
    }

    /// The request of that number.
    pub(crate) fn get(&self, index: usize) -> &[u8] {
        match self {
            Self::Same(request, _) => request,
            Self::Each(requests) => &requests[index],
        }
    }
}

/// What every answer must be, so that no wrong one is timed.
#[derive(Clone)]
pub(crate) struct Expected {
    /// The beginning of the status line.
    pub(crate) status: &'static str,
    /// What stands in the head or the body.
    pub(crate) parts: Vec<String>,
}

impl Expected {
    /// Whether an answer is right.
    pub(crate) fn is_met_by(&self, answer: &str) -> bool {
        answer.starts_with(self.status) && self.parts.iter().all(|part| answer.contains(part.as_str()))
    }
}

/// Sends all requests to `port`, over so many connections at a time, and checks all answers.
pub(crate) fn run(port: u16, connections: usize, requests: &Requests, expected: &Expected) {
    let mut open: Vec<_> = (0..connections).map(|_| Connection::open(port)).collect();
    let total = requests.len();
    for index in 0..total + connections {
        let connection = &mut open[index % connections];
        if index >= connections && index - connections < total {
            let answer = connection.answer();
            assert!(expected.is_met_by(answer), "a wrong answer, which is not worth timing:\n{answer}");
        }
        if index < total {
            connection.ask(requests.get(index));
        }
    }
}

/// One connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    /// Connects to a port of this machine.
    pub(crate) fn open(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server listens");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_nonblocking(true).expect("a socket option");
        Self { stream, buffer: vec![0; 16 * 1024], filled: 0 }
    }

    /// Sends a request.
    pub(crate) fn ask(&mut self, request: &[u8]) {
        self.stream.write_all(request).expect("the server reads");
    }

    /// Reads one whole answer. It asks again and again instead of sleeping: to wake a sleeper is work for the server's core,
    /// and only for a server that is slower than this generator.
    pub(crate) fn answer(&mut self) -> &str {
        let begun = Instant::now();
        while !self.read() {
            assert!(begun.elapsed() < PATIENCE, "the server does not answer");
            std::thread::yield_now();
        }
        self.taken()
    }

    /// Reads the whole answer, if it has come.
    pub(crate) fn answer_if_there(&mut self) -> Option<&str> {
        if self.read() { Some(self.taken()) } else { None }
    }

    /// Reads what is there. Whether the answer is whole.
    fn read(&mut self) -> bool {
        match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => panic!("the server hung up"),
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("{error}"),
        }
        is_whole(&self.buffer[..self.filled])
    }

    fn taken(&mut self) -> &str {
        let filled = std::mem::take(&mut self.filled);
        std::str::from_utf8(&self.buffer[..filled]).expect("an answer in ASCII")
    }
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let Some(head) = text.find("\r\n\r\n") else { return false };
    // As actix and as nginx write it.
    let length = ["\r\ncontent-length: ", "\r\nContent-Length: "]
        .into_iter()
        .find_map(|name| text[..head].find(name).map(|at| &text[at + name.len()..]))
        .and_then(|rest| rest.split("\r\n").next())
        .and_then(|digits| digits.parse::<usize>().ok());
    text.len() == head + 4 + length.expect("every answer here has a length")
}
