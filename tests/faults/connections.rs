//! A9: every connection ends, and at the limit of open files others are served. D7, D10: bodies too large, and requests that cannot
//! be read.

use std::io::{self, Read as _, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use crate::support::company::Company;
use crate::support::files::{Part, Setup};
use crate::support::process::{Process, wait_until};
use crate::support::wire;
use crate::tls_client::TlsSite;

/// A company of one process that may have 1,024 files open.
fn with_few_descriptors() -> (Company, Process) {
    let company = Company::unstarted(Setup::default());
    let origins = [company.shop.replace("shop", "brand"), company.shop.clone(), company.learn.clone()];
    let config = company.folder.configure(Part::All, company.port(), &origins);
    let mut process = Process::serve_after("ulimit -n 1024", &config);
    let (port, host) = (company.port(), format!("shop.localhost:{}", company.port()));
    wait_until("it serves", || process.has_ended(), || page_from(Ipv4Addr::LOCALHOST, port, &host).is_ok())
        .unwrap_or_else(|problem| panic!("{problem}: {}", process.stderr()));
    (company, process)
}

/// Lets this test open as many files as the system allows it.
fn raise_own_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("a soft limit below the hard one");
}

fn connect_from(client: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((client, 0)).into())?;
    socket.connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into(), Duration::from_secs(5))?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

