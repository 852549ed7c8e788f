//! An outside server that one of the company's sites links to. It has an ID of its own there, asks the site for a link to the
//! next site on each request, and redirects the visitor to it.
//!
//! It is on another network than the browser: 127.0.1.0/24.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

use super::http::{NAVIGATION, Response, parse};
use super::server::Hosts;

/// Where it asks from.
const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);

/// The server, until it is dropped.
pub(crate) struct Relay {
    port: u16,
    client: Arc<Client>,
    hosts: Hosts,
    task: JoinHandle<()>,
}

impl Relay {
    /// Visits the shop as anybody would, and begins to listen.
    pub(crate) async fn start(hosts: Hosts) -> Relay {
        let client = Arc::new(Client::default());
        let mut url = hosts.shop("/products");
        while let Some(next) = client.navigate(&url, &[]).await.header("location") {
            url = next.to_owned();
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port for the relay");
        let port = listener.local_addr().expect("its address").port();
        let serving = Arc::clone(&client);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a visitor");
                let client = Arc::clone(&serving);
                tokio::spawn(async move { client.redirect(stream, hosts).await });
            }
        });
        Relay { port, client, hosts, task }
    }

    /// Where the site links to.
    pub(crate) fn url(&self) -> String {
        format!("http://relay.localhost:{}/", self.port)
    }

    /// The relay's own ID.
    pub(crate) async fn visitor(&self) -> String {
        let own_page = [("Sec-Fetch-Site", "same-origin")];
        let me = self.client.ask("GET", &self.hosts.shop("/_throughline/me"), &own_page).await;
        let me: Value = serde_json::from_str(me.body.trim()).expect("JSON");
        me["visitor"].as_str().expect("the shop knows the relay").to_owned()
    }

    /// The relay's owner asks to be forgotten, on the shop. Whether all sites know.
    pub(crate) async fn forget(&self) -> bool {
        let own_page = [("Sec-Fetch-Site", "same-origin"), ("Content-Length", "0")];
        let answer = self.client.ask("POST", &self.hosts.shop("/_throughline/forget"), &own_page).await;
        answer.body.contains("\"everywhere\":true")
    }

    /// The links that visitors were sent on with, each with a token.
    pub(crate) fn sent(&self) -> Vec<String> {
        held(&self.client.sent).clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A client with a cookie jar, which asks from [`SOURCE`].
#[derive(Default)]
struct Client {
    /// Names and values, by host.
    jar: Mutex<BTreeMap<String, BTreeMap<String, String>>>,
    sent: Mutex<Vec<String>>,
}

impl Client {
    async fn redirect(&self, mut stream: tokio::net::TcpStream, hosts: Hosts) {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        let request = String::from_utf8_lossy(&buffer[..read]).into_owned();
        if !request.starts_with("GET / ") {
            // A browser asks for an icon as well.
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
            return;
        }
        let to = hosts.learn("/lessons").replace(':', "%3A").replace('/', "%2F");
        let page = hosts.shop("/products");
        let link = self.navigate(&hosts.shop(&format!("/_throughline/go?to={to}")), &[("Referer", &page)]).await;
        let link = link.header("location").expect("a link").to_owned();
        assert!(link.contains("_tl=ey"), "{link} carries no token");
        held(&self.sent).push(link.clone());
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: {link}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes()).await;
    }

    async fn navigate(&self, url: &str, headers: &[(&str, &str)]) -> Response {
        let headers: Vec<_> = NAVIGATION.iter().chain(headers).copied().collect();
        self.ask("GET", url, &headers).await
    }

    async fn ask(&self, method: &str, url: &str, headers: &[(&str, &str)]) -> Response {
        let rest = url.strip_prefix("http://").expect("a demo URL");
        let (authority, path) = rest.split_at(rest.find('/').expect("a path"));
        let (host, port) = authority.split_once(':').expect("a port");
        let path = path.split('#').next().unwrap_or(path);
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(cookies) = held(&self.jar).get(host) {
            let cookies: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request.push_str(&format!("Cookie: {}\r\n", cookies.join("; ")));
        }
        request.push_str("\r\n");

        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from((SOURCE, 0))).expect("a loopback address");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().expect("a port")));
        let mut stream = socket.connect(address).await.expect("the demo");
        stream.write_all(request.as_bytes()).await.expect("the demo reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("the demo answers");
        let answer = parse(&String::from_utf8_lossy(&answer)).expect("HTTP");
        let mut jar = held(&self.jar);
        let cookies = jar.entry(host.to_owned()).or_default();
        for (_, line) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let pair = line.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
            cookies.insert(pair.0.to_owned(), pair.1.to_owned());
            cookies.retain(|_, value| !value.is_empty());
        }
        answer
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no task panics while it holds the lock")
}
