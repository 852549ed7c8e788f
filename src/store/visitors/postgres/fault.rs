//! What an error of the server or of the way to it means, in words, with what to do.

use std::error::Error as _;
use std::io;

use deadpool_postgres::{HookError, PoolError, TimeoutType};
use rustls::CertificateError;
use tokio_postgres::Error;

use super::super::StoreFault;

/// For a user without the rights.
pub(super) const RIGHTS_REMEDY: &str =
    "make the user of [store] url the owner of the schema and its tables, or grant it the rights";

/// For a server that takes no writes.
pub(super) const READ_ONLY_REMEDY: &str = "the server is read-only, as a standby is: name the primary server in [store] url, or all servers and target_session_attrs=read-write";

/// What an error means: data that the server will never take, damage, or a server that is unavailable.
pub(super) fn fault(error: &Error) -> StoreFault {
    match (error.code().map(|code| code.code()), class(error)) {
        (Some(code), _) if is_damage(code) => StoreFault::Damaged(describe(error)),
        (Some(code), _) if is_busy(code) => StoreFault::Busy(describe(error)),
        (_, Some("22" | "23" | "54")) => StoreFault::Refused(describe(error)),
        _ => StoreFault::Unavailable(describe(error)),
    }
}

/// Why there is no connection.
pub(super) fn no_connection(error: &PoolError) -> StoreFault {
    let what = match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => match fault(error) {
            StoreFault::Refused(what) => what,
            fault => return fault,
        },
        PoolError::Timeout(TimeoutType::Wait) => "all its connections are in use".into(),
        PoolError::Timeout(_) => "no connection in time".into(),
        other => other.to_string(),
    };
    StoreFault::Unavailable(what)
}

/// The SQLSTATEs of a damaged database: a table's page (`data_corrupted`), an index (`index_corrupted`), a file that is not
/// there (`undefined_file`), and a disk that gives an error (`io_error`).
fn is_damage(code: &str) -> bool {
    matches!(code, "XX001" | "XX002" | "58P01" | "58030")
}

/// The SQLSTATEs of a statement that others held up: `lock_not_available`, `query_canceled` (by our own limit), and conflicts
/// between transactions.
fn is_busy(code: &str) -> bool {
    matches!(code, "55P03" | "57014" | "40001" | "40P01")
}

/// The first two letters of the server's SQLSTATE.
pub(super) fn class(error: &Error) -> Option<&str> {
    error.code().and_then(|code| code.code().get(..2))
}

/// The error in words, with what to do where that is known. Of the server's own words only the main message is repeated: the
/// others can hold a visitor ID (rule R8).
pub(super) fn describe(error: &Error) -> String {
    let what = match (error.as_db_error(), error.source()) {
        (Some(server), _) => format!("{} ({})", server.message(), server.code().code()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    };
    match remedy(error) {
        Some(remedy) => format!("{what}; {remedy}"),
        None => what,
    }
}

fn remedy(error: &Error) -> Option<&'static str> {
    if let Some(code) = error.code() {
        return remedy_of(code.code());
    }
    if let Some(tls) = tls_error(error) {
        return remedy_of_tls(tls);
    }
    // The driver gives this error no kind and no type.
    let has_no_tls = error.source().is_some_and(|cause| cause.to_string() == "server does not support TLS");
    has_no_tls.then_some("set ssl = on at the server, or, on a network that you trust, sslmode=disable in [store] url")
}

/// By SQLSTATE.
fn remedy_of(code: &str) -> Option<&'static str> {
    Some(match code {
        "28P01" => "correct the user or the password in [store] url",
        "28000" => {
            "let this user in: see the role, and the lines of pg_hba.conf at the server for this database, user and address, with or without TLS"
        }
        "3D000" => "make the database with ENCODING 'UTF8', or correct its name in [store] url",
        "42501" => RIGHTS_REMEDY,
        "25006" => READ_ONLY_REMEDY,
        "53300" => "raise max_connections at the server, or take connections from others",
        "53100" => "give the server's disk more room",
        _ => return None,
    })
}

fn remedy_of_tls(error: &rustls::Error) -> Option<&'static str> {
    Some(match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "name the server's authority, or its own certificate, by sslrootcert in [store] url, or the authority in [outbound] ca_file"
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            "write a name that the certificate has (subjectAltName) as the host in [store] url, or sslmode=verify-ca with an sslrootcert that issues for your database alone"
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "renew the server's certificate; if it is valid, see this machine's clock"
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            "see this machine's clock: the server's certificate is not valid yet"
        }
        rustls::Error::InvalidCertificate(_) => {
            "name the server's own certificate by sslrootcert in [store] url, or give the server another one"
        }
        rustls::Error::AlertReceived(_) => {
            "the server ends the handshake: see its log, ssl_ca_file there, and sslcert and sslkey in [store] url"
        }
        _ => return None,
    })
}

/// The TLS library's own error, behind the layers that carry it.
fn tls_error(error: &Error) -> Option<&rustls::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let found = error.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()));
        if found.is_some() {
            return found;
        }
        cause = error.source();
    }
    None
}
