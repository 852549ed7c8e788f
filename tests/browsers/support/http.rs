//! The smallest HTTP client that will do: it sets any header it is told to, and follows nothing.
//!
//! It waits for readiness, and plays the clients that no browser would be: an attacker who replays
//! what he has captured, or one who stops half-way through a hop.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Long enough for a loaded machine, short enough for a server that hangs.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What a browser sends along when a person opens a page.
pub(crate) const NAVIGATION: &[(&str, &str)] = &[
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-User", "?1"),
];

/// A response, whole.
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// Names in lower case, in the order received.
    pub(crate) headers: Vec<(String, String)>,
    /// The body as received; chunked bodies are not decoded.
    pub(crate) body: String,
}

impl Response {
    /// The first header called `name` (in lower case).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn is_whole(&self) -> bool {
        let length = self.header("content-length").and_then(|length| length.parse().ok());
        length.is_some_and(|length: usize| self.body.len() >= length)
    }

    /// The cookies that it sets, as a request would send them: `a=1; b=2`. Removals are left out.
    pub(crate) fn cookies(&self) -> String {
        let set = self.headers.iter().filter(|(name, _)| name == "set-cookie");
        let pairs = set.filter_map(|(_, value)| value.split(';').next());
        pairs.filter(|pair| !pair.ends_with('=')).collect::<Vec<_>>().join("; ")
    }
}

/// GETs `url` (`http://host:port/path`) from the loopback address, whatever the host.
pub(crate) fn get(url: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
    let bad = || io::Error::new(io::ErrorKind::InvalidInput, format!("not a demo URL: {url}"));
    let rest = url.strip_prefix("http://").ok_or_else(bad)?;
    let (authority, path) = rest.split_at(rest.find('/').ok_or_else(bad)?);
    let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).ok_or_else(bad)?;
    let path = path.split('#').next().unwrap_or(path);

    // Each request is another person's: of clients that look alike, one leaves on a hop at a time (S16).
    static PERSONS: AtomicU32 = AtomicU32::new(0);
    let person = PERSONS.fetch_add(1, Ordering::Relaxed);
    let language = format!("Accept-Language: en,x-{person};q=0.5\r\n");
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n{language}");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");

    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(request.as_bytes())?;
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        // chromedriver keeps the connection open, whatever it is asked.
        let read = stream.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..read]);
        let response = parse(&String::from_utf8_lossy(&bytes));
        match response {
            Some(response) if read == 0 || response.is_whole() => return Ok(response),
            None if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
    }
}

/// Reads a response, once its head is there.
pub(super) fn parse(text: &str) -> Option<Response> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Response { status, headers, body: body.to_owned() })
}
