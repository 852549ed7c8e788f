//! A proxy that terminates TLS and plants a mistake: it may change a request, answer it by itself, or change the answer.

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::wire::{self, Answer, PATIENCE};

/// A request on its way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Takes a header out.
    pub(crate) fn remove(&mut self, name: &str) {
        self.headers.retain(|(found, _)| !found.eq_ignore_ascii_case(name));
    }

    /// Sends it on without a body.
    pub(crate) fn drop_body(&mut self) {
        self.remove("content-length");
        self.body.clear();
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Whether it is for a page of the shop, and not for an endpoint of ours.
    pub(crate) fn is_for_page(&self) -> bool {
        self.header("host").is_some_and(|host| host.starts_with("shop.")) && self.path() == "/p.html"
    }
}

type Before = Box<dyn Fn(&mut Request) -> Option<Answer> + Send + Sync>;
type After = Box<dyn Fn(&Request, &mut Answer) + Send + Sync>;

/// The mistake.
pub(crate) struct Mistake {
    before: Before,
    after: After,
}

impl Mistake {
    /// None: everything goes through as it is.
    pub(crate) fn none() -> Self {
        Self { before: Box::new(|_| None), after: Box::new(|_, _| ()) }
    }

    /// Changes requests, or answers them.
    pub(crate) fn before(before: impl Fn(&mut Request) -> Option<Answer> + Send + Sync + 'static) -> Self {
        Self { before: Box::new(before), ..Self::none() }
    }

    /// Changes answers.
    pub(crate) fn after(after: impl Fn(&Request, &mut Answer) + Send + Sync + 'static) -> Self {
        Self { after: Box::new(after), ..Self::none() }
    }

    /// Both.
    pub(crate) fn both(
        before: impl Fn(&mut Request) -> Option<Answer> + Send + Sync + 'static,
        after: impl Fn(&Request, &mut Answer) + Send + Sync + 'static,
    ) -> Self {
        Self { before: Box::new(before), after: Box::new(after) }
    }
}

/// It listens until it is dropped.
pub(crate) struct Proxy {
    address: (IpAddr, u16),
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens at `address`, and passes on to `upstream` on this machine.
    ///
    /// # Errors
    /// When the address is taken.
    pub(crate) fn start(address: (IpAddr, u16), upstream: u16, tls: Arc<ServerConfig>, mistake: Mistake) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let ended = Arc::new(AtomicBool::new(false));
        let (inside, mistake) = (Arc::clone(&ended), Arc::new(mistake));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if inside.load(Ordering::SeqCst) {
                    break;
                }
                let (tls, mistake) = (Arc::clone(&tls), Arc::clone(&mistake));
                // A client that goes away in the middle is no fault of the proxy.
                let serve = move |stream| serve(stream, upstream, tls, &mistake);
                drop(stream.map(|stream| std::thread::spawn(move || drop(serve(stream)))));
            }
        });
        Ok(Self { address, ended, thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) const fn ip(&self) -> IpAddr {
        self.address.0
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// One request, one answer, and the connection ends.
fn serve(stream: TcpStream, upstream: u16, tls: Arc<ServerConfig>, mistake: &Mistake) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut client = StreamOwned::new(ServerConnection::new(tls).map_err(io::Error::other)?, stream);
    let mut request = read(&mut client)?;
    let mut answer = match (mistake.before)(&mut request) {
        Some(answer) => answer,
        None => pass_on(&request, upstream)?,
    };
    answer.headers.push(("Strict-Transport-Security".into(), "max-age=31536000".into()));
    (mistake.after)(&request, &mut answer);
    let mut head = format!("HTTP/1.1 {} .\r\nConnection: close\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
    for (name, value) in &answer.headers {
        if !["connection", "content-length", "transfer-encoding"].contains(&name.to_ascii_lowercase().as_str()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    client.write_all(format!("{head}\r\n").as_bytes())?;
    if request.method != "HEAD" {
        client.write_all(&answer.body)?;
    }
    client.conn.send_close_notify();
    client.flush()
}

fn pass_on(request: &Request, upstream: u16) -> io::Result<Answer> {
    let mut head = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", request.method, request.target);
    for (name, value) in request.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("connection")) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut stream = wire::connect(upstream)?;
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(&request.body)?;
    wire::receive(&mut stream, request.method == "HEAD")
}

fn read(stream: &mut impl Read) -> io::Result<Request> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "no request");
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        let mut piece = [0; 8192];
        match stream.read(&mut piece)? {
            0 => return Err(broken()),
            count => bytes.extend_from_slice(&piece[..count]),
        }
    };
    let mut body = bytes.split_off(end + 4);
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target)) = (first.next(), first.next()) else { return Err(broken()) };
    let headers = lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let mut request = Request { method: method.into(), target: target.into(), headers: headers.collect(), body: Vec::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while body.len() < length {
        let mut piece = [0; 8192];
        match stream.read(&mut piece)? {
            0 => return Err(broken()),
            count => body.extend_from_slice(&piece[..count]),
        }
    }
    request.body = body;
    Ok(request)
}