/// A page, for a client at an address of its own.
fn page_from(client: Ipv4Addr, port: u16, host: &str) -> io::Result<()> {
    let mut stream = connect_from(client, port)?;
    stream.write_all(format!("GET /p.html HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())?;
    match wire::receive(&mut stream, false)?.status {
        200 => Ok(()),
        status => Err(io::Error::other(status.to_string())),
    }
}

fn assert_served(port: u16, host: &str) {
    for client in [Ipv4Addr::new(127, 0, 0, 9), Ipv4Addr::LOCALHOST] {
        // At once, as a rule; a busy machine may take some tries.
        wait_until("another client is served", || false, || page_from(client, port, host).is_ok())
            .unwrap_or_else(|problem| panic!("{client}: {problem}"));
    }
}

#[test]
fn a9_a_thousand_unfinished_bodies_keep_nobody_out() {
    raise_own_limit();
    let (company, process) = with_few_descriptors();
    let (port, host) = (company.port(), format!("shop.localhost:{}", company.port()));
    let chunked = format!("HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: same-origin\r\nTransfer-Encoding: chunked\r\n\r\n");
    // Of pages, and of our own endpoints, which wait for them; from one client, and then from many.
    let requests = ["GET /p.html", "POST /_throughline/consent"].map(|line| format!("{line} {chunked}"));
    for (request, clients) in requests.iter().flat_map(|request| [(request, 1_u8), (request, 200)]) {
        let mut silent = Vec::new();
        for number in 0..1100_u32 {
            let client = Ipv4Addr::new(127, 0, 1, u8::try_from(number % u32::from(clients)).expect("a byte") + 1);
            let Ok(mut stream) = connect_from(client, port) else { continue };
            let _ = stream.write_all(request.as_bytes());
            silent.push(stream);
        }
        assert!(silent.len() > 1000, "{}", silent.len());
        assert_served(port, &host);
    }
    assert!(!process.stderr().contains("ERROR"), "{}", process.stderr());
}

#[test]
fn a9_clients_that_do_not_read_keep_nobody_out() {
    raise_own_limit();
    let (company, _process) = with_few_descriptors();
    let (port, host) = (company.port(), format!("shop.localhost:{}", company.port()));
    std::fs::write(company.folder.path().join("shop/big.bin"), vec![b'x'; 16 * 1024 * 1024]).expect("a large file");
    let request = format!("GET /big.bin HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut slow = Vec::new();
    for number in 0..600_u16 {
        let client = Ipv4Addr::new(127, 0, 1, u8::try_from(number % 100).expect("a byte") + 1);
        let Ok(mut stream) = connect_from(client, port) else { continue };
        let _ = stream.write_all(request.as_bytes());
        slow.push(stream);
    }
    assert!(slow.len() > 400, "{}", slow.len());
    assert_served(port, &host);
}

/// Whether the other side has ended the connection, as far as can be seen without waiting.
fn is_over(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket option");
    let over = match (&*stream).read(&mut [0; 4096]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    };
    stream.set_nonblocking(false).expect("a socket option");
    over
}

#[test]
fn a9_every_connection_ends_but_that_of_an_honest_client() {
    let company = Company::start(Setup::default());
    let tls = TlsSite::start();
    let (port, host) = (company.port(), format!("shop.localhost:{}", company.port()));
    std::fs::write(company.folder.path().join("shop/big.bin"), vec![b'x'; 64 * 1024 * 1024]).expect("a large file");
    let begin = |text: &str| {
        let mut stream = wire::connect(port).expect("it listens");
        stream.write_all(text.as_bytes()).expect("it reads");
        stream
    };
    let chunked = format!("GET /p.html HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let download = format!("GET /big.bin HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut unfinished = begin(&chunked);
    let mut dribbling = begin(&chunked);
    let mut second_head = begin(&format!("GET /p.html HTTP/1.1\r\nHost: {host}\r\n\r\nGET /p.html HTTP/1.1\r\nX: "));
    let never_reads = begin(&download);
    let mut honest = begin(&download);
    let mut pinging = tls.connect(&[b"h2"]);
    pinging.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("it reads");
    let mut piece = vec![0; 32 * 1024];
    let (mut rounds, mut is_over_h2) = (0, false);
    // What does not end keeps `wait_until` from coming to an end in its thirty seconds, which are too few here: so twice.
    let mut all_over = || {
        rounds += 1;
        honest.read_exact(&mut piece).expect("an honest client gets what it reads");
        let _ = (dribbling.write_all(b"1\r\nx\r\n"), second_head.write_all(b"a"));
        is_over_h2 = is_over_h2 || pinging.write_all(b"\0\0\x08\x06\0\0\0\0\0pingping").is_err() || pinging.is_over();
        std::thread::sleep(Duration::from_millis(200));
        let h1 = [&unfinished, &dribbling, &second_head].into_iter().all(is_over);
        // What the kernel has taken is still to be read; the end shows as a reset or after it.
        h1 && is_over_h2
    };
    let mut outcome = Err(String::new());
    for _ in 0..3 {
        outcome = wait_until("every connection but the honest one is over", || false, &mut all_over);
        if outcome.is_ok() {
            break;
        }
    }
    outcome.unwrap_or_else(|problem| panic!("{problem}"));
    let _ = unfinished.write_all(b"x");
    assert!(rounds > 10, "they ended too soon: {rounds}");
    // The server let go of the one that never read: far less came than it asked for.
    let ended = || (0..100).any(|_| is_over(&never_reads));
    let mut gone = ended();
    for _ in 0..3 {
        gone = gone || wait_until("the client that never reads is let go", || false, ended).is_ok();
    }
    assert!(gone, "the client that never reads is still served");
    honest.read_exact(&mut piece).expect("it is still served");
}

#[test]
fn a9_small_bodies_that_no_page_reads_lose_no_answer() {
    let company = Company::start(Setup::default());
    let mut stream = wire::connect(company.port()).expect("it listens");
    for body in [
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "\r\n",
        "Content-Length: 5\r\n\r\nhello",
        "Content-Length: 0\r\n\r\n",
    ] {
        let request = format!("GET /p.html HTTP/1.1\r\nHost: shop.localhost:{}\r\n{body}", company.port());
        stream.write_all(request.as_bytes()).expect("it reads");
        let answer = wire::receive(&mut stream, false).expect("it answers");
        assert_eq!(answer.status, 200, "{body:?}");
        // A client that is told so opens another connection; one that is not goes on.
        if answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            stream = wire::connect(company.port()).expect("it listens");
        }
    }
}

#[test]
fn a9_a_body_that_is_declared_too_large_is_refused_before_it_is_asked_for() {
    let company = Company::start(Setup::default());
    for (path, length) in
        [("exchange", 4097_u64), ("exchange", 99_999_999), ("consent", 99_999_999), ("me", 32_769), ("me", u64::MAX)]
    {
        for expect in ["", "Expect: 100-continue\r\n"] {
            let request = format!(
                "POST /_throughline/{path} HTTP/1.1\r\nHost: shop.localhost:{}\r\nSec-Fetch-Site: same-origin\r\n\
                 Content-Length: {length}\r\n{expect}\r\n",
                company.port()
            );
            let answer = wire::send(company.port(), request.as_bytes()).expect("an answer at once");
            assert_eq!(answer.status, 413, "{path} {length} {expect}: {answer:?}");
        }
    }
    // To forget needs no body (rule C1): it is not waited for.
    let forget = format!(
        "POST /_throughline/forget HTTP/1.1\r\nHost: shop.localhost:{}\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 99999999\r\n\r\n",
        company.port()
    );
    let forgotten = wire::send(company.port(), forget.as_bytes()).expect("an answer at once");
    assert_eq!((forgotten.status, forgotten.header("set-cookie").is_some()), (200, true), "{forgotten:?}");
    let small = format!(
        "POST /_throughline/consent HTTP/1.1\r\nHost: shop.localhost:{}\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
        company.port()
    );
    assert_eq!(wire::send(company.port(), small.as_bytes()).expect("an answer").status, 100);
}

#[test]
fn a7_unreadable_requests_do_not_write_the_log() {
    let company = Company::start(Setup::default());
    for number in 0..50 {
        let request = match number % 4 {
            0 => "\0\0\0\r\n\r\n".to_owned(),
            1 => "GET / HTTP/1.1\r\nBad Header\r\n\r\n".to_owned(),
            2 => format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(200_000)),
            _ => "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned(),
        };
        let _ = wire::send(company.port(), request.as_bytes());
    }
    assert_eq!(wire::send(company.port(), b"junk\r\n\r\n").expect("an answer").status, 400);
    let said = company.stderr();
    assert!(!said.contains("ERROR") && !said.contains("stream error"), "{said}");
}
