//! PostgreSQL with TLS: each `sslmode` against servers with good and bad certificates, passwords and client certificates.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use throughline::store::visitors::StoreFault;

use super::postgres_trusting;
use crate::support::postgres::Postgres;

/// Who may log in how. All the tests' own work goes by the first line.
const WHO_MAY: &str = "
    local   all all                     trust
    host    all postgres   127.0.0.1/32 trust
    hostssl all certified  127.0.0.1/32 cert
    host    all worded     127.0.0.1/32 scram-sha-256
";

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new(Vec::new()).expect("parameters");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        let pem = parameters.self_signed(&key).expect("an authority").pem();
        Self { pem, issuer: Issuer::new(parameters, key) }
    }

    /// A certificate and its key, in PEM.
    fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        parameters.distinguished_name.push(DnType::CommonName, name);
        change(&mut parameters);
        (parameters.signed_by(&key, &self.issuer).expect("a certificate").pem(), key.serialize_pem())
    }
}

fn server((certificate, key): &(String, String), clients: &str) -> Postgres {
    let files = [("server.crt", certificate.as_str()), ("server.key", key), ("clients.crt", clients), ("pg_hba.conf", WHO_MAY)];
    Postgres::start_with(&["ssl=on", "ssl_ca_file=clients.crt", "password_encryption=scram-sha-256"], &files)
}

/// Connects, and says whether the connection is encrypted.
async fn connect(server: &Postgres, url: &str, authorities: Vec<CertificateDer<'static>>) -> Result<bool, StoreFault> {
    let store = postgres_trusting(url, authorities);
    store.prepare().await?;
    let database = url.split('?').next().expect("a part").rsplit('/').next().expect("a name");
    let encrypted =
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'throughline'
                     AND datname = current_database()";
    Ok(server.sql(database, encrypted) == "t")
}

/// What a row of the tables expects.
enum Expected {
    Plain,
    Encrypted,
    /// With this in the message.
    Fault(&'static str),
}

use Expected::{Encrypted, Fault, Plain};

fn assert_as_expected(row: &str, found: Result<bool, StoreFault>, expected: &Expected) {
    match (found, expected) {
        (Ok(false), Plain) | (Ok(true), Encrypted) => {}
        (Err(StoreFault::Unavailable(what)), Fault(part)) if what.contains(part) => assert!(!what.contains("hunter2"), "{what}"),
        (found, Plain) => panic!("{row}: plain expected: {found:?}"),
        (found, Encrypted) => panic!("{row}: TLS expected: {found:?}"),
        (found, Fault(part)) => panic!("{row}: {part:?} expected: {found:?}"),
    }
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let file = folder.join(name);
    fs::write(&file, text).expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&file, mode).expect("a mode");
    file.to_str().expect("a path").to_owned()
}

const UNKNOWN: Expected = Fault("name the server's authority, or its own certificate, by sslrootcert in [store] url");
const MISNAMED: Expected = Fault("write a name that the certificate has (subjectAltName) as the host in [store] url");
const EXPIRED: Expected = Fault("renew the server's certificate");
const NO_TLS: Expected = Fault("set ssl = on at the server");

