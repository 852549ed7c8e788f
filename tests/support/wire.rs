//! A raw HTTP/1.1 client: the bytes that go out are the bytes given, and nothing of the answer is hidden.
//!
//! A client library would mend a URL, join two headers or follow a redirect, and a test would then prove the library.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// No answer of ours takes this long; on a busy machine it is still long enough.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An answer as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names and values in the order in which they came. Octets beyond ASCII are read as Latin-1.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All headers of that name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// Sends `request` to a port of this machine and reads one answer.
///
/// # Errors
/// When there is none in [`PATIENCE`], or it is not HTTP.
pub(crate) fn send(port: u16, request: &[u8]) -> io::Result<Answer> {
    let mut stream = connect(port)?;
    stream.write_all(request)?;
    receive(&mut stream, request.starts_with(b"HEAD "))
}

/// A connection, with timeouts.
///
/// # Errors
/// When nobody listens.
pub(crate) fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads one answer. To a `HEAD` it has no body, whatever its headers say.
///
/// # Errors
/// When it does not come whole, or is not HTTP.
pub(crate) fn receive(stream: &mut TcpStream, is_head: bool) -> io::Result<Answer> {
    let mut read = Reader { stream, buffer: Vec::new() };
    let status_line = read.line()?;
    let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| broken(&status_line))?;
    let mut answer = Answer { status, ..Answer::default() };
    loop {
        let line = read.line()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| broken(&line))?;
        answer.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    if is_head || matches!(status, 100..200 | 204 | 304) {
        return Ok(answer);
    }
    let chunked = answer.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let length = answer.header("content-length").map(|length| length.parse().map_err(|_| broken(length))).transpose()?;
    answer.body = match length {
        _ if chunked => read.chunks()?,
        Some(length) => read.exactly(length)?,
        None => read.rest()?,
    };
    Ok(answer)
}

struct Reader<'a> {
    stream: &'a mut TcpStream,
    buffer: Vec<u8>,
}

impl Reader<'_> {
    /// Reads some more. `false` at the end.
    fn more(&mut self) -> io::Result<bool> {
        let mut piece = [0; 8192];
        let count = self.stream.read(&mut piece)?;
        self.buffer.extend_from_slice(&piece[..count]);
        Ok(count > 0)
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = self.buffer[..end].iter().map(|byte| char::from(*byte)).collect();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            if !self.more()? {
                return Err(broken("the connection ended in the head"));
            }
        }
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            if !self.more()? {
                return Err(broken("the connection ended in the body"));
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let length =
                usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16).map_err(|_| broken(&line))?;
            body.extend(self.exactly(length)?);
            self.line()?;
            if length == 0 {
                return Ok(body);
            }
        }
    }

    fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.more()? {}
        Ok(std::mem::take(&mut self.buffer))
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not an HTTP answer: {what:?}"))
}