#[tokio::test]
async fn a11_each_sslmode_encrypts_and_checks_what_the_documents_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, strange) = (Authority::new("ours"), Authority::new("strange"));
    let root = write(folder.path(), "root.pem", &ours.pem);
    let stranger = write(folder.path(), "strange.pem", &strange.pem);
    let good = server(&ours.issue("127.0.0.1", |_| ()), &ours.pem);
    let misnamed = server(&ours.issue("db.internal", |_| ()), &ours.pem);
    let expired = server(&ours.issue("127.0.0.1", |leaf| leaf.not_after = date_time_ymd(2020, 1, 1)), &ours.pem);
    // As `openssl req -x509` makes it: an authority of its own.
    let lone = Authority::new("127.0.0.1");
    let alone = {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new(vec!["127.0.0.1".into()]).expect("parameters");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (parameters.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
    };
    let own = write(folder.path(), "own.pem", &alone.0);
    let alone = server(&alone, &lone.pem);
    let plain = Postgres::shared();

    // The server, whether [outbound] ca_file names our authority, the parameters.
    let rows: Vec<(&Postgres, bool, String, &Expected)> = vec![
        (&good, false, "sslmode=disable".into(), &Plain),
        (&good, true, String::new(), &Encrypted),
        (&good, false, String::new(), &UNKNOWN),
        (&good, true, "sslmode=prefer".into(), &Encrypted),
        (&good, false, "sslmode=prefer".into(), &UNKNOWN),
        (&good, true, "sslmode=require".into(), &Encrypted),
        (&good, false, "sslmode=require".into(), &UNKNOWN),
        (&good, false, format!("sslmode=require&sslrootcert={root}"), &Encrypted),
        (&good, true, format!("sslmode=require&sslrootcert={stranger}"), &UNKNOWN),
        (&good, true, "sslmode=verify-ca".into(), &Encrypted),
        (&good, false, "sslmode=verify-ca".into(), &UNKNOWN),
        (&good, false, format!("sslmode=verify-ca&sslrootcert={root}"), &Encrypted),
        (&good, true, format!("sslmode=verify-ca&sslrootcert={stranger}"), &UNKNOWN),
        (&good, true, "sslmode=verify-full".into(), &Encrypted),
        (&good, false, format!("sslmode=verify-full&sslrootcert={root}"), &Encrypted),
        (&good, true, format!("sslmode=verify-full&sslrootcert={stranger}"), &UNKNOWN),
        (&misnamed, true, "sslmode=prefer".into(), &MISNAMED),
        (&misnamed, true, "sslmode=require".into(), &MISNAMED),
        (&misnamed, false, format!("sslmode=verify-full&sslrootcert={root}"), &MISNAMED),
        (&misnamed, true, "sslmode=verify-ca".into(), &Encrypted),
        (&misnamed, false, format!("sslmode=verify-ca&sslrootcert={root}"), &Encrypted),
        (&expired, true, "sslmode=require".into(), &EXPIRED),
        (&expired, false, format!("sslmode=verify-ca&sslrootcert={root}"), &EXPIRED),
        (&alone, false, "sslmode=verify-full".into(), &Fault("name the server's own certificate by sslrootcert")),
        (&alone, false, format!("sslmode=verify-ca&sslrootcert={own}"), &Encrypted),
        (&alone, false, format!("sslmode=verify-full&sslrootcert={own}"), &Encrypted),
        (&alone, false, format!("sslmode=verify-ca&sslrootcert={root}"), &Fault("certificate")),
        (plain, false, String::new(), &Plain),
        (plain, false, "sslmode=require".into(), &NO_TLS),
        (plain, false, "sslmode=verify-ca".into(), &NO_TLS),
        (plain, false, format!("sslmode=verify-full&sslrootcert={root}"), &NO_TLS),
    ];
    for (number, (server, is_trusted, parameters, expected)) in rows.into_iter().enumerate() {
        let url = format!("{}?{parameters}", server.new_database());
        let authority = CertificateDer::from_pem_slice(ours.pem.as_bytes()).expect("a certificate");
        let authorities = if is_trusted { vec![authority] } else { Vec::new() };
        assert_as_expected(&format!("row {number}, {parameters}"), connect(server, &url, authorities).await, expected);
    }
}

#[tokio::test]
async fn a11_passwords_and_client_certificates_let_a_node_in_or_say_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, strange) = (Authority::new("ours"), Authority::new("strange"));
    let root = write(folder.path(), "root.pem", &ours.pem);
    let server = server(&ours.issue("127.0.0.1", |_| ()), &ours.pem);
    let client = |authority: &Authority, name: &str| {
        let (certificate, key) = authority.issue(name, |_| ());
        let file =
            |kind| format!("{}-{name}-{kind}.pem", if std::ptr::eq(authority, &raw const ours) { "ours" } else { "strange" });
        let (certificate, key) = (write(folder.path(), &file("chain"), &certificate), write(folder.path(), &file("key"), &key));
        format!("&sslcert={certificate}&sslkey={key}")
    };
    server.sql("postgres", "CREATE ROLE certified LOGIN SUPERUSER; CREATE ROLE worded LOGIN SUPERUSER PASSWORD 'horse staple'");
    let (nothing, right, other, unknown) =
        (String::new(), client(&ours, "certified"), client(&ours, "worded"), client(&strange, "certified"));
    const NOT_LET_IN: Expected = Fault("let this user in: see the role, and the lines of pg_hba.conf");
    let rows = [
        ("worded:horse%20staple", "verify-full", &nothing, &Encrypted),
        ("worded:hunter2", "verify-full", &nothing, &Fault("correct the user or the password in [store] url")),
        ("worded", "verify-full", &nothing, &Fault("password")),
        ("certified", "verify-full", &right, &Encrypted),
        ("certified", "verify-full", &nothing, &NOT_LET_IN),
        ("certified", "verify-full", &other, &NOT_LET_IN),
        ("certified", "verify-full", &unknown, &Fault("see its log, ssl_ca_file there, and sslcert and sslkey in [store] url")),
        ("nobody", "verify-full", &nothing, &NOT_LET_IN),
    ];
    for (number, (user, mode, files, expected)) in rows.into_iter().enumerate() {
        let database = server.new_database();
        let url = format!("{}?sslmode={mode}&sslrootcert={root}{files}", database.replace("postgres@", &format!("{user}@")));
        assert_as_expected(&format!("row {number}, {user}"), connect(&server, &url, Vec::new()).await, expected);
    }
    let missing = format!("{}?sslmode=verify-full&sslrootcert={root}", server.url("nowhere"));
    assert_as_expected(
        "a missing database",
        connect(&server, &missing, Vec::new()).await,
        &Fault("make the database with ENCODING 'UTF8'"),
    );
}
